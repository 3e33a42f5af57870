"""Answer in Slack; where the answer is weak, open a ticket and keep the thread and the ticket in step.

Put in your Slack workspace and channel; then `python examples/sync_slack_and_ticket.py` publishes it.
"""

from datetime import timedelta

from runllm import (
    Agent,
    AllMessages,
    AnswerCategory,
    Client,
    Event,
    SlackChannel,
    SlackListener,
    SlackThread,
    ZendeskTicket,
    entrypoint,
    task,
)

NAME = "sync_slack_and_ticket"
TEAM, HELP_CHANNEL = "T0000000000", "C0000000000"

SOLVED = [{"type": "buttons", "buttons": [{"id": "solved", "style": "primary", "text": "That solved it"}]}]


@entrypoint(
    listeners=[
        # In a help channel every message is a question; elsewhere the bot would wait for a mention.
        SlackListener(team_id=TEAM, channels=[SlackChannel(channel_id=HELP_CHANNEL, trigger=AllMessages())])
    ]
)
def answer_in_slack(agent: Agent, event: Event) -> None:
    """Answers in the thread; a weak answer is shown, too, but a person gets to see it."""
    thread = event.conversation.surface
    assert isinstance(thread, SlackThread)  # the only kind of surface that this workflow listens on
    answer = agent.answer(event.conversation)
    agent.send_to_slack_thread(answer, thread)
    if answer.category in (AnswerCategory.ANSWERED, AnswerCategory.IRRELEVANT):
        return
    # The link lets the support agent see who else is in the thread; the summary says what it is about.
    description = f"{agent.summarize()}\n\nSlack thread: {thread.link()}\n\n{{conversation}}"
    ticket = agent.create_zendesk_ticket(event.conversation, tags=["from-slack"], description=description)
    agent.send_to_slack_thread(f"I have opened ticket {ticket.id}. What you add here reaches support.", thread)
    agent.listen(on=[thread, ticket], handler=in_step)


@task()
def in_step(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
    """Carries each message to the other side. `thread` and `ticket` are what `listen` was given."""
    message = event.conversation.new_message
    if message is None or message.is_internal:  # what support writes for itself is not for the thread
        return
    if isinstance(event.conversation.surface, SlackThread):
        agent.send_to_zendesk_ticket(message, ticket)
        return
    # The handler waits at the button for as long as two weeks, and others run for what is written meanwhile.
    click = agent.send_to_slack_thread(
        message,
        thread,
        prefix="Support:",
        blocks=SOLVED,
        block_until_button_clicked=True,
        timeout=timedelta(days=14),
    )
    if click:
        agent.update_zendesk_ticket(tags=["solved-in-slack"], status="solved", to=ticket)
        agent.send_to_slack_thread("Glad to hear it. I leave the two of you connected.", thread)
        # The workflow ends, and a late "one more thing" still reaches the other side.
        agent.terminate(keep_in_sync=[thread, ticket])


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, answer_in_slack, tasks=[in_step])
    client.watch(NAME)
