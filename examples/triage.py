"""Sort every message by urgency and topic, and send it where it belongs.

The urgency is a pinned category: it is one tag on the conversation, and a later message can change it.
Put in your Slack workspace and channel, and the host of your site; then `python examples/triage.py` publishes it.
"""

from runllm import Agent, AnswerCategory, ChatWidget, Client, Event, WidgetListener, entrypoint

NAME = "triage"
TEAM, ON_CALL_CHANNEL = "T0000000000", "C0000000000"

URGENCIES = {
    "urgent": "production is down, data is lost, or many people cannot work",
    "low": "a wish, a thank-you, or a question that can wait for days",
}
TOPICS = {
    "billing": "invoices, prices, refunds, and changes of the plan",
    "account": "deletion of an account, access, and anything about personal data",
    "question": "how something works, or how to do something",
}


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def triage(agent: Agent, event: Event) -> None:
    """Runs for every message until the conversation is handed to people."""
    widget = event.conversation.surface
    assert isinstance(widget, ChatWidget)  # the only kind of surface that this workflow listens on

    # `apply_as_tag` pins the group: "urgent" takes the place of "normal" as soon as the customer says so.
    urgency = agent.categorize(
        event.conversation,
        URGENCIES,
        default="normal",
        guidelines="Judge by the harm that is described, not by the tone.",
        apply_as_tag=True,
    )
    topic = agent.categorize(event.conversation, TOPICS, default="question")
    if urgency == "urgent":
        page_on_call(agent, event, widget)
    match topic:
        case "billing" | "account":
            open_ticket(agent, event, widget, tags=[topic, urgency])
        case _:
            answer_from_docs(agent, event)


def page_on_call(agent: Agent, event: Event, widget: ChatWidget) -> None:
    """One thread a conversation: further urgent messages are added to it instead of waking people twice."""
    thread = agent.create_or_get_slack_thread(event.conversation, TEAM, ON_CALL_CHANNEL)
    agent.sync_conversation(event.conversation, thread)
    if "paged" not in event.conversation.tags:
        agent.apply_tag("paged", event.conversation)
        agent.send_to_chat_widget("This looks urgent. I have called the engineer on duty.", widget)


def open_ticket(agent: Agent, event: Event, widget: ChatWidget, tags: list[str]) -> None:
    """Money and personal data are for people, so nothing is answered here."""
    ticket = agent.create_zendesk_ticket(event.conversation, tags=tags, description=agent.summarize())
    agent.send_to_chat_widget(f"Our support team takes over: this is ticket {ticket.id}.", widget)
    # From here on the model is silent, and what the two sides write reaches the other by itself.
    agent.terminate(keep_in_sync=[widget, ticket])


def answer_from_docs(agent: Agent, event: Event) -> None:
    """Answers, and remembers which questions the documentation should answer and does not."""
    answer = agent.stream_answer(event.conversation)
    if answer.category is AnswerCategory.UNANSWERED:
        agent.apply_tag("missing-in-docs", event.conversation)


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, triage)
    client.watch(NAME)
