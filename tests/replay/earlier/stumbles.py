"""A workflow that fails on one kind of message: its history is from before anybody was told of that."""

from runllm import Agent, Event, entrypoint
from runllm.bridge.listeners import WidgetListener


@entrypoint(listeners=[WidgetListener(domain="docs.example.com")])
def stumbles(agent: Agent, event: Event) -> None:
    """Answers whatever does not make it fail."""
    message = event.conversation.new_message
    assert message is not None
    if message.text == "fail":
        raise LookupError("no such customer")
    agent.stream_answer(event.conversation)
