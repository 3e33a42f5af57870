"""A handler that listens to a new thread each time. Its history is from before such threads were bound."""

from runllm import Agent, Event, WidgetListener, entrypoint, task


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def begin(agent: Agent, event: Event) -> None:
    agent.listen(on=[event.conversation.surface], handler=go_on)


@task()
def go_on(agent: Agent, event: Event) -> None:
    thread = agent.create_slack_thread("T0000000000", "C0000000000")
    agent.send_to_slack_thread("hello", thread)
    agent.listen(on=[event.conversation.surface, thread], handler=go_on)
