"""A workflow that parks on a button."""

from runllm import Agent, ChatWidget, Client, Event, entrypoint
from runllm.bridge.listeners import WidgetListener

BUTTONS = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]


@entrypoint(listeners=[WidgetListener(domain="asking.example.com")])
def asking(agent: Agent, event: Event) -> None:
    widget = event.conversation.surface
    assert isinstance(widget, ChatWidget)
    click = agent.send_to_chat_widget("shall I?", widget, blocks=BUTTONS, block_until_button_clicked=True)
    agent.send_to_chat_widget(f"clicked {click.id if click else None}", widget)


if __name__ == "__main__":
    client = Client()
    client.publish("asking", asking)
    client.watch("asking")
