"""A workflow with two effects a turn: an answer that takes a moment, and a message after it."""

from runllm import Agent, ChatWidget, Client, Event, entrypoint
from runllm.bridge.listeners import WidgetListener


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def echoing(agent: Agent, event: Event) -> None:
    answer = agent.stream_answer(event.conversation)
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(f"after: {answer.text}", event.conversation.surface)


if __name__ == "__main__":
    client = Client()
    client.publish("echoing", echoing)
    client.watch("echoing")
