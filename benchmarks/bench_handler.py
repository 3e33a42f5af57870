"""The handler of the benchmark."""

from runllm import Agent, ChatWidget, Event, WidgetListener, entrypoint

BUTTONS = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}]}]


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def bench(agent: Agent, event: Event) -> None:
    answer = agent.answer(event.conversation)
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(answer, event.conversation.surface)


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def parks(agent: Agent, event: Event) -> None:
    """Waits for a button that nobody clicks."""
    widget = event.conversation.surface
    if isinstance(widget, ChatWidget):
        agent.send_to_chat_widget("Shall I?", widget, blocks=BUTTONS, block_until_button_clicked=True)
