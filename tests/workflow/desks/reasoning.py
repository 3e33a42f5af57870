"""A handler that reasons with tools, as a support engineer would write it."""

from runllm import Agent, ChatWidget, Event, WidgetListener, entrypoint, tool

ASKED: list[str] = []


@tool()
def order_status(order_id: str) -> dict[str, str]:
    """The status of an order, by its number."""
    ASKED.append(order_id)  # refused in a handler's sandbox: this runs outside it
    return {"order": order_id, "status": "shipped"}


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def reasons(agent: Agent, event: Event) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    answer = agent.chat(event.conversation)
    agent.send_to_chat_widget(answer, event.conversation.surface)
