"""Rehearsals: conversations in memory, as strict as the engine."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from runllm import (
    AdminConsole,
    AdminConsoleListener,
    Agent,
    AllMessages,
    AnswerCategory,
    AssistantChatMessage,
    ChatWidget,
    DiscordChannel,
    DiscordListener,
    DiscordThread,
    Emoji,
    Event,
    Mention,
    ModelError,
    NotConnected,
    Rejected,
    SlackChannel,
    SlackListener,
    SlackThread,
    Source,
    StepError,
    SurfaceError,
    SurfaceType,
    TicketComment,
    TicketStatus,
    Unavailable,
    UsageError,
    UserChatMessage,
    WidgetListener,
    ZendeskListener,
    ZendeskTicket,
    entrypoint,
    task,
)
from runllm import operations as ops
from runllm.decorators import EntrypointWrapper
from runllm.testing import NotScripted, Rehearsal

HERE = [WidgetListener(domain="localhost")]
BUTTONS = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]
HOUR = timedelta(hours=1)


def handler(function: Callable[[Agent, Event], Any]) -> EntrypointWrapper:
    """An entrypoint made of a function that a test wrote inside itself."""
    return entrypoint(listeners=HERE)(function)


def place(event: Event) -> ChatWidget:
    assert isinstance(event.conversation.surface, ChatWidget)
    return event.conversation.surface


@entrypoint(listeners=HERE)
def answers(agent: Agent, event: Event) -> None:
    agent.send_to_chat_widget(agent.answer(event.conversation), place(event))


@entrypoint(listeners=HERE)
def asks(agent: Agent, event: Event) -> None:
    assert event.conversation.new_message is not None
    if event.conversation.new_message.text != "ask me":
        agent.send_to_chat_widget("noted", place(event))
        if event.conversation.new_message.text == "bye":
            agent.terminate()
        return
    click = agent.send_to_chat_widget(
        "ok?", place(event), blocks=BUTTONS, block_until_button_clicked=True, timeout=HOUR, allowed_users=["U1"]
    )
    agent.send_to_chat_widget(f"{click.id} by {click.user}" if click else "too late", place(event))


# Answers


def test_a_scripted_answer_reaches_the_surface() -> None:
    with Rehearsal(answers) as talk:
        talk.will_answer("42", AnswerCategory.LOW_CONFIDENCE, sources=[Source(title="Guide")])
        (sent,) = talk.say("What is it?")
    assert (sent.to, sent.text, talk.texts()) == (talk.surface, "42", ["42"])
    assert isinstance(sent.message, AssistantChatMessage)
    assert (sent.message.category, sent.message.sources) == (AnswerCategory.LOW_CONFIDENCE, [Source(title="Guide")])


def test_streaming_sends_the_answer_by_itself() -> None:
    @handler
    def streams(agent: Agent, event: Event) -> None:
        agent.stream_answer(event.conversation)

    with Rehearsal(streams) as talk:
        talk.will_answer("42")
        assert [sent.text for sent in talk.say("?")] == ["42"]


def test_what_the_agent_learns_is_scripted() -> None:
    @handler
    def learns(agent: Agent, event: Event) -> None:
        agent.send_to_chat_widget(agent.learn(event.conversation), place(event))

    with Rehearsal(learns) as talk:
        talk.will_learn("It ships in May.")
        talk.say("?")
    assert talk.texts() == ["It ships in May."]


def test_an_answer_that_is_not_scripted_says_what_to_call() -> None:
    with pytest.raises(NotScripted, match=r"answers.answer.*will_answer\(text\)"), Rehearsal(answers) as talk:
        talk.say("?")


def test_a_gap_in_the_script_cannot_be_swallowed() -> None:
    @handler
    def swallows(agent: Agent, event: Event) -> None:
        try:
            agent.learn(event.conversation)
        except Exception:
            agent.apply_tag("swallowed", event.conversation)

    with pytest.raises(NotScripted, match="will_learn"):
        Rehearsal(swallows).say("?")


def test_an_unused_script_fails_the_test() -> None:
    talk = Rehearsal(answers)
    talk.will_answer("42")
    talk.will_answer("43")
    talk.will_click("yes")
    talk.will_say("x")
    talk.say("?")
    with pytest.raises(AssertionError, match=r"answers.answer, click yes, say 'x'"), talk:
        pass


def fails_after_an_answer() -> None:
    with Rehearsal(answers) as talk:
        talk.will_answer("42")
        talk.say("What is it?")
        assert talk.texts() == ["43"]


def test_a_failure_shows_the_transcript() -> None:
    with pytest.raises(AssertionError) as caught:
        fails_after_an_answer()
    assert caught.value.__notes__[-1] == "The conversation:\nuser on chat_widget: What is it?\n→ chat_widget: 42"


def test_a_scripted_failure_is_raised_in_the_handler() -> None:
    @handler
    def retries(agent: Agent, event: Event) -> None:
        try:
            agent.answer(event.conversation)
        except ModelError as error:
            agent.send_to_chat_widget(f"sorry: {error}", place(event))

    with Rehearsal(retries) as talk:
        talk.will_fail(ops.Answer, ModelError("it is down"))
        talk.say("?")
    assert talk.texts() == ["sorry: it is down"]


@handler
def asks_around(agent: Agent, event: Event) -> None:
    tried: list[str] = []
    thread = None
    try:
        thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
        agent.send_to_chat_widget("one moment", place(event))
        agent.send_to_slack_thread("who knows?", thread)
    except SurfaceError as error:
        tried.append(str(error))
    try:
        ticket = agent.create_zendesk_ticket(event.conversation)
        agent.send_to_zendesk_ticket("who knows?", ticket)
    except SurfaceError as error:
        tried.append(str(error))
    agent.send_to_chat_widget("; ".join(tried) or "asked", place(event))


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (Agent.create_or_get_slack_thread, NotConnected("no Slack")),
        (Agent.send_to_slack_thread, Rejected("archived")),
        (Agent.create_zendesk_ticket, Unavailable("no Zendesk")),
        (Agent.send_to_zendesk_ticket, Rejected("closed")),
    ],
)
def test_a_method_of_the_agent_fails_and_the_others_do_not(method: Callable[..., Any], error: Exception) -> None:
    with Rehearsal(asks_around) as talk:
        talk.will_fail(method, error)
        assert talk.say("?")[-1].text == str(error)
        assert talk.say("?")[-1].text == "asked"


def test_a_failure_comes_in_the_order_of_the_script() -> None:
    with Rehearsal(answers) as talk:
        talk.will_answer("42")
        talk.will_fail(Agent.answer, ModelError("tired"))
        talk.will_answer("43")
        assert [sent.text for sent in talk.say("?")] == ["42"]
        with pytest.raises(ModelError, match="tired"):
            talk.say("?")
        assert [sent.text for sent in talk.say("?")] == ["43"]


def test_a_failure_that_never_comes_fails_the_test_by_its_name() -> None:
    talk = Rehearsal(asks_around)
    talk.will_fail(Agent.create_slack_thread, Rejected("no"))
    talk.will_fail(ops.Learn, ModelError("no"))
    talk.say("?")
    with pytest.raises(AssertionError, match=r"create_slack_thread fails, learning\.learn fails"):
        talk.check_script()


@pytest.mark.parametrize("what", [Agent.terminate, Agent.now, len])
def test_what_cannot_fail_cannot_be_scripted_to(what: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=f"'{what.__name__}' cannot be scripted to fail"):
        Rehearsal(answers).will_fail(what, Rejected("no"))


def test_every_method_that_asks_for_something_can_fail() -> None:
    talk, cannot = Rehearsal(answers), {"listen", "now", "sleep", "step", "terminate"}
    for name in {name for name in vars(Agent) if not name.startswith("_")} - cannot:
        talk.will_fail(getattr(Agent, name), Rejected("no"))


def test_an_error_in_a_handler_reaches_the_test() -> None:
    @handler
    def breaks(agent: Agent, event: Event) -> None:
        raise LookupError("no such customer")

    with pytest.raises(LookupError, match="no such customer"):
        Rehearsal(breaks).say("?")


# The record


def test_a_message_of_nowhere_is_refused_as_in_the_engine() -> None:
    @handler
    def invents(agent: Agent, event: Event) -> None:
        message = AssistantChatMessage(text="mine", chat_id=999)
        agent.send_to_chat_widget(message, place(event))

    with pytest.raises(UsageError, match="has no message 999"):
        Rehearsal(invents).say("?")


def test_a_changed_answer_is_sent_with_its_new_text_and_old_category() -> None:
    @handler
    def shortens(agent: Agent, event: Event) -> None:
        answer = agent.chat(event.conversation)
        answer.text = "short"
        agent.send_to_chat_widget(answer, place(event))
        assert event.conversation.new_message is not None
        agent.send_to_chat_widget(event.conversation.new_message, place(event))

    with Rehearsal(shortens) as talk:
        talk.will_answer("very long", AnswerCategory.UNANSWERED)
        first, second = talk.say("?")
    assert isinstance(first.message, AssistantChatMessage)
    assert (first.text, first.message.category) == ("short", AnswerCategory.UNANSWERED)
    assert (second.text, second.message.type) == ("?", "user")


def test_blocks_prefix_and_the_rest_are_kept() -> None:
    @entrypoint(listeners=[SlackListener(team_id="T1", channels=[SlackChannel(channel_id="C9")])])
    def shows(agent: Agent, event: Event) -> None:
        thread = event.conversation.surface
        assert isinstance(thread, SlackThread)
        agent.send_to_slack_thread("hi", thread, True, "Bot:", False, BUTTONS)

    (sent,) = Rehearsal(shows).say("?")
    assert (sent.ephemeral, sent.prefix, sent.enable_feedback, sent.buttons) == (True, "Bot:", False, ["yes", "no"])


def test_chat_ts_replaces_a_message() -> None:
    @entrypoint(listeners=[SlackListener(team_id="T1")])
    def replaces(agent: Agent, event: Event) -> None:
        thread = agent.create_slack_thread("T1", "C1")
        agent.send_to_slack_thread("one moment", thread)
        thread.config.chat_ts = "3"  # the question is 1, the thread 2, the first message 3
        agent.send_to_slack_thread("done", thread)

    talk = Rehearsal(replaces)
    talk.say("?")
    assert [sent.text for sent in talk.sent] == ["done"]


def test_what_was_sent_last_can_be_replaced() -> None:
    @entrypoint(listeners=[SlackListener(team_id="T1")])
    def replaces(agent: Agent, event: Event) -> None:
        thread = agent.create_slack_thread("T1", "C1")
        agent.send_to_slack_thread("first", thread)
        agent.send_to_slack_thread("one moment", thread)
        thread.config.chat_ts = thread.config.last_ts
        agent.send_to_slack_thread("done", thread)
        agent.send_to_slack_thread("more", thread)

    talk = Rehearsal(replaces)
    talk.say("?")
    assert [sent.text for sent in talk.sent] == ["first", "done", "more"]


# Tags and categories


def test_tags_are_those_of_the_options_that_are_new() -> None:
    @handler
    def tags(agent: Agent, event: Event) -> None:
        agent.apply_tag("old", event.conversation)
        assert agent.tag(event.conversation, {"old": "", "new": "", "other": ""}) == ["new"]
        assert event.conversation.tags == ["old", "new"]

    with Rehearsal(tags) as talk:
        talk.will_tag("old", "new")
        talk.say("?")
    assert talk.tags == ["old", "new"]


def test_a_pinned_group_keeps_one_tag() -> None:
    @handler
    def triages(agent: Agent, event: Event) -> None:
        agent.categorize(event.conversation, {"low": "", "high": ""}, "normal", apply_as_tag=True)

    with Rehearsal(triages) as talk:
        talk.will_categorize("low")
        talk.say("?")
        talk.will_categorize("high")
        talk.say("!")
    assert talk.tags == ["high"]


def test_of_a_pinned_group_one_tag_is_applied_at_a_time() -> None:
    @handler
    def tags(agent: Agent, event: Event) -> None:
        agent.categorize(event.conversation, {"a": "", "b": ""}, "a", apply_as_tag=True)
        agent.tag(event.conversation, {"b": "", "c": "", "a": ""})

    with Rehearsal(tags) as talk:
        talk.will_categorize("a")
        talk.will_tag("b", "a", "c")
        talk.say("?")
    assert talk.tags == ["b", "c"]


@pytest.mark.parametrize("category", ["default", "money"])
def test_a_category_is_not_a_tag_unless_told(category: str) -> None:
    @handler
    def triages(agent: Agent, event: Event) -> None:
        agent.send_to_chat_widget(agent.categorize(event.conversation, {"money": ""}, "default"), place(event))

    with Rehearsal(triages) as talk:
        talk.will_categorize(category)
        talk.say("?")
    assert (talk.texts(), talk.tags) == ([category], [])


def test_a_script_that_the_handler_does_not_offer_is_a_mistake_of_the_test() -> None:
    @handler
    def triages(agent: Agent, event: Event) -> None:
        agent.tag(event.conversation, {"a": ""})
        agent.categorize(event.conversation, {"a": ""}, "b")

    talk = Rehearsal(triages)
    talk.will_tag("z")
    with pytest.raises(NotScripted, match=r"will_tag\('z'\) is none of the options \['a'\]"):
        talk.say("?")
    talk = Rehearsal(triages)
    talk.will_tag()
    talk.will_categorize("z")
    with pytest.raises(NotScripted, match=r"will_categorize\('z'\) is none of the categories \['a', 'b'\]"):
        talk.say("?")


# Threads and tickets


def test_threads_are_reused_where_asked() -> None:
    seen: list[Any] = []

    @handler
    def opens(agent: Agent, event: Event) -> None:
        seen.append(agent.create_or_get_slack_thread(event.conversation, "T1", "C1"))
        seen.append(agent.create_slack_thread("T1", "C1"))
        seen.append(agent.create_or_get_slack_thread(event.conversation, "T1", "C1"))
        seen.append(agent.create_or_get_discord_thread(event.conversation, "1", "2"))
        seen.append(agent.create_discord_thread("1", "2"))

    Rehearsal(opens).say("?")
    assert seen[0] == seen[2] != seen[1]
    assert isinstance(seen[3], DiscordThread)
    assert seen[3] != seen[4]


def test_a_ticket_tells_the_conversation() -> None:
    @handler
    def escalates(agent: Agent, event: Event) -> None:
        agent.answer(event.conversation)  # nobody saw it
        agent.send_to_chat_widget("one moment", place(event))
        summary = agent.summarize()
        braces = agent.create_zendesk_ticket(event.conversation, ["a"], "T", summary + ": {conversation} {x}", "acme")
        plain = agent.create_zendesk_ticket(event.conversation, domain="acme.zendesk.com")
        assert (braces.subdomain, plain.subdomain) == ("acme", "acme")
        agent.send_to_zendesk_ticket("see above", plain)
        agent.update_zendesk_ticket(["b", "a"], "solved", braces)

    with Rehearsal(escalates) as talk:
        talk.will_answer("42")
        talk.will_summarize("Short")
        talk.say("Why?")
    first, second = talk.tickets.values()
    assert (first.title, first.description) == ("T", "Short: user: Why?\n\nassistant: one moment {x}")
    assert (first.tags, first.status) == (["a", "b"], "solved")
    assert second.title == "Why?"
    assert second.description.startswith("Conversation:\n\nuser: Why?")


def test_a_ticket_that_is_not_there_is_rejected() -> None:
    @handler
    def updates(agent: Agent, event: Event) -> None:
        ticket = ZendeskTicket.model_validate({"config": {"subdomain": "acme", "id": "9"}})
        agent.update_zendesk_ticket([], "open", ticket)

    with pytest.raises(Rejected, match="Zendesk acme has no ticket 9"):
        Rehearsal(updates).say("?")


def test_a_comment_for_the_team_is_told_apart() -> None:
    @handler
    def comments(agent: Agent, event: Event) -> None:
        ticket = agent.create_zendesk_ticket(event.conversation)
        agent.send_to_zendesk_ticket("for you", ticket)
        agent.send_to_zendesk_ticket("between us", ticket, internal=True)

    talk = Rehearsal(comments)
    assert [(sent.text, sent.internal) for sent in talk.say("?")] == [("for you", False), ("between us", True)]
    assert "zendesk_ticket (internal): between us" in talk.transcript()


def test_a_ticket_can_start_a_conversation_and_end_one() -> None:
    @task()
    def thanks(agent: Agent, event: Event, ticket: ZendeskTicket) -> None:
        assert event.conversation.new_message is None
        agent.send_to_zendesk_ticket("glad to hear", ticket)

    @entrypoint(listeners=[ZendeskListener(subdomain="acme.zendesk.com")])
    def starts(agent: Agent, event: Event) -> None:
        assert event.trigger == TicketComment()
        agent.listen([event.conversation.surface], thanks, [TicketStatus(statuses=["solved"])])

    talk = Rehearsal(starts, tasks=[thanks])
    assert isinstance(talk.surface, ZendeskTicket)
    assert talk.surface.subdomain == "acme"
    assert talk.say("it smokes") == []
    assert talk.say("still") == []
    assert talk.set_status("pending") == []
    assert [sent.text for sent in talk.set_status("solved")] == ["glad to hear"]


def test_a_closed_ticket_takes_no_changes_but_a_follow_up() -> None:
    @handler
    def follows(agent: Agent, event: Event) -> None:
        first = agent.create_zendesk_ticket(event.conversation)
        with pytest.raises(Rejected, match="not closed"):
            agent.create_zendesk_ticket(event.conversation, follow_up_of=first)
        agent.update_zendesk_ticket([], "closed", first)
        with pytest.raises(Rejected, match="is closed"):
            agent.send_to_zendesk_ticket("late", first)
        second = agent.create_zendesk_ticket(event.conversation, follow_up_of=first)
        agent.send_to_zendesk_ticket("on time", second)

    talk = Rehearsal(follows)
    assert [sent.text for sent in talk.say("?")] == ["on time"]
    first, second = talk.tickets
    assert talk.tickets[second].follow_up_of == first


def test_a_copy_brings_what_is_not_there_yet() -> None:
    @handler
    def copies(agent: Agent, event: Event) -> None:
        thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
        agent.sync_conversation(event.conversation, thread)

    talk = Rehearsal(copies)
    assert [sent.text for sent in talk.say("one")] == ["one"]
    assert [sent.text for sent in talk.say("two")] == ["two"]


# What people attach, change, delete, and keep to themselves

TICKET = ZendeskTicket.model_validate({"config": {"subdomain": "acme", "id": "7"}})
THREAD = SlackThread.model_validate(
    {"config": {"bot_conn_token": "t", "team_id": "T1", "channel": "C1", "thread_ts": "1.0"}}
)


@task()
def passes_on(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
    message = event.conversation.new_message
    assert message is not None
    if event.conversation.surface == thread:
        agent.send_to_zendesk_ticket(message, ticket)
    else:
        agent.send_to_slack_thread(message, thread)


@task()
def shares(agent: Agent, event: Event) -> None:
    message = event.conversation.new_message
    assert message is not None
    thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
    agent.sync_conversation(event.conversation, thread)
    if message.text == "end":
        agent.terminate(keep_in_sync=[event.conversation.surface, thread])


def test_a_handler_finds_the_files_of_a_message() -> None:
    seen: list[Any] = []

    @task()
    def looks(agent: Agent, event: Event) -> None:
        assert event.conversation.new_message is not None
        seen.append(event.conversation.new_message.attachments)

    talk = Rehearsal(looks, on=[THREAD])
    talk.say("see", files={"log.txt": b"Error 17", "picture.png": b"PNG"})
    talk.say("nothing")
    first, second = seen[0]
    assert {"name": "log.txt", "mimetype": "text/plain", "size": 8, "platform": "slack"}.items() <= first.items()
    assert (second["name"], second["mimetype"]) == ("picture.png", "image/png")
    assert seen[1] is None
    assert talk.transcript().splitlines()[0] == "user on slack_thread: see 📎 log.txt 📎 picture.png"


def test_nobody_attaches_files_to_the_widget() -> None:
    with pytest.raises(UsageError, match="files come from Slack, Discord and Zendesk"):
        Rehearsal(answers).say("see", files={"log.txt": b""})


def test_an_internal_comment_is_told_apart_and_cannot_be_shown_to_customers() -> None:
    talk = Rehearsal(passes_on, on=[THREAD, TICKET])
    (sent,) = talk.say("We are on it", on=TICKET, staff=True)
    assert isinstance(sent.message, UserChatMessage)
    assert (sent.message.is_from_staff, sent.message.is_internal) == (True, False)
    with pytest.raises(UsageError, match="is an internal comment, and customers can see a slack_thread"):
        talk.say("She is difficult", on=TICKET, internal=True)
    assert talk.texts(THREAD) == ["We are on it"]
    assert "user on zendesk_ticket (internal): She is difficult" in talk.transcript()


def test_words_of_an_internal_comment_that_were_changed_are_internal_still() -> None:
    @task()
    def rephrases(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
        assert event.conversation.new_message is not None
        event.conversation.new_message.text += " (internal)"
        agent.send_to_slack_thread(event.conversation.new_message, thread)

    with pytest.raises(UsageError, match="internal comment"):
        Rehearsal(rephrases, on=[THREAD, TICKET]).say("hm", on=TICKET, internal=True)


def test_an_answer_that_the_team_saw_first_may_still_go_to_the_customer() -> None:
    @task()
    def drafts(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
        answer = agent.answer(event.conversation)
        agent.send_to_zendesk_ticket(answer, ticket, internal=True)
        agent.send_to_zendesk_ticket(answer, ticket)
        agent.send_to_slack_thread(answer, thread)

    talk = Rehearsal(drafts, on=[THREAD, TICKET])
    talk.will_answer("42")
    assert [sent.internal for sent in talk.say("?")] == [True, False, False]


def test_internal_comments_are_in_no_copy_and_no_ticket() -> None:
    @task()
    def copies(agent: Agent, event: Event, ticket: ZendeskTicket) -> None:
        thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
        agent.sync_conversation(event.conversation, thread)
        agent.create_zendesk_ticket(event.conversation)

    talk = Rehearsal(copies, on=[TICKET])
    talk.say("between us", internal=True)
    (sent,) = talk.say("for all", staff=True)
    assert sent.text == "for all"
    assert all("between us" not in ticket.description for ticket in talk.tickets.values())


def test_internal_comments_are_not_mirrored_to_customers() -> None:
    @task()
    def ends(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
        agent.terminate(keep_in_sync=[thread, ticket])

    talk = Rehearsal(ends, on=[THREAD, TICKET])
    talk.say("bye")
    assert talk.say("between us", on=TICKET, internal=True) == []
    assert [sent.text for sent in talk.say("for all", on=TICKET, staff=True)] == ["for all"]


def test_only_tickets_know_staff() -> None:
    with pytest.raises(UsageError, match="Only Zendesk tells"):
        Rehearsal(answers).say("?", staff=True)


def test_a_program_wakes_only_those_who_listen_to_programs() -> None:
    @task()
    def hears(agent: Agent, event: Event, thread: SlackThread) -> None:
        agent.send_to_slack_thread("heard", thread)
        agent.listen([thread], hears, [AllMessages(from_bots=True)])

    talk = Rehearsal(hears, on=[THREAD])
    assert talk.say("beep", bot=True) == []
    assert [sent.text for sent in talk.say("hello")] == ["heard"]
    assert [sent.text for sent in talk.say("beep", bot=True)] == ["heard"]


def test_an_edit_changes_the_record_and_the_copies() -> None:
    talk = Rehearsal(shares, on=[THREAD])
    talk.say("rdeo it")
    thread = talk.opened(SlackThread)
    assert [(sent.to, sent.text) for sent in talk.edit("rdeo it", "redo it")] == [(thread, "redo it")]
    assert talk.texts(thread) == ["redo it"]
    talk.say("end")
    assert talk.phase == "mirroring"
    talk.say("on page 12", on=thread)
    talk.edit("on page 12", "on page 13", on=thread)
    assert talk.texts() == ["on page 13"]
    assert "(it is changed to: on page 13)" in talk.transcript()


def test_a_deletion_removes_the_copies_and_is_in_none_that_follows() -> None:
    talk = Rehearsal(shares, on=[THREAD])
    talk.say("one")
    thread = talk.opened(SlackThread)
    talk.delete("one")
    assert talk.texts(thread) == []
    assert [sent.text for sent in talk.say("two")] == ["two"]


def test_an_edit_before_anything_was_copied_is_in_the_ticket() -> None:
    @task()
    def waits(agent: Agent, event: Event) -> None:
        assert event.conversation.new_message is not None
        if event.conversation.new_message.text == "now":
            agent.create_zendesk_ticket(event.conversation)

    talk = Rehearsal(waits, on=[THREAD])
    talk.say("My key is 12345")
    talk.say("wrong thread")
    assert talk.edit("My key is 12345", "My key is secret") == []
    talk.delete("wrong thread")
    talk.say("now")
    (ticket,) = talk.tickets.values()
    assert ticket.description == "Conversation:\n\nuser: My key is secret\n\nuser: now"


def test_a_comment_cannot_be_edited_so_another_one_corrects_it() -> None:
    @task()
    def ends(agent: Agent, event: Event, thread: SlackThread, ticket: ZendeskTicket) -> None:
        agent.terminate(keep_in_sync=[thread, ticket])

    talk = Rehearsal(ends, on=[THREAD, TICKET])
    talk.say("bye")
    talk.say("rdeo it", on=THREAD)
    for old, new in (("rdeo it", "redo it"), ("redo it", "do it")):
        assert [(sent.to, sent.text) for sent in talk.edit(old, new, on=THREAD)] == [(TICKET, new)]
    assert talk.texts(TICKET) == ["rdeo it", "redo it", "do it"]


def test_a_surface_that_the_session_ended_on_changes_nothing_elsewhere() -> None:
    others = [THREAD.model_copy(update={"config": THREAD.config.model_copy(update={"thread_ts": ts})}) for ts in "23"]

    @task()
    def copies(agent: Agent, event: Event) -> None:
        for other in others:
            agent.sync_conversation(event.conversation, other)
        agent.terminate(keep_in_sync=others)

    talk = Rehearsal(copies, on=[THREAD])
    talk.say("rdeo it")
    assert talk.edit("rdeo it", "redo it") == []
    assert [talk.texts(other) for other in others] == [["rdeo it"], ["rdeo it"]]


def test_only_what_somebody_wrote_there_can_be_changed() -> None:
    talk = Rehearsal(passes_on, on=[THREAD, TICKET])
    talk.say("hello")
    with pytest.raises(AssertionError, match=r"nobody wrote 'hello' on zendesk_ticket\nuser on slack_thread: hello"):
        talk.edit("hello", "bye", on=TICKET)
    with pytest.raises(UsageError, match="neither change nor delete what they wrote on a chat_widget"):
        Rehearsal(answers).delete("hello")


def test_a_ticket_that_is_there_from_the_start_can_be_updated() -> None:
    @entrypoint(listeners=[ZendeskListener(subdomain="acme")])
    def solves(agent: Agent, event: Event) -> None:
        ticket = event.conversation.surface
        assert isinstance(ticket, ZendeskTicket)
        agent.update_zendesk_ticket(["done"], "solved", ticket)

    talk = Rehearsal(solves)
    talk.say("it smokes")
    (ticket,) = talk.tickets.values()
    assert (ticket.status, ticket.tags) == ("solved", ["done"])


def test_an_operation_of_a_newer_sdk_is_not_performed_by_guessing() -> None:
    class Dance(ops.Operation[None]):
        name = "feet.dance"

    @handler
    def dances(agent: Agent, event: Event) -> None:
        agent._runtime.perform(Dance())

    with pytest.raises(NotImplementedError, match=r"cannot perform feet\.dance"):
        Rehearsal(dances).say("?")


# Buttons


def test_a_click_ends_the_wait() -> None:
    with Rehearsal(asks) as talk:
        talk.will_click("no", user="U1", after=timedelta(minutes=5))
        talk.say("ask me")
        assert talk.texts() == ["ok?", "no by U1"]
        assert talk.time == datetime.fromisoformat("2026-01-05T09:05:00+00:00")


def test_time_runs_out() -> None:
    with Rehearsal(asks) as talk:
        talk.say("ask me")
        assert (talk.texts()[-1], talk.time.hour) == ("too late", 10)


def test_a_click_can_come_too_late() -> None:
    with Rehearsal(asks) as talk:
        talk.will_click("yes", user="U1", after=2 * HOUR)
        talk.say("ask me")
        assert (talk.texts()[-1], talk.time.hour) == ("too late", 10)


def test_a_click_of_somebody_else_does_not_count() -> None:
    with Rehearsal(asks) as talk:
        talk.will_click("yes", user="U2")
        talk.will_click("yes", user="U1")
        talk.say("ask me")
    assert talk.texts()[-1] == "yes by U1"
    assert "(U2 clicks yes, and is not one of ['U1'])" in talk.transcript()


def test_messages_are_handled_while_a_handler_waits() -> None:
    with Rehearsal(asks) as talk:
        talk.will_say("hello?")
        talk.will_click("yes", user="U1")
        talk.say("ask me")
    assert talk.texts() == ["ok?", "noted", "yes by U1"]


def test_terminate_ends_a_handler_that_waits() -> None:
    with Rehearsal(asks) as talk:
        talk.will_say("bye")
        talk.say("ask me")
    assert (talk.texts(), talk.phase) == (["ok?", "noted"], "closed")


def test_a_click_on_another_button_is_a_mistake_of_the_test() -> None:
    talk = Rehearsal(asks)
    talk.will_click("maybe")
    with pytest.raises(NotScripted, match=r"will_click\('maybe'\) is none of the buttons \['yes', 'no'\]"):
        talk.say("ask me")


def test_a_wait_without_end_needs_a_click() -> None:
    @handler
    def waits(agent: Agent, event: Event) -> None:
        agent.send_to_chat_widget("?", place(event), blocks=BUTTONS, block_until_button_clicked=True)

    with pytest.raises(NotScripted, match=r"waits for one of the buttons \['yes', 'no'\]: call will_click"):
        Rehearsal(waits).say("x")


# Moving on


@entrypoint(listeners=HERE)
def front(agent: Agent, event: Event) -> None:
    thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
    agent.listen(
        [event.conversation.surface, thread],
        back,
        [Mention(), Emoji(shortcode="done")],
        timeout=HOUR,
        on_timeout=remind,
    )


@task()
def back(agent: Agent, event: Event, widget: ChatWidget, thread: SlackThread) -> None:
    agent.send_to_chat_widget(f"back: {type(event.trigger).__name__}", widget)


@task()
def remind(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"still there? {event.timed_out} {event.conversation.new_message}", widget)
    agent.terminate()


def test_listen_moves_on_and_triggers_decide() -> None:
    with Rehearsal(front, [back, remind]) as talk:
        talk.say("hi")
        assert talk.handler == "back"
        assert talk.say("no mention") == []
        assert [sent.text for sent in talk.say("hi bot", mentions=True)] == ["back: Mention"]
        thread = SlackThread.model_validate(
            {"config": {"bot_conn_token": "x", "team_id": "T1", "channel": "C1", "thread_ts": "2"}}
        )
        assert talk.say("text", on=thread) == []
        assert [sent.text for sent in talk.react("done", on=thread)] == ["back: Emoji"]
        assert talk.react("other", on=thread) == []
        elsewhere = thread.model_copy(update={"config": thread.config.model_copy(update={"thread_ts": "77"})})
        assert talk.say("hi", on=elsewhere, mentions=True) == []
    assert "(back does not run: it matches no trigger of the surface)" in talk.transcript()
    assert "(back does not run: it does not listen on this surface)" in talk.transcript()


def test_a_reaction_before_any_message_has_no_message() -> None:
    seen: list[Any] = []

    @handler
    def notes(agent: Agent, event: Event) -> None:
        agent.listen([event.conversation.surface], sees, [Emoji(shortcode="eyes")])

    @task()
    def sees(agent: Agent, event: Event) -> None:
        seen.append(event.conversation.new_message)

    talk = Rehearsal(notes, [sees])
    assert talk.react("eyes") == []
    talk.say("hi")
    talk.react("eyes")
    assert [message.text for message in seen] == ["hi"]


def test_silence_runs_the_other_handler_once() -> None:
    with Rehearsal(front, [back, remind]) as talk:
        talk.say("hi")
        assert talk.wait(timedelta(minutes=59)) == []
        talk.say("hi bot", mentions=True)  # starts the silence anew
        assert talk.wait(timedelta(minutes=59)) == []
        assert [sent.text for sent in talk.wait(HOUR)] == ["still there? True None"]
        assert talk.wait(HOUR) == []
        assert (talk.phase, talk.say("hello?")) == ("closed", [])
    assert "(no handler runs: the session is over)" in repr(talk)


def test_a_task_that_is_not_published_is_refused_as_in_the_engine() -> None:
    with pytest.raises(UsageError, match=r"handler 'remind' is not part of this version.*Client.publish"):
        Rehearsal(front, [back]).say("hi")


def test_a_task_whose_surfaces_are_not_listened_to_is_refused_where_the_engine_does() -> None:
    @handler
    def forgets(agent: Agent, event: Event) -> None:
        with pytest.raises(UsageError, match="thread"):
            agent.listen([event.conversation.surface], waits_for_slack)

    @task()
    def waits_for_slack(agent: Agent, event: Event, thread: SlackThread) -> None: ...

    talk = Rehearsal(forgets, [waits_for_slack])
    talk.say("hi")
    assert talk.handler == "forgets"


def test_surfaces_stay_in_sync_after_the_end() -> None:
    threads: list[SlackThread] = []

    @handler
    def mirrors(agent: Agent, event: Event) -> None:
        threads.append(agent.create_slack_thread("T1", "C1"))
        agent.terminate(keep_in_sync=[event.conversation.surface, threads[0]])

    with Rehearsal(mirrors) as talk:
        talk.say("hi")
        (sent,) = talk.say("from the widget")
        assert (sent.to, sent.text, talk.phase) == (threads[0], "from the widget", "mirroring")
        (sent,) = talk.say("from Slack", on=threads[0])
        assert sent.to == talk.surface
        assert talk.react("eyes") == []


# Time and the world outside


class Customer(BaseModel):
    name: str
    since: datetime


def test_steps_travel_as_json_and_come_back_as_models() -> None:
    attempts: list[int] = []

    def find(number: int, *, name: str) -> Customer:
        attempts.append(number)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return Customer(name=name, since=datetime.fromisoformat("2020-01-01"))

    async def find_later(number: int) -> list[int]:
        return [number]

    def unreadable() -> "Nowhere":  # type: ignore[name-defined] # noqa: F821 - what is tested
        return {"a": (1, 2)}

    @handler
    def looks(agent: Agent, event: Event) -> None:
        customer = agent.step("find", find, 7, name="Ada")
        assert (customer.name, attempts) == ("Ada", [7, 7, 7])
        assert agent.step("later", find_later, 1) == [1]
        assert agent.step("unreadable", unreadable) == {"a": [1, 2]}

    Rehearsal(looks).say("?")


def test_a_step_that_keeps_failing() -> None:
    def fails() -> None:
        raise LookupError("no such customer")

    @handler
    def looks(agent: Agent, event: Event) -> None:
        agent.step("look up", fails)

    with pytest.raises(StepError, match=r"step 'look up' failed 3 times: LookupError: no such customer"):
        Rehearsal(looks).say("?")


def test_sleeping_moves_the_clock() -> None:
    @handler
    def sleeps(agent: Agent, event: Event) -> None:
        before = agent.now()
        agent.sleep(90)
        assert agent.now() - before == timedelta(seconds=90)

    talk = Rehearsal(sleeps)
    before = talk.time
    talk.say("?")
    assert talk.time - before == timedelta(seconds=90)


async def test_async_handlers_run_also_where_a_loop_is_running() -> None:
    @handler
    async def answers_async(agent: Agent, event: Event) -> None:
        agent.send_to_chat_widget(agent.answer(event.conversation), place(event))
        agent.terminate()

    with Rehearsal(answers_async) as talk:
        talk.will_answer("42")
        talk.say("?")
    assert (talk.texts(), talk.phase) == (["42"], "closed")


# Where a conversation starts


@pytest.mark.parametrize(
    ("listener", "surface"),
    [
        (WidgetListener(domain="x"), SurfaceType.CHAT_WIDGET),
        (SlackListener(team_id="T1"), SurfaceType.SLACK_THREAD),
        (SlackListener(team_id="T1", channels=[SlackChannel(channel_id="C1")]), SurfaceType.SLACK_THREAD),
        (DiscordListener(guild_id="1"), SurfaceType.DISCORD_THREAD),
        (DiscordListener(guild_id="1", channels=[DiscordChannel(channel_id="2")]), SurfaceType.DISCORD_THREAD),
        (AdminConsoleListener(agent_id=3), SurfaceType.ADMIN_CONSOLE),
    ],
)
def test_a_conversation_starts_where_the_first_listener_listens(listener: Any, surface: SurfaceType) -> None:
    seen: list[Event] = []

    @entrypoint(listeners=[listener])
    def notes(agent: Agent, event: Event) -> None:
        seen.append(event)

    Rehearsal(notes).say("hi", user="U7")
    (event,) = seen
    assert (event.conversation.surface.type, event.trigger, event.conversation.session_id) == (
        surface,
        AllMessages(),
        1,
    )
    assert event.conversation.new_message is not None
    assert event.conversation.new_message.user_identifier == "U7"


def test_or_where_the_test_says() -> None:
    console = AdminConsole.model_validate({"config": {"agent_id": 1}})
    seen: list[Event] = []

    @handler
    def notes(agent: Agent, event: Event) -> None:
        seen.append(event)

    Rehearsal(notes, surface=console).say("hi")
    assert seen[0].conversation.surface == console


def test_a_failed_send_is_not_among_the_sent() -> None:
    talk = Rehearsal(answers)
    talk.will_answer("42")
    talk.will_fail(ops.PostMessage, Unavailable("away"))
    with pytest.raises(Unavailable):
        talk.say("?")
    assert talk.sent == []
