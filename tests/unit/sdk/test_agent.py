"""What each method of an agent asks its runtime for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest

from runllm import (
    AdminConsole,
    AdminConsoleConfig,
    Agent,
    AllMessages,
    AssistantChatMessage,
    ButtonClicked,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    Conversation,
    DiscordThread,
    DiscordThreadConfig,
    Event,
    Mention,
    SlackThread,
    SlackThreadConfig,
    Trigger,
    Unavailable,
    UsageError,
    UserChatMessage,
    ZendeskTicket,
    ZendeskTicketConfig,
    task,
)
from runllm import operations as ops
from runllm.bridge.messages import recorded
from runllm.decorators import TaskWrapper
from runllm.errors import HandlerLeft
from runllm.operations import MessageRef
from runllm.tools import ToolWrapper

WIDGET = ChatWidget(config=ChatWidgetConfig(convo_identifier="c1"))
SLACK = SlackThread(config=SlackThreadConfig(bot_conn_token="ref", team_id="T1", channel="C1", thread_ts="1.0"))
DISCORD = DiscordThread(config=DiscordThreadConfig(guild_id="1", channel_id="2", thread_id="3"))
TICKET = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7"))
CONSOLE = AdminConsole(config=AdminConsoleConfig(agent_id=1, convo_identifier="k"))
BUTTONS = [{"type": "buttons", "buttons": [{"id": "yes", "style": "primary", "text": "Yes"}]}]
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Spy:
    """A runtime that keeps what it is asked for. `results` says what an operation of a type gets."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.results: dict[type, Any] = {
            ops.Tag: ops.Tagged(applied=["new"], tags=["old", "new"]),
            ops.ApplyTag: ops.Tagged(applied=["vip"], tags=["old", "vip"]),
            ops.Categorize: ops.Categorized(category="billing", tags=["old", "billing"]),
        }

    def perform(self, operation: Any) -> Any:
        self.asked.append(operation)
        result = self.results.get(type(operation))
        if isinstance(result, Exception):
            raise result
        return result

    def chat(self, question: MessageRef, tools: list[ToolWrapper] | None) -> Any:
        return self.perform(ops.Chat(question=question, tools=[tool.spec for tool in tools or []]))

    def post_and_wait(self, message: ops.PostMessage, **options: Any) -> ButtonClicked | None:
        self.asked.append((message, options))
        return ButtonClicked(id="yes")

    def listen(self, *arguments: Any) -> NoReturn:
        self.asked.append(arguments)
        raise HandlerLeft("agent.listen() handed over")

    def terminate(self, keep_in_sync: list[ChatSurface] | None) -> NoReturn:
        self.asked.append(keep_in_sync)
        raise HandlerLeft("agent.terminate() ended the session")

    def now(self) -> datetime:
        return NOON

    def sleep(self, duration: timedelta) -> None:
        self.asked.append(duration)

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(name)
        return function(*args, **kwargs)


def question(text: str = "how?", chat_id: int = 5) -> UserChatMessage:
    return recorded(UserChatMessage(text=text, chat_id=chat_id))


def conversation(surface: ChatSurface = WIDGET, message: UserChatMessage | None = None) -> Conversation:
    return Conversation(session_id=12, new_message=message, surface=surface, tags=["old"])


@pytest.fixture
def spy() -> Spy:
    return Spy()


@pytest.fixture
def event() -> Event:
    return Event(conversation=conversation(message=question()), trigger=AllMessages())


@pytest.fixture
def agent(spy: Spy, event: Event) -> Agent:
    return Agent(spy, event)


@task()
def follow_up(agent: Agent, event: Event, widget: ChatWidget) -> None: ...


@task()
def silent(agent: Agent, event: Event) -> None: ...


# Operations: a method, how it is called, what it asks for

QUESTION = MessageRef(chat_id=5)
ASKS: dict[str, tuple[Callable[[Agent, Event], Any], Any]] = {
    "answer": (lambda a, e: a.answer(e.conversation), ops.Answer(question=QUESTION)),
    "chat": (lambda a, e: a.chat(e.conversation), ops.Chat(question=QUESTION)),
    "stream_answer on a widget": (
        lambda a, e: a.stream_answer(e.conversation),
        ops.StreamAnswer(question=QUESTION, to=WIDGET),
    ),
    "stream_answer in the console": (
        lambda a, e: a.stream_answer(conversation(CONSOLE, question())),
        ops.StreamAnswer(question=QUESTION, to=CONSOLE),
    ),
    "summarize": (lambda a, e: a.summarize(e.conversation), ops.Summarize()),
    "summarize without argument": (lambda a, e: a.summarize(), ops.Summarize()),
    "learn": (lambda a, e: a.learn(e.conversation), ops.Learn()),
    "tag": (
        lambda a, e: a.tag(e.conversation, {"new": "it is new"}, guidelines="look"),
        ops.Tag(options={"new": "it is new"}, guidelines="look"),
    ),
    "apply_tag": (lambda a, e: a.apply_tag("vip", e.conversation), ops.ApplyTag(tag="vip")),
    "categorize": (
        lambda a, e: a.categorize(e.conversation, {"billing": "money"}, "other", apply_as_tag=True),
        ops.Categorize(categories={"billing": "money"}, default="other", apply_as_tag=True),
    ),
    "create_slack_thread": (
        lambda a, e: a.create_slack_thread("T1", "C1"),
        ops.CreateSlackThread(team_id="T1", channel_id="C1"),
    ),
    "create_or_get_slack_thread": (
        lambda a, e: a.create_or_get_slack_thread(e.conversation, team_id="T1", channel_id="C1"),
        ops.CreateSlackThread(team_id="T1", channel_id="C1", reuse=True),
    ),
    "create_discord_thread": (
        lambda a, e: a.create_discord_thread("1", "2"),
        ops.CreateDiscordThread(guild_id="1", channel_id="2"),
    ),
    "create_or_get_discord_thread": (
        lambda a, e: a.create_or_get_discord_thread(e.conversation, "1", "2"),
        ops.CreateDiscordThread(guild_id="1", channel_id="2", reuse=True),
    ),
    "create_zendesk_ticket": (
        lambda a, e: a.create_zendesk_ticket(e.conversation, ["a"], "T", "D: {conversation}", domain="x.zendesk.com"),
        ops.CreateZendeskTicket(tags=["a"], title="T", description="D: {conversation}", domain="x.zendesk.com"),
    ),
    "create_zendesk_ticket with nothing": (
        lambda a, e: a.create_zendesk_ticket(e.conversation),
        ops.CreateZendeskTicket(),
    ),
    "update_zendesk_ticket": (
        lambda a, e: a.update_zendesk_ticket(["a"], "on-hold", TICKET),
        ops.UpdateZendeskTicket(to=TICKET, tags=["a"], status="on-hold"),
    ),
    "create_zendesk_ticket that follows up": (
        lambda a, e: a.create_zendesk_ticket(e.conversation, follow_up_of=TICKET),
        ops.CreateZendeskTicket(follow_up_of=TICKET),
    ),
    "send_to_zendesk_ticket for the team": (
        lambda a, e: a.send_to_zendesk_ticket("hi", TICKET, internal=True),
        ops.PostMessage(to=TICKET, message=MessageRef(text="hi"), is_internal=True),
    ),
    "send_to_zendesk_ticket": (
        lambda a, e: a.send_to_zendesk_ticket("hi", TICKET),
        ops.PostMessage(to=TICKET, message=MessageRef(text="hi")),
    ),
    "send_to_chat_widget": (
        lambda a, e: a.send_to_chat_widget(e.conversation.new_message or "", WIDGET),
        ops.PostMessage(to=WIDGET, message=QUESTION),
    ),
    "send_to_discord_thread": (
        lambda a, e: a.send_to_discord_thread("hi", DISCORD, blocks=BUTTONS),
        ops.PostMessage(to=DISCORD, message=MessageRef(text="hi"), blocks=BUTTONS),
    ),
    "send_to_admin_console": (
        lambda a, e: a.send_to_admin_console("hi", CONSOLE),
        ops.PostMessage(to=CONSOLE, message=MessageRef(text="hi")),
    ),
    "send_to_slack_thread": (
        lambda a, e: a.send_to_slack_thread("hi", SLACK, True, "Bot:", False, [{"type": "divider"}]),
        ops.PostMessage(
            to=SLACK,
            message=MessageRef(text="hi"),
            ephemeral=True,
            prefix="Bot:",
            enable_feedback=False,
            blocks=[{"type": "divider"}],
        ),
    ),
    "sync_conversation": (
        lambda a, e: a.sync_conversation(e.conversation, SLACK),
        ops.SyncConversation(to=SLACK),
    ),
}


@pytest.mark.parametrize("case", ASKS)
def test_a_method_asks_for_one_operation(case: str, agent: Agent, event: Event, spy: Spy) -> None:
    call, operation = ASKS[case]
    call(agent, event)
    assert spy.asked == [operation]


def test_every_operation_is_in_the_table() -> None:
    kinds = {kind for kind in vars(ops).values() if isinstance(kind, type) and issubclass(kind, ops.Operation)}
    assert {type(operation) for _, operation in ASKS.values()} == {kind for kind in kinds if "name" in vars(kind)}


@pytest.mark.parametrize("case", ASKS)
def test_an_operation_survives_json(case: str) -> None:
    operation = ASKS[case][1]
    assert type(operation).model_validate_json(operation.model_dump_json()) == operation


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [type(operation).name for _, operation in ASKS.values()]
    kinds = {type(operation) for _, operation in ASKS.values()}
    assert len(set(names)) == len(kinds)


def test_a_result_is_handed_on(agent: Agent, event: Event, spy: Spy) -> None:
    answer = AssistantChatMessage(text="so", chat_id=9)
    spy.results[ops.Answer] = answer
    assert agent.answer(event.conversation) is answer


# Messages travel by number


def test_an_answer_travels_as_its_number_until_its_text_is_changed(agent: Agent, spy: Spy) -> None:
    answer = recorded(AssistantChatMessage(text="so", chat_id=9))
    agent.send_to_chat_widget(answer, WIDGET)
    answer.text = "so, in short"
    agent.send_to_chat_widget(answer, WIDGET)
    assert [post.message for post in spy.asked] == [
        MessageRef(chat_id=9),
        MessageRef(chat_id=9, text="so, in short"),
    ]


def test_a_question_of_ones_own_can_be_answered(agent: Agent, spy: Spy) -> None:
    mine = Conversation(new_message=UserChatMessage(text="in other words"), surface=WIDGET)
    agent.answer(mine)
    assert spy.asked == [ops.Answer(question=MessageRef(text="in other words"))]


def test_a_persons_file_without_words_can_be_passed_on(agent: Agent, spy: Spy) -> None:
    agent.send_to_chat_widget(UserChatMessage(text="", chat_id=3, attachments=[{"name": "log.txt"}]), WIDGET)
    assert spy.asked[0].message.chat_id == 3


# Tags


def test_tagging_keeps_the_conversations_tags_up_to_date_in_place(agent: Agent, event: Event) -> None:
    tags = event.conversation.tags
    assert agent.tag(event.conversation, {"new": "it is new"}) == ["new"]
    assert tags == ["old", "new"]
    agent.apply_tag("vip", event.conversation)
    assert tags == ["old", "vip"]
    assert agent.categorize(event.conversation, {"billing": "money"}, "other") == "billing"
    assert tags == ["old", "billing"]
    assert event.conversation.tags is tags


def test_tags_of_the_event_follow_where_a_copy_is_tagged(agent: Agent, event: Event) -> None:
    copy = event.conversation.model_copy(deep=True)
    agent.apply_tag("vip", copy)
    assert (copy.tags, event.conversation.tags) == (["old", "vip"], ["old", "vip"])


# Buttons

WAITS: dict[str, tuple[Callable[[Agent], ButtonClicked | None], ChatSurface]] = {
    "slack": (lambda a: a.send_to_slack_thread("?", SLACK, blocks=BUTTONS, block_until_button_clicked=True), SLACK),
    "discord": (
        lambda a: a.send_to_discord_thread("?", DISCORD, blocks=BUTTONS, block_until_button_clicked=True),
        DISCORD,
    ),
    "widget": (lambda a: a.send_to_chat_widget("?", WIDGET, blocks=BUTTONS, block_until_button_clicked=True), WIDGET),
    "console": (
        lambda a: a.send_to_admin_console("?", CONSOLE, blocks=BUTTONS, block_until_button_clicked=True),
        CONSOLE,
    ),
}


@pytest.mark.parametrize("case", WAITS)
def test_a_send_with_buttons_waits_for_a_click(case: str, agent: Agent, spy: Spy) -> None:
    call, surface = WAITS[case]
    assert call(agent) == ButtonClicked(id="yes")
    ((post, options),) = spy.asked
    assert (post.to, post.blocks) == (surface, BUTTONS)
    assert options == {"timeout": None, "allowed_users": None}


@pytest.mark.parametrize("timeout", [timedelta(minutes=1), 60, 60.0])
def test_a_wait_takes_a_time_and_people(timeout: Any, agent: Agent, spy: Spy) -> None:
    agent.send_to_chat_widget(
        "?", WIDGET, blocks=BUTTONS, block_until_button_clicked=True, timeout=timeout, allowed_users=["U1"]
    )
    assert spy.asked[0][1] == {"timeout": timedelta(minutes=1), "allowed_users": ["U1"]}


def test_a_send_without_a_wait_returns_nothing(agent: Agent) -> None:
    assert agent.send_to_chat_widget("hi", WIDGET, blocks=BUTTONS) is None


# chat_ts


@pytest.fixture
def placeholder() -> SlackThread:
    return SlackThread(
        config=SlackThreadConfig(bot_conn_token="ref", team_id="T1", channel="C1", thread_ts="1.0", chat_ts="1.5")
    )


def test_the_message_to_replace_is_named_once(agent: Agent, spy: Spy, placeholder: SlackThread) -> None:
    spy.results[ops.PostMessage] = ops.Posted(remote_id="1.7")
    agent.send_to_slack_thread("done", placeholder)
    agent.send_to_slack_thread("more", placeholder)
    assert [post.to.config.chat_ts for post in spy.asked] == ["1.5", None]
    assert placeholder.config.last_ts == "1.7"
    agent.send_to_slack_thread("for you", placeholder, ephemeral=True)
    assert placeholder.config.last_ts == "1.7"


def test_the_message_to_replace_is_kept_where_the_send_fails(agent: Agent, spy: Spy, placeholder: SlackThread) -> None:
    spy.results[ops.PostMessage] = Unavailable("Slack is away")
    with pytest.raises(Unavailable):
        agent.send_to_slack_thread("done", placeholder)
    with pytest.raises(UsageError):
        agent.send_to_slack_thread("", placeholder)
    assert placeholder.config.chat_ts == "1.5"


# Transitions, time, steps


def test_listen_hands_over_with_all_it_was_given(agent: Agent, spy: Spy) -> None:
    with pytest.raises(HandlerLeft, match="catch Exception, and never BaseException"):
        agent.listen([WIDGET, SLACK], follow_up, [AllMessages(), Mention()], timeout=60, on_timeout=silent)
    triggers: list[Trigger] = [AllMessages(), Mention()]
    assert spy.asked == [([WIDGET, SLACK], follow_up, triggers, timedelta(minutes=1), silent)]


def test_an_except_clause_does_not_stop_a_transition(agent: Agent) -> None:
    def handler() -> None:
        try:
            agent.listen([WIDGET], silent)
        except Exception:
            pytest.fail("a transition is no Exception")

    with pytest.raises(HandlerLeft):
        handler()


@pytest.mark.parametrize("keep", [None, [], [WIDGET, SLACK]])
def test_terminate_names_what_stays_in_sync(keep: list[ChatSurface] | None, agent: Agent, spy: Spy) -> None:
    with pytest.raises(HandlerLeft):
        agent.terminate(keep_in_sync=keep)
    assert spy.asked == [keep]


def test_time_comes_from_the_runtime(agent: Agent, spy: Spy) -> None:
    assert agent.now() == NOON
    agent.sleep(1.5)
    agent.sleep(timedelta(days=1))
    assert spy.asked == [timedelta(seconds=1.5), timedelta(days=1)]


def test_a_step_takes_arguments_of_any_name(agent: Agent, spy: Spy) -> None:
    def look_up(number: int, *, name: str, function: str) -> str:
        return f"{number} {name} {function}"

    assert agent.step("look up", look_up, 1, name="n", function="f") == "1 n f"
    assert spy.asked == ["look up"]


# Mistakes: a call, and words of the error


def _keeps(agent: Agent, other: int) -> Conversation:
    return Conversation(session_id=other, new_message=question(), surface=WIDGET)


NOT_A_TASK: Any = lambda agent, event: None  # noqa: E731 - a function without @task
ANSWER: Any = AssistantChatMessage(text="so", chat_id=9)
ANY: Any = None
MISTAKES: dict[str, tuple[Callable[[Agent, Event], Any], str]] = {
    "no conversation": (lambda a, e: a.answer("how?"), r"agent.answer\(\) takes a conversation.*not str 'how\?'"),
    "a function that is no tool": (
        lambda a, e: a.chat(e.conversation, tools=[len]),
        r"agent.chat\(tools=...\) takes a list of functions marked with @tool\(\)",
    ),
    "an event": (lambda a, e: a.chat(e), r"agent.chat\(\) takes a conversation, such as event.conversation"),
    "another session": (lambda a, e: a.learn(_keeps(a, 99)), "session 99 in session 12.*global variable"),
    "nobody wrote": (lambda a, e: a.answer(conversation()), r"agent.answer\(\) needs a message to answer"),
    "nobody wrote to chat": (lambda a, e: a.chat(conversation()), r"agent.chat\(\) needs a message"),
    "nobody wrote to stream": (lambda a, e: a.stream_answer(conversation()), r"stream_answer\(\) needs a message"),
    "stream to Slack": (
        lambda a, e: a.stream_answer(conversation(SLACK, question())),
        r"not on a SlackThread: use agent.answer\(\)",
    ),
    "summarize text": (lambda a, e: a.summarize("text"), r"agent.summarize\(\) takes a conversation"),
    "tag without options": (lambda a, e: a.tag(e.conversation, {}), r"tag\(options=...\) takes at least one name"),
    "tag with a list": (lambda a, e: a.tag(e.conversation, ["x"]), r"tag\(options=...\).*not list \['x'\]"),
    "tag without a name": (lambda a, e: a.tag(e.conversation, {" ": "x"}), r"tag\(options=...\)"),
    "guidelines": (lambda a, e: a.tag(e.conversation, {"a": "b"}, 3), r"tag\(guidelines=...\) takes a text or None"),
    "empty tag": (lambda a, e: a.apply_tag(" ", e.conversation), r"apply_tag\(tag=...\) takes a text"),
    "tag and conversation swapped": (lambda a, e: a.apply_tag(e.conversation, "x"), r"takes a conversation"),
    "no categories": (lambda a, e: a.categorize(e.conversation, {}, "x"), r"categorize\(categories=...\)"),
    "no default": (lambda a, e: a.categorize(e.conversation, {"a": "b"}, ANY), r"categorize\(default=...\)"),
    "no channel": (lambda a, e: a.create_slack_thread("T1", ""), r"create_slack_thread\(channel_id=...\)"),
    "no team": (lambda a, e: a.create_or_get_slack_thread(e.conversation, ANY, "C1"), r"\(team_id=...\).*not None"),
    "no guild": (lambda a, e: a.create_discord_thread(ANY, "2"), r"create_discord_thread\(guild_id=...\)"),
    "ticket tags as text": (
        lambda a, e: a.create_zendesk_ticket(e.conversation, "urgent"),
        r"\(tags=...\) takes a list",
    ),
    "follow up the wrong thing": (
        lambda a, e: a.create_zendesk_ticket(e.conversation, follow_up_of="7"),
        r"\(follow_up_of=...\) takes a ZendeskTicket",
    ),
    "an internal that is a text": (
        lambda a, e: a.send_to_zendesk_ticket("hi", TICKET, internal="no"),
        r"\(internal=...\) takes True or False",
    ),
    "ticket title": (lambda a, e: a.create_zendesk_ticket(e.conversation, title=7), r"\(title=...\) takes a text"),
    "status": (
        lambda a, e: a.update_zendesk_ticket([], "done", TICKET),
        "one of new, open, pending, on-hold, solved, closed, and not 'done'",
    ),
    "update the wrong thing": (lambda a, e: a.update_zendesk_ticket([], "open", WIDGET), "takes a ZendeskTicket"),
    "update tags": (lambda a, e: a.update_zendesk_ticket("vip", "open", TICKET), r"\(tags=...\) takes a list"),
    "send to an answer": (
        lambda a, e: a.send_to_slack_thread("hi", ANSWER),
        r"send_to_slack_thread\(to=...\) takes a SlackThread, and not AssistantChatMessage",
    ),
    "send to another surface": (
        lambda a, e: a.send_to_slack_thread("hi", WIDGET),
        r"for that there is agent.send_to_chat_widget\(\)",
    ),
    "send nothing": (lambda a, e: a.send_to_chat_widget("  ", WIDGET), "needs a message with something in it"),
    "send None": (lambda a, e: a.send_to_chat_widget(None, WIDGET), "new_message is None where nobody wrote one"),
    "send a number": (lambda a, e: a.send_to_chat_widget(7, WIDGET), "and not int 7"),
    "prefix": (lambda a, e: a.send_to_slack_thread("hi", SLACK, prefix=7), r"\(prefix=...\) takes a text"),
    "blocks are no list": (
        lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=BUTTONS[0]),
        "takes a list of blocks",
    ),
    "block without type": (lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=[{}]), "with a type each"),
    "no JSON": (
        lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=[{"type": "x", "y": {1, 2}}]),
        "takes what JSON can hold",
    ),
    "row without buttons": (
        lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=[{"type": "buttons"}]),
        "has buttons without a button",
    ),
    "button without text": (
        lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=[{"type": "buttons", "buttons": [{"id": "a"}]}]),
        "has a button without id or text",
    ),
    "two buttons of one id": (
        lambda a, e: a.send_to_chat_widget("hi", WIDGET, blocks=BUTTONS * 2),
        "two buttons with the id 'yes'",
    ),
    "wait without buttons": (
        lambda a, e: a.send_to_slack_thread("hi", SLACK, block_until_button_clicked=True),
        r"send_to_slack_thread\(block_until_button_clicked=True\) needs a button",
    ),
    "wait with other blocks": (
        lambda a, e: a.send_to_slack_thread("hi", SLACK, blocks=[{"type": "divider"}], block_until_button_clicked=True),
        "needs a button",
    ),
    "time without a wait": (
        lambda a, e: a.send_to_slack_thread("hi", SLACK, timeout=3),
        "are about a wait: add block_until_button_clicked=True",
    ),
    "people without a wait": (
        lambda a, e: a.send_to_slack_thread("hi", SLACK, allowed_users=["U1"]),
        "are about a wait",
    ),
    "nobody may click": (
        lambda a, e: a.send_to_chat_widget(
            "?", WIDGET, blocks=BUTTONS, block_until_button_clicked=True, allowed_users=[]
        ),
        "lets nobody click",
    ),
    "one person as text": (
        lambda a, e: a.send_to_chat_widget(
            "?", WIDGET, blocks=BUTTONS, block_until_button_clicked=True, allowed_users="U1"
        ),
        r"\(allowed_users=...\) takes a list of texts",
    ),
    "no time to click": (
        lambda a, e: a.send_to_chat_widget("?", WIDGET, blocks=BUTTONS, block_until_button_clicked=True, timeout=0),
        "takes some time to wait, and not 0",
    ),
    "copy to nothing": (lambda a, e: a.sync_conversation(e.conversation, "slack"), "takes a list of surfaces"),
    "copy to itself": (lambda a, e: a.sync_conversation(e.conversation, WIDGET), "another surface than"),
    "listen on nothing": (lambda a, e: a.listen([], silent), r"needs a surface.*agent.terminate\(\)"),
    "listen on one": (lambda a, e: a.listen(WIDGET, silent), "takes a list of surfaces"),
    "listen on a listener": (lambda a, e: a.listen([WIDGET, "slack"], silent), "and not str 'slack'"),
    "listen with a function": (lambda a, e: a.listen([WIDGET], NOT_A_TASK), r"takes a function marked with @task\(\)"),
    "listen with a call": (lambda a, e: a.listen([WIDGET], None), r"listen\(handler=...\)"),
    "listen without the surface": (lambda a, e: a.listen([SLACK], follow_up), "follow_up takes `widget: ChatWidget`"),
    "too few triggers": (
        lambda a, e: a.listen([WIDGET, SLACK], silent, [AllMessages()]),
        "one trigger for each surface of on: 2, and not 1",
    ),
    "one trigger alone": (lambda a, e: a.listen([WIDGET], silent, AllMessages()), "1, and not AllMessages"),
    "triggers are classes": (lambda a, e: a.listen([WIDGET], silent, [AllMessages]), r"like AllMessages\(\)"),
    "time without handler": (lambda a, e: a.listen([WIDGET], silent, timeout=3), "go together"),
    "handler without time": (lambda a, e: a.listen([WIDGET], silent, on_timeout=silent), "go together"),
    "timeout handler": (
        lambda a, e: a.listen([WIDGET], silent, timeout=3, on_timeout=NOT_A_TASK),
        r"listen\(on_timeout=...\)",
    ),
    "timeout handler without the surface": (
        lambda a, e: a.listen([SLACK], silent, timeout=3, on_timeout=follow_up),
        "follow_up takes `widget: ChatWidget`",
    ),
    "keep one": (lambda a, e: a.terminate([WIDGET]), "at least two surfaces"),
    "keep one twice": (lambda a, e: a.terminate([WIDGET, WIDGET]), "at least two surfaces"),
    "keep text": (lambda a, e: a.terminate(["slack"]), "takes a list of surfaces"),
    "sleep text": (lambda a, e: a.sleep("5m"), "takes a timedelta or a number of seconds, and not str '5m'"),
    "sleep a truth": (lambda a, e: a.sleep(True), "takes a timedelta or a number"),
    "sleep backwards": (lambda a, e: a.sleep(-1), "takes no time before now: -1"),
    "sleep for ever": (lambda a, e: a.sleep(float("inf")), "takes at most 999999999 days"),
    "sleep for nothing known": (lambda a, e: a.sleep(float("nan")), "takes at most"),
    "step without a name": (lambda a, e: a.step("", print), r"step\(name=...\)"),
    "step of a result": (lambda a, e: a.step("x", 5), "takes a function and its arguments.*not int 5"),
    "step of the agent": (lambda a, e: a.step("x", a.answer, e.conversation), "call the agent's methods as they are"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_refused_before_anything_is_asked_for(case: str, agent: Agent, event: Event, spy: Spy) -> None:
    call, words = MISTAKES[case]
    with pytest.raises(UsageError, match=words):
        call(agent, event)
    assert spy.asked == []


def test_long_values_are_cut_in_errors(agent: Agent) -> None:
    with pytest.raises(UsageError) as caught:
        agent.send_to_chat_widget({"text": "x" * 1000}, WIDGET)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250


def test_a_handler_may_move_on_to_an_entrypoint(agent: Agent, spy: Spy) -> None:
    from runllm import WidgetListener, entrypoint

    @entrypoint(listeners=[WidgetListener(domain="localhost")])
    def again(agent: Agent, event: Event) -> None: ...

    handler: Any = again
    with pytest.raises(HandlerLeft):
        agent.listen([WIDGET], handler)
    assert isinstance(follow_up, TaskWrapper)
    assert spy.asked[0][1] is again
