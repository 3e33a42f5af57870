"""A workflow that answers every message in Slack, in its thread."""

from runllm import Agent, Client, Event, SlackListener, SlackThread, entrypoint
from runllm.bridge.triggers import AllMessages


@entrypoint(listeners=[SlackListener(team_id="T1", default_trigger=AllMessages())])
def slack_echoing(agent: Agent, event: Event) -> None:
    thread, message = event.conversation.surface, event.conversation.new_message
    assert isinstance(thread, SlackThread)
    assert message is not None
    agent.send_to_slack_thread(f"You said: {message.text}", thread, enable_feedback=False)


if __name__ == "__main__":
    client = Client()
    client.publish("slack_echoing", slack_echoing)
    client.watch("slack_echoing")
