"""Answer; after a day of silence ask whether it helped; after three more days close the conversation.

`python examples/follow_up.py` publishes it.
"""

from datetime import timedelta

from runllm import Agent, ChatWidget, Client, Event, WidgetListener, entrypoint, task

NAME = "follow_up"
BEFORE_ASKING = timedelta(days=1)
BEFORE_CLOSING = timedelta(days=3)


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer_and_follow_up(agent: Agent, event: Event) -> None:
    """The first message of a conversation."""
    answer_and_wait(agent, event)


@task()
def carry_on(agent: Agent, event: Event) -> None:
    """Every later message, also one that comes after we asked: the day of silence starts anew."""
    answer_and_wait(agent, event)


def answer_and_wait(agent: Agent, event: Event) -> None:
    """Answers, and leaves the handler: a conversation that waits costs nothing, for a day or for a month."""
    agent.stream_answer(event.conversation)
    # `agent.sleep` would hold the conversation, and the customer's next message with it. Silence belongs to `listen`.
    agent.listen(
        on=[event.conversation.surface],
        handler=carry_on,
        timeout=BEFORE_ASKING,
        on_timeout=ask_whether_it_helped,
    )


@task()
def ask_whether_it_helped(agent: Agent, event: Event, widget: ChatWidget) -> None:
    """Asks once. Nobody wrote anything in this event, so there is no `new_message` to answer."""
    agent.send_to_chat_widget("Did that help? If not, tell me what is missing, and I look again.", widget)
    agent.listen(on=[widget], handler=carry_on, timeout=BEFORE_CLOSING, on_timeout=close)


@task()
def close(agent: Agent, event: Event, widget: ChatWidget) -> None:
    """Says goodbye. The tag lets the console find conversations that ended without a word."""
    agent.apply_tag("went-silent", event.conversation)
    agent.send_to_chat_widget("I close this conversation now. Just start a new one whenever you like.", widget)
    agent.terminate()


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, answer_and_follow_up, tasks=[carry_on, ask_whether_it_helped, close])
    client.watch(NAME)
