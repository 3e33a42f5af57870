"""The public interface as a type checker sees it, in a customer's editor too. Nothing here runs."""

from datetime import datetime, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from runllm import (
    AdminConsole,
    AdminConsoleConfig,
    AdminConsoleListener,
    Agent,
    AllMessages,
    AnswerCategory,
    AssistantChatMessage,
    ButtonClicked,
    Category,
    ChatMessage,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    Client,
    Conversation,
    DiscordChannel,
    DiscordListener,
    DiscordThread,
    DiscordThreadConfig,
    Emoji,
    EntrypointWrapper,
    Event,
    Listener,
    Mention,
    MessageType,
    SlackChannel,
    SlackListener,
    SlackThread,
    SlackThreadConfig,
    Source,
    SurfaceType,
    TaskWrapper,
    TicketComment,
    TicketStatus,
    Trigger,
    UserChatMessage,
    WidgetListener,
    ZendeskListener,
    ZendeskTicket,
    ZendeskTicketConfig,
    entrypoint,
    task,
)

WIDGETS: list[Listener] = [WidgetListener(domain="example.com")]
BUTTONS: list[dict[str, Any]] = [{"type": "buttons", "buttons": [{"id": "yes", "style": "primary", "text": "Yes"}]}]


class Customer(BaseModel):
    name: str


def find_customer(number: int, /, *, region: str = "eu") -> Customer:
    return Customer(name=f"{region} {number}")


async def count_orders(customer: Customer) -> int:
    return len(customer.name)


# Handlers of all shapes


@entrypoint(listeners=WIDGETS)
def typed(agent: Agent, event: Event) -> None: ...


@entrypoint(listeners=[SlackListener(team_id="T1"), WidgetListener(domain="example.com")], name="named")
def returns_something(agent: Agent, event: Event) -> str:
    return "ignored"


@entrypoint(listeners=WIDGETS)
async def asynchronous(agent: Agent, event: Event) -> None: ...


@task()
def plain_task(agent: Agent, event: Event) -> None: ...


@task(name="two surfaces")
def with_surfaces(agent: Agent, event: Event, thread: SlackThread, widget: ChatWidget) -> None: ...


@task()
def with_optional_surface(agent: Agent, event: Event, ticket: ZendeskTicket | None = None) -> None: ...


@task()
def with_a_union(agent: Agent, event: Event, place: SlackThread | DiscordThread) -> None: ...


@task()
def with_keyword_only(agent: Agent, event: Event, *, console: AdminConsole) -> None: ...


@task()
def without_annotations(agent, event, widget):  # type: ignore[no-untyped-def]
    ...


@task()
async def asynchronous_task(agent: Agent, event: Event, ticket: ZendeskTicket) -> None: ...


def decorators() -> None:
    assert_type(typed, EntrypointWrapper)
    assert_type(returns_something, EntrypointWrapper)
    assert_type(asynchronous, EntrypointWrapper)
    assert_type(plain_task, TaskWrapper)
    assert_type(with_surfaces, TaskWrapper)
    assert_type(with_optional_surface, TaskWrapper)
    assert_type(with_a_union, TaskWrapper)
    assert_type(with_keyword_only, TaskWrapper)
    assert_type(asynchronous_task, TaskWrapper)
    assert_type(without_annotations, TaskWrapper)
    assert_type(typed.name, str)
    assert_type(
        typed.listeners, list[SlackListener | WidgetListener | DiscordListener | AdminConsoleListener | ZendeskListener]
    )


# Each method of an agent


def answers(agent: Agent, conversation: Conversation) -> None:
    assert_type(agent.answer(conversation), AssistantChatMessage)
    assert_type(agent.answer(target=conversation), AssistantChatMessage)
    assert_type(agent.chat(conversation), AssistantChatMessage)
    assert_type(agent.chat(conversation=conversation), AssistantChatMessage)
    assert_type(agent.stream_answer(conversation), AssistantChatMessage)
    assert_type(agent.stream_answer(convo=conversation), AssistantChatMessage)
    assert_type(agent.summarize(), str)
    assert_type(agent.summarize(conversation), str)
    assert_type(agent.learn(conversation), str)


def tags(agent: Agent, conversation: Conversation) -> None:
    assert_type(agent.tag(conversation, {"billing": "invoices"}), list[str])
    assert_type(agent.tag(conversation, options={"billing": "invoices"}, guidelines="The intent counts."), list[str])
    agent.apply_tag("vip", conversation)
    agent.apply_tag(tag="vip", to=conversation)
    assert_type(agent.categorize(conversation, {"sales": "prices"}, "other"), str)
    assert_type(agent.categorize(conversation, {"sales": Category("prices", ["how much?"]), "x": "y"}, "other"), str)
    assert_type(agent.tag(conversation, {"sales": Category("prices", examples=["how much?"])}), list[str])
    assert_type(
        agent.categorize(
            conversation, categories={"sales": "prices"}, default="other", guidelines=None, apply_as_tag=True
        ),
        str,
    )


def slack(agent: Agent, conversation: Conversation, message: ChatMessage) -> None:
    thread = agent.create_or_get_slack_thread(conversation, "T1", "C1")
    assert_type(thread, SlackThread)
    assert_type(agent.create_or_get_slack_thread(convo=conversation, team_id="T1", channel_id="C1"), SlackThread)
    assert_type(agent.create_slack_thread("T1", "C1"), SlackThread)
    assert_type(agent.create_slack_thread(team_id="T1", channel_id="C1"), SlackThread)
    assert_type(agent.send_to_slack_thread(message, thread), ButtonClicked | None)
    assert_type(
        agent.send_to_slack_thread(
            "Is this right?",
            to=thread,
            ephemeral=True,
            prefix="Draft: ",
            enable_feedback=False,
            blocks=BUTTONS,
            block_until_button_clicked=True,
            timeout=timedelta(days=1),
            allowed_users=["T1:U1"],
        ),
        ButtonClicked | None,
    )
    assert_type(thread.link(), str)
    assert_type(thread.config.thread_ts, str | None)


def zendesk(agent: Agent, conversation: Conversation, message: ChatMessage) -> None:
    ticket = agent.create_zendesk_ticket(conversation)
    assert_type(ticket, ZendeskTicket)
    assert_type(
        agent.create_zendesk_ticket(
            conversation, tags=["a"], title="T", description="{conversation}", domain="x.zendesk.com"
        ),
        ZendeskTicket,
    )
    agent.send_to_zendesk_ticket(message, ticket)
    agent.send_to_zendesk_ticket(message=message, to=ticket)
    agent.send_to_zendesk_ticket(message, ticket, internal=True)
    assert_type(agent.create_zendesk_ticket(conversation, follow_up_of=ticket), ZendeskTicket)
    agent.update_zendesk_ticket(["a"], "solved", ticket)
    agent.update_zendesk_ticket(tags=["a"], status="on-hold", to=ticket)
    assert_type(ticket.id, str)
    assert_type(ticket.ticket_id, str)
    assert_type(ticket.subdomain, str)


def discord(agent: Agent, conversation: Conversation, message: ChatMessage) -> None:
    thread = agent.create_or_get_discord_thread(conversation, "1", "2")
    assert_type(thread, DiscordThread)
    assert_type(
        agent.create_or_get_discord_thread(conversation=conversation, guild_id="1", channel_id="2"), DiscordThread
    )
    assert_type(agent.create_discord_thread("1", "2"), DiscordThread)
    assert_type(agent.send_to_discord_thread(message, thread), ButtonClicked | None)


def widget_and_console(agent: Agent, message: ChatMessage, widget: ChatWidget, console: AdminConsole) -> None:
    assert_type(agent.send_to_chat_widget(message, widget), ButtonClicked | None)
    assert_type(
        agent.send_to_chat_widget("Yes?", widget, blocks=BUTTONS, block_until_button_clicked=True, timeout=60),
        ButtonClicked | None,
    )
    assert_type(agent.send_to_admin_console(message, console), ButtonClicked | None)
    assert_type(widget.config.context, dict[str, Any] | None)


def moving_on(agent: Agent, event: Event, thread: SlackThread) -> None:
    surface = event.conversation.surface
    agent.sync_conversation(event.conversation, thread)
    agent.sync_conversation(conversation=event.conversation, to=thread)
    agent.listen([surface, thread], with_surfaces)
    agent.listen(on=[surface, thread], handler=with_surfaces, triggers=[AllMessages(), Mention()])
    agent.listen([thread], plain_task, timeout=timedelta(hours=1), on_timeout=plain_task)
    agent.terminate()
    agent.terminate(keep_in_sync=[surface, thread])
    own: list[ChatSurface] = [surface]
    agent.listen(own, plain_task)
    agent.terminate(own)


def time_and_steps(agent: Agent) -> None:
    assert_type(agent.now(), datetime)
    agent.sleep(timedelta(seconds=3))
    agent.sleep(2.5)
    customer = agent.step("find customer", find_customer, 7, region="us")
    assert_type(customer, Customer)
    assert_type(agent.step("count orders", count_orders, customer), int)
    assert_type(agent.step("closure", lambda: [customer.name]), list[str])


# What handlers are given


def nouns(event: Event, click: ButtonClicked, answer: AssistantChatMessage) -> None:
    conversation = event.conversation
    assert_type(conversation.new_message, UserChatMessage | None)
    assert_type(conversation.surface, SlackThread | ZendeskTicket | ChatWidget | DiscordThread | AdminConsole)
    assert_type(conversation.tags, list[str])
    assert_type(conversation.session_id, int)
    assert_type(event.trigger, Mention | Emoji | AllMessages | TicketComment | TicketStatus)
    assert_type(event.timed_out, bool)
    assert_type(click.id, str)
    assert_type(click.user, str | None)
    assert_type(answer.text, str)
    assert_type(answer.content, str)
    assert_type(answer.chat_id, int)
    assert_type(answer.category, AnswerCategory | None)
    assert_type(answer.sources, list[Source])
    if isinstance(conversation.surface, SlackThread):
        assert_type(conversation.surface, SlackThread)
    if conversation.surface.type is SurfaceType.ZENDESK_TICKET:
        assert_type(conversation.surface, ZendeskTicket)
    if conversation.new_message is not None:
        assert_type(conversation.new_message.chat_id, int | None)
        assert_type(conversation.new_message.user_identifier, str | None)
        assert_type(conversation.new_message.attachments, list[dict[str, Any]] | None)


def makers() -> tuple[list[Listener], list[Trigger], list[ChatSurface], list[ChatMessage]]:
    listeners: list[Listener] = [
        SlackListener(team_id="T1", channels=[SlackChannel(channel_id="C1", trigger=Emoji(shortcode="ticket"))]),
        SlackListener(team_id="T1", default_trigger=[Mention(), AllMessages()]),
        WidgetListener(domain="example.com"),
        DiscordListener(guild_id="1", channels=[DiscordChannel(channel_id="2", trigger=[Mention()])]),
        AdminConsoleListener(agent_id=1),
    ]
    triggers: list[Trigger] = [
        Mention(),
        Emoji(shortcode="eyes", exclude_replies=False),
        AllMessages(),
        TicketComment(),
    ]
    surfaces: list[ChatSurface] = [
        ChatWidget(config=ChatWidgetConfig(convo_identifier="1", context={"url": "https://example.com"})),
        SlackThread(config=SlackThreadConfig(bot_conn_token="x", team_id="T1", channel="C1")),
        ZendeskTicket(config=ZendeskTicketConfig(subdomain="company", id="1")),
        DiscordThread(config=DiscordThreadConfig(guild_id="1", channel_id="2", thread_id="3")),
        AdminConsole(config=AdminConsoleConfig(agent_id=1)),
    ]
    messages: list[ChatMessage] = ["text", AssistantChatMessage(text="a", chat_id=1), UserChatMessage(text="b")]
    assert MessageType.USER.value == "user"
    return listeners, triggers, surfaces, messages


def publishing() -> None:
    client = Client(api_key="key", server_address="http://127.0.0.1:8080")
    assert_type(client.api_key, str)
    assert_type(client.server_address, str)
    client.publish("name", typed)
    client.publish("name", entrypoint=asynchronous, tasks=[plain_task, with_surfaces])
    client.watch("name")
    client.rollback("name")
    client.rollback("name", build_id="0123456789ab")


# What a type checker has to refuse. mypy reports an ignore that is not needed.


def refused(agent: Agent, event: Event, thread: SlackThread, widget: ChatWidget) -> None:
    agent.send_to_slack_thread("hello", widget)  # type: ignore[arg-type]
    agent.send_to_chat_widget("hello", thread)  # type: ignore[arg-type]
    agent.send_to_chat_widget(7, widget)  # type: ignore[arg-type]
    agent.listen([thread], find_customer)  # type: ignore[arg-type]
    agent.step("find", find_customer, "seven")  # type: ignore[call-overload]
    Client().publish("name", plain_task)  # type: ignore[arg-type]
    entrypoint()  # type: ignore[call-arg]


@task()  # type: ignore[arg-type]
def takes_no_event(agent: Agent) -> None: ...


@entrypoint(listeners=WIDGETS)  # type: ignore[arg-type]
def takes_them_the_other_way_round(event: Event, agent: Agent) -> None: ...
