"""A conversation that goes on in Slack and Zendesk: `listen` by name, the surfaces as parameters of the task."""

from runllm import Agent, Client, Event
from runllm.bridge.listeners import SlackChannel, SlackListener, WidgetListener
from runllm.bridge.surfaces import ChatWidget, SlackThread, ZendeskTicket
from runllm.bridge.triggers import AllMessages, Emoji, Mention, TicketComment
from runllm.decorators import entrypoint, task


@entrypoint(
    listeners=[
        WidgetListener(domain="shop.example.com"),
        SlackListener(
            team_id="T0000001",
            channels=[SlackChannel(channel_id="C0000HELP", trigger=[Mention(), Emoji(shortcode="sos")])],
        ),
    ]
)
def first_line(agent: Agent, event: Event) -> None:
    here = event.conversation.surface
    response = agent.answer(target=event.conversation)
    thread = agent.create_or_get_slack_thread(event.conversation, team_id="T0000001", channel_id="C0000HELP")
    agent.sync_conversation(event.conversation, thread)
    agent.send_to_slack_thread(response, thread)
    ticket = agent.create_zendesk_ticket(
        event.conversation, title="From the shop", description="The visitor wrote in the shop:\n{conversation}"
    )
    if isinstance(here, ChatWidget):
        agent.listen(
            on=[thread, ticket, here],
            handler=second_line,
            triggers=[AllMessages(), TicketComment(), AllMessages()],
        )
    agent.terminate()


@task()
def second_line(
    agent: Agent,
    event: Event,
    slack_thread: SlackThread,
    zendesk_ticket: ZendeskTicket,
    widget: ChatWidget,
) -> None:
    if isinstance(event.conversation.surface, SlackThread):
        agent.send_to_zendesk_ticket(event.conversation.new_message, to=zendesk_ticket)
        agent.send_to_chat_widget(event.conversation.new_message, widget)
    else:
        agent.send_to_slack_thread(agent.answer(event.conversation), to=slack_thread)
    agent.update_zendesk_ticket(tags=["second-line"], status="pending", to=zendesk_ticket)


Client(api_key="0123456789", server_address="http://127.0.0.1:8080").publish("hand_over", first_line, [second_line])
