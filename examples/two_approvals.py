"""Draft an answer, have two people approve it in an internal Slack channel, and only then send it.

Put in your Slack workspace, the channel and who may approve; then `python examples/two_approvals.py` publishes it.
"""

from datetime import timedelta

from runllm import Agent, AssistantChatMessage, ChatWidget, Client, Event, SlackThread, WidgetListener, entrypoint, task

NAME = "two_approvals"
TEAM, REVIEW_CHANNEL = "T0000000000", "C0000000000"
APPROVERS = [f"{TEAM}:U0000000001", f"{TEAM}:U0000000002", f"{TEAM}:U0000000003"]
PATIENCE = timedelta(hours=4)  # for each of the two

BUTTONS = [
    {
        "type": "buttons",
        "buttons": [
            {"id": "approve", "style": "primary", "text": "Approve"},
            {"id": "reject", "style": "danger", "text": "Reject"},
        ],
    }
]


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer_with_approval(agent: Agent, event: Event) -> None:
    """Each question gets a draft and approvals of its own; further questions need not wait for them."""
    question, widget = event.conversation.new_message, event.conversation.surface
    assert question is not None
    assert isinstance(widget, ChatWidget)  # the only kind of surface that this workflow listens on
    agent.send_to_chat_widget("Thank you. A colleague looks at my answer before you get it.", widget)
    draft = agent.answer(event.conversation)
    # A thread for each draft, so that nobody approves one and means another.
    thread = agent.create_slack_thread(TEAM, REVIEW_CHANNEL)
    agent.send_to_slack_thread(question, thread, prefix="Asked:")
    problem = ask_for_approvals(agent, draft, thread)
    if problem is None:
        agent.send_to_chat_widget(draft, widget)
        agent.send_to_slack_thread("Sent.", thread)
        return
    agent.apply_tag("needs-a-person", event.conversation)
    agent.send_to_slack_thread(f"{problem} What you write here goes to the customer.", thread)
    agent.send_to_chat_widget("A colleague will answer you personally, right here.", widget)
    # People talk to each other now: what one side writes appears on the other, and the model is silent.
    agent.listen(on=[widget, thread], handler=between_people)


def ask_for_approvals(agent: Agent, draft: AssistantChatMessage, thread: SlackThread) -> str | None:
    """Asks two people, one after the other. None where both approved, else what came in between."""
    may_click = list(APPROVERS)
    for message in (draft, "One approval. Who else has a look?"):
        click = agent.send_to_slack_thread(
            message,
            thread,
            blocks=BUTTONS,
            block_until_button_clicked=True,
            timeout=PATIENCE,
            allowed_users=may_click,
        )
        if click is None:
            return "Nobody decided in time."
        if click.id == "reject":
            return f"{click.user} rejected the draft."
        # The second pair of eyes is another one: the engine refuses the first person's second click.
        may_click = [user for user in may_click if user != click.user]
    return None


@task()
def between_people(agent: Agent, event: Event, widget: ChatWidget, thread: SlackThread) -> None:
    """Carries messages between the customer and the colleagues in the thread."""
    message = event.conversation.new_message
    if message is None:
        return
    if isinstance(event.conversation.surface, ChatWidget):
        agent.send_to_slack_thread(message, thread, prefix="The customer:")
    else:
        agent.send_to_chat_widget(message, widget)


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, answer_with_approval, tasks=[between_people])
    client.watch(NAME)
