"""The example workflow with one call put before the others: recorded conversations cannot follow it."""

from runllm import Agent, Event, entrypoint
from runllm.bridge.listeners import WidgetListener


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer_or_escalate(agent: Agent, event: Event) -> None:
    agent.apply_tag("new", event.conversation)
    agent.stream_answer(event.conversation)
