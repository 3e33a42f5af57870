"""Small promises of surfaces, listeners, triggers, messages and errors."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from runllm import (
    AdminConsole,
    AdminConsoleConfig,
    AllMessages,
    AssistantChatMessage,
    ChatWidget,
    ChatWidgetConfig,
    Conversation,
    DiscordThread,
    DiscordThreadConfig,
    Emoji,
    Event,
    Mention,
    RateLimited,
    SlackListener,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    TicketComment,
    TicketStatus,
    Trigger,
    UserChatMessage,
    WidgetListener,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.bridge.listeners import AnyListener, as_list
from runllm.bridge.messages import recorded
from runllm.bridge.surfaces import AnySurface, surface_key
from runllm.bridge.triggers import Happening, default_trigger, fires, first_that_fires
from runllm.errors import BY_NAME, HandlerLeft, RunLLMError
from runllm.operations import MessageRef

WIDGET = ChatWidget(config=ChatWidgetConfig(convo_identifier="c1"))
SLACK = SlackThread(config=SlackThreadConfig(bot_conn_token="ref", team_id="T1", channel="C1", thread_ts="1.0"))
DISCORD = DiscordThread(config=DiscordThreadConfig(guild_id="1", channel_id="2", thread_id="3"))
TICKET = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7"))
CONSOLE = AdminConsole(config=AdminConsoleConfig(agent_id=1, convo_identifier="k"))
PLACES = [WIDGET, SLACK, DISCORD, TICKET, CONSOLE]


@pytest.mark.parametrize("surface", PLACES, ids=lambda surface: str(surface.type))
def test_a_surface_keeps_its_kind_through_json(surface: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnySurface)
    assert adapter.validate_json(adapter.dump_json(surface)) == surface


def test_surface_keys() -> None:
    keys = [surface_key(surface) for surface in PLACES]
    assert keys == ["widget:c1", "slack:T1:C1:1.0", "discord:1:3", "zendesk:acme:7", "console:1:k"]


def test_a_widget_is_the_same_place_whatever_its_page_says() -> None:
    elsewhere = ChatWidget(config=ChatWidgetConfig(convo_identifier="c1", context={"url": "https://example.com"}))
    assert surface_key(elsewhere) == surface_key(WIDGET)


def test_a_slack_thread_links_to_its_first_message_or_to_its_channel() -> None:
    assert SLACK.link() == "https://app.slack.com/client/T1/C1/thread/C1-1.0"
    config = SLACK.config.model_copy(update={"thread_ts": None})
    assert SlackThread(config=config).link() == "https://app.slack.com/client/T1/C1"


def test_a_ticket_has_two_names_for_its_number() -> None:
    assert (TICKET.id, TICKET.ticket_id, TICKET.subdomain) == ("7", "7", "acme")


def test_a_config_refuses_what_does_not_fit_also_later() -> None:
    config: Any = SLACK.config.model_copy()
    with pytest.raises(ValidationError):
        config.chat_ts = 3


def test_a_conversation_has_a_session_number_that_is_no_field() -> None:
    conversation = Conversation(session_id=12, surface=WIDGET)
    assert (conversation.session_id, "session_id" in conversation.model_dump()) == (12, False)
    assert Conversation(surface=WIDGET).session_id == 0


def test_an_event_keeps_its_trigger_through_json() -> None:
    event = Event(conversation=Conversation(surface=SLACK), trigger=Emoji(shortcode="eyes"))
    assert Event.model_validate_json(event.model_dump_json()).trigger == Emoji(shortcode="eyes")


def test_one_trigger_several_or_none_as_a_list() -> None:
    assert as_list(None) == []
    assert as_list(Mention()) == [Mention()]
    both: list[Trigger] = [Mention(), AllMessages()]
    assert as_list(both) == both
    assert as_list(both) is not both


def test_a_listener_keeps_its_kind_through_json_and_refuses_unknown_options() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyListener)
    for listener in (SlackListener(team_id="T1", default_trigger=[Mention()]), WidgetListener(domain="example.com")):
        assert adapter.validate_json(adapter.dump_json(listener)) == listener
    with pytest.raises(ValidationError, match="team"):
        adapter.validate_python({"type": "widget", "domain": "example.com", "team": "T1"})


MESSAGE = Happening(surface=SurfaceType.SLACK_THREAD)
MENTION = Happening(surface=SurfaceType.SLACK_THREAD, is_mention=True)
COMMENT = Happening(surface=SurfaceType.ZENDESK_TICKET)
SOLVED = Happening(surface=SurfaceType.ZENDESK_TICKET, is_message=False, status="solved")
EYES = Happening(surface=SurfaceType.SLACK_THREAD, is_message=False, emoji="eyes")
EYES_ON_REPLY = EYES.model_copy(update={"is_reply": True})
EYES_ON_OLD = EYES.model_copy(update={"is_last": False})


@pytest.mark.parametrize(
    ("trigger", "what", "expected"),
    [
        (AllMessages(), MESSAGE, True),
        (AllMessages(), COMMENT, True),
        (AllMessages(), EYES, False),
        (Mention(), MENTION, True),
        (Mention(), MESSAGE, False),
        (TicketComment(), COMMENT, True),
        (TicketComment(), MESSAGE, False),
        (TicketComment(), SOLVED, False),
        (AllMessages(), SOLVED, False),
        (TicketStatus(), SOLVED, True),
        (TicketStatus(statuses=["pending", "on-hold"]), SOLVED, False),
        (TicketStatus(), COMMENT, False),
        (TicketStatus(comments=True), COMMENT, True),
        (TicketStatus(comments=True), MESSAGE, False),
        (Emoji(shortcode="eyes"), EYES, True),
        (Emoji(shortcode="ticket"), EYES, False),
        (Emoji(shortcode="eyes"), MESSAGE, False),
        (Emoji(shortcode="eyes"), EYES_ON_REPLY, False),
        (Emoji(shortcode="eyes", exclude_replies=False), EYES_ON_REPLY, True),
        (Emoji(shortcode="eyes"), EYES_ON_OLD, False),
        (AllMessages(), MESSAGE.model_copy(update={"is_from_bot": True}), False),
        (AllMessages(from_bots=True), MESSAGE.model_copy(update={"is_from_bot": True}), True),
        (Mention(from_bots=True), MENTION.model_copy(update={"is_from_bot": True}), True),
        (Mention(from_bots=True), MESSAGE.model_copy(update={"is_from_bot": True}), False),
        (TicketComment(), COMMENT.model_copy(update={"is_from_bot": True}), False),
        (Emoji(shortcode="eyes"), EYES.model_copy(update={"is_from_bot": True}), False),
    ],
)
def test_when_a_trigger_fires(trigger: Trigger, what: Happening, expected: bool) -> None:
    assert fires(trigger, what) is expected


def test_the_first_trigger_that_fires_counts() -> None:
    assert first_that_fires([Emoji(shortcode="eyes"), Mention(), AllMessages()], MENTION) == Mention()
    assert first_that_fires([], MENTION) is None


def test_what_listen_listens_for_where_it_is_not_told() -> None:
    assert [default_trigger(surface) for surface in PLACES] == [
        AllMessages(), AllMessages(), AllMessages(), TicketComment(), AllMessages(),
    ]  # fmt: skip


def test_a_message_is_referred_to_as_briefly_as_possible() -> None:
    answer = AssistantChatMessage(text="so", chat_id=9)
    assert MessageRef.of(answer) == MessageRef(chat_id=9, text="so"), "nobody said that the record has it"
    assert MessageRef.of(recorded(answer)) == MessageRef(chat_id=9)
    assert MessageRef.of("hi") == MessageRef(text="hi")
    assert MessageRef.of(recorded(UserChatMessage(text="mine"))) == MessageRef(text="mine"), "it is in no record"


def test_answers_have_content_as_another_word_for_text() -> None:
    assert AssistantChatMessage(text="so", chat_id=9).content == "so"


def test_errors_that_cross_a_process_are_found_by_name() -> None:
    assert all(BY_NAME[name].__name__ == name for name in BY_NAME)
    assert all(issubclass(error, RunLLMError) for error in BY_NAME.values())
    subclasses = [RunLLMError]
    for error in subclasses:
        subclasses += error.__subclasses__()
    ours = {error.__name__ for error in subclasses if error.__module__ == "runllm.errors"}
    assert ours == set(BY_NAME)


def test_a_rate_limit_says_how_long_to_wait() -> None:
    assert RateLimited("slowly", retry_after=2.5).retry_after == 2.5
    assert RateLimited("slowly").retry_after == 1.0


def test_leaving_a_handler_is_no_exception_that_one_catches() -> None:
    assert not issubclass(HandlerLeft, Exception)
    assert "catch Exception, and never BaseException" in str(HandlerLeft("agent.listen() handed over"))


@pytest.mark.parametrize(
    ("written", "given", "fires_"),
    [
        (":ticket:", "ticket", True),
        ("thumbsup", "+1", True),
        ("+1", "thumbsup", True),
        ("ticket", "tickets", False),
    ],
)
def test_an_emoji_is_the_same_however_it_is_written(written: str, given: str, fires_: bool) -> None:
    what = Happening(surface=SurfaceType.SLACK_THREAD, is_message=False, emoji=given)
    assert fires(Emoji(shortcode=written), what) is fires_


def test_an_emoji_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="named like 'ticket'"):
        Emoji(shortcode="::")


def test_the_address_of_a_thread_is_permanent_where_the_workspace_is_known() -> None:
    config = SLACK.config.model_copy(update={"workspace_url": "https://acme.slack.com/", "thread_ts": "1700.000100"})
    assert SlackThread(config=config).link() == "https://acme.slack.com/archives/C1/p1700000100"
    assert SLACK.link() == "https://app.slack.com/client/T1/C1/thread/C1-1.0"


def test_a_slack_thread_stays_the_same_thread_whatever_was_sent_there_last() -> None:
    config = SlackThreadConfig(bot_conn_token="t", team_id="T1", channel="C1", thread_ts="1.0")
    later = config.model_copy(update={"last_ts": "2.0", "workspace_url": "https://acme.slack.com/"})
    assert SlackThread(config=config) == SlackThread(config=later)
    assert SlackThread(config=config) != SlackThread(config=config.model_copy(update={"thread_ts": "2.0"}))
