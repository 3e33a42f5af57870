"""Answers, categories and tags: the calls with their arguments by position and by name."""

from runllm import Agent, Client, Event
from runllm.bridge.listeners import WidgetListener
from runllm.decorators import entrypoint

docs_widget = WidgetListener(domain="docs.example.com")

KINDS = {
    "how-to": "The customer wants to know how something is done",
    "defect": "Something does not do what the manual says",
    "money": "Invoices, refunds and plans",
}


def tell_kinds(agent: Agent, event: Event) -> None:
    agent.tag(event.conversation, options=KINDS, guidelines="What the customer wants done comes first")
    print(f"New tags: {new_tags}")  # noqa: F821 - handlers in the wild have such lines, and they must not stop a publish


@entrypoint(listeners=[docs_widget], name="route questions")
def route_questions(agent: Agent, event: Event) -> None:
    new = agent.tag(event.conversation, KINDS)
    kind = agent.categorize(
        event.conversation, categories=KINDS, default="other", guidelines="One kind only", apply_as_tag=True
    )
    agent.apply_tag("seen", event.conversation)
    agent.apply_tag(tag=kind, to=event.conversation)
    print(new, event.conversation.tags, event.conversation.session_id)
    if kind == "money":
        desk = agent.create_or_get_slack_thread(event.conversation, "T0000001", "C000MONEY")
        agent.send_to_slack_thread(agent.chat(event.conversation), desk, prefix="🤖 A longer look:")
    elif kind == "defect":
        ticket = agent.create_zendesk_ticket(event.conversation, tags=["defect", kind])
        print(f"It is ticket {ticket.ticket_id} of {ticket.subdomain}")
    else:
        response = agent.stream_answer(event.conversation)
        print(f"They read: {response.content}")


client = Client(api_key="0123456789")
client.publish("route_questions", route_questions)
client.watch("route_questions")
