"""Ask the team in Slack where the documentation has no answer, bring back what they say, and learn from it.

Put in your Slack workspace and channel; then `python examples/learn_from_humans.py` publishes it.
"""

from runllm import (
    Agent,
    AnswerCategory,
    ChatWidget,
    Client,
    Event,
    SlackThread,
    UserChatMessage,
    WidgetListener,
    entrypoint,
    task,
)

NAME = "learn_from_humans"
TEAM, EXPERTS_CHANNEL = "T0000000000", "C0000000000"


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer_or_ask_the_team(agent: Agent, event: Event) -> None:
    """Answers by itself for as long as the documentation has the answer."""
    widget = event.conversation.surface
    assert isinstance(widget, ChatWidget)  # the only kind of surface that this workflow listens on
    answer = agent.stream_answer(event.conversation)
    if answer.category in (AnswerCategory.ANSWERED, AnswerCategory.IRRELEVANT):
        return
    agent.apply_tag("asked-the-team", event.conversation)
    agent.send_to_chat_widget("I have asked a colleague, and will bring the reply here.", widget)
    thread = agent.create_or_get_slack_thread(event.conversation, TEAM, EXPERTS_CHANNEL)
    agent.send_to_slack_thread("Who knows this? Reply in this thread, and I pass it on.", thread)
    agent.sync_conversation(event.conversation, thread)  # all of it: a last message alone is rarely understood
    agent.listen(on=[widget, thread], handler=pass_on)


@task()
def pass_on(agent: Agent, event: Event, widget: ChatWidget, thread: SlackThread) -> None:
    """Carries messages between the customer and the team."""
    message = event.conversation.new_message
    if message is None:
        return
    if isinstance(event.conversation.surface, ChatWidget):
        agent.send_to_slack_thread(message, thread, prefix="The customer:")
        return
    agent.send_to_chat_widget(message, widget)
    learn_and_thank(agent, event, message, thread)


def learn_and_thank(agent: Agent, event: Event, message: UserChatMessage, thread: SlackThread) -> None:
    """`learn` takes facts only, and only from people other than the asker; what it took can be read and undone."""
    learned = agent.learn(event.conversation)
    name = message.author_name or "you"  # platforms do not always tell
    # Only the colleague sees it: the others need not read what the agent took from it.
    agent.send_to_slack_thread(f"Thank you, {name}!\n\n{learned}", thread, ephemeral=True)


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, answer_or_ask_the_team, tasks=[pass_on])
    client.watch(NAME)
