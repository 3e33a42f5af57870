"""Handlers as people first write them: no annotations, `listen` by position, names that do not exist."""

from runllm import Client
from runllm.bridge.listeners import WidgetListener
from runllm.decorators import entrypoint, task


@task()
def two_ways(agent, event, chat_widget, slack_thread):
    if event.conversation.surface == slack_thread:
        agent.send_to_chat_widget(event.conversation.new_message, to=chat_widget)
    elif event.conversation.surface == chat_widget:
        response = agent.answer(event.conversation)
        agent.send_to_slack_thread(response, to=slack_thread)
    else:
        agent.send_to_zendesk_ticket(event.conversation.new_message, to=zendesk_ticket)  # noqa: F821


@entrypoint(listeners=[WidgetListener(domain="example.org")])
def open_a_thread(agent, event):
    chat_widget = event.conversation.surface
    slack_thread = agent.create_slack_thread("T0000001", "C0000002")

    agent.listen([chat_widget, slack_thread], two_ways)


Client(api_key="0123456789").publish(name="two_ways", entrypoint=open_a_thread, tasks=[two_ways])
