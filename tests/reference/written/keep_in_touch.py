"""`terminate` with surfaces that stay connected, and lines after it that never run."""

from runllm import Agent, Client, Event, WidgetListener, entrypoint


@entrypoint(listeners=[WidgetListener(domain="example.net")])
def keep_in_touch(agent: Agent, event: Event) -> None:
    chat_widget = event.conversation.surface
    slack_thread = agent.create_or_get_slack_thread(event.conversation, "T0000001", "C0000002")
    if event.conversation.new_message.text == "a person, please":
        agent.terminate(keep_in_sync=[chat_widget, slack_thread])
    agent.send_to_slack_thread(response, slack_thread)  # noqa: F821


Client(api_key="0123456789").publish("keep_in_touch", keep_in_touch)
