import asyncio

import pytest

from gateways.adapter import Effect
from gateways.wire import EventKind, Relay, Relayed
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import (
    AdminConsole,
    AdminConsoleConfig,
    ChatSurface,
    SlackThread,
    ZendeskTicket,
    ZendeskTicketConfig,
    surface_key,
)
from runllm.errors import NotConnected, Rejected, Unavailable, UsageError
from runllm.operations import MessageRef, PostMessage, SyncConversation
from store import messages
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed, once
from worker.activities.copies import CopyActivities
from worker.activities.surfaces import SurfaceActivities

TICKET = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7"))


@pytest.fixture
def copies(case: Case) -> CopyActivities:
    return CopyActivities(case.context)


def relay(case: Case, chat_id: int, kind: EventKind = "message") -> Relay:
    return Relay(kind=kind, chat_id=chat_id, from_surface=case.widget, to=[case.widget, case.slack, TICKET])


async def test_the_whole_conversation_is_copied_in_order_with_names(case: Case, copies: CopyActivities) -> None:
    await case.said("How?", name="Ann")
    await case.said("Like this", author=MessageType.ASSISTANT, by=None)
    await case.said("Thanks")
    await copies.sync_conversation(case.call(SyncConversation(to=case.slack)))
    shown = [(content.text, content.author_name) for _, content in case.platform.shown.values()]
    assert shown == [("How?", "Ann"), ("Like this", None), ("Thanks", "Customer")]
    assert not any(content.enable_feedback for _, content in case.platform.shown.values())


async def test_what_the_target_shows_already_is_not_copied_again(case: Case, copies: CopyActivities) -> None:
    row = await case.said("How?")
    posting = PostMessage(to=case.slack, message=MessageRef(chat_id=row.id))
    await SurfaceActivities(case.context).post_message(case.call(posting))
    await case.said("written in Slack", on=case.slack)
    await case.said("More")
    await copies.sync_conversation(case.call(SyncConversation(to=case.slack)))
    await copies.sync_conversation(case.call(SyncConversation(to=case.slack)))
    assert case.platform.texts == ["How?", "More"]


async def test_killed_in_the_middle_each_message_is_copied_once(case: Case, copies: CopyActivities) -> None:
    for number in range(5):
        await case.said(f"message {number}")
    call = case.call(SyncConversation(to=case.slack))
    for _ in range(3):
        case.platform.after = once(Killed())
        with pytest.raises(Killed):
            await copies.sync_conversation(call)
    await copies.sync_conversation(call)
    assert case.platform.texts == [f"message {number}" for number in range(5)]
    assert await case.transcript() == case.platform.texts


async def test_a_mirrored_message_appears_on_the_others_and_not_where_it_came_from(
    case: Case, copies: CopyActivities
) -> None:
    row = await case.said("Any news?", name="Ann")
    await copies.relay(case.call(relay(case, row.id)))
    shown = [(where, content.author_name) for where, content in case.platform.shown.values()]
    assert shown == [(surface_key(case.slack), "Ann"), (surface_key(TICKET), "Ann")]


async def test_the_same_message_relayed_twice_appears_once(case: Case, copies: CopyActivities) -> None:
    row = await case.said("Any news?")
    call = case.call(relay(case, row.id))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await copies.relay(call)
    await copies.relay(call)
    await copies.relay(call)
    await copies.relay(case.call(relay(case, row.id)))
    assert len(case.platform.shown) == 2


async def test_a_target_that_fails_does_not_keep_the_message_from_the_others(
    case: Case, copies: CopyActivities
) -> None:
    row = await case.said("Any news?")

    async def slack_is_down(effect: Effect, to: ChatSurface | None) -> None:
        if isinstance(to, SlackThread):
            raise Unavailable("no answer")

    case.platform.before = slack_is_down
    call = case.call(relay(case, row.id))
    became = await copies.relay(call)
    assert became == Relayed(shown=[surface_key(TICKET)], later={surface_key(case.slack): "no answer"})
    assert [where for where, _ in case.platform.shown.values()] == [surface_key(TICKET)]
    alone = call.model_copy(
        update={"operation": call.operation.model_copy(update={"to": [case.slack], "insists": True})}
    )
    with pytest.raises(Unavailable):
        await copies.relay(alone)
    case.platform.before = once(NotConnected("nobody asks"))
    with pytest.raises(NotConnected):
        await copies.relay(alone)
    assert await copies.relay(alone) == Relayed(shown=[surface_key(case.slack)])
    assert len(case.platform.shown) == 2


async def test_a_target_that_is_slow_is_left_behind_and_its_message_is_not_doubled(
    case: Case, copies: CopyActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await case.said("Any news?")
    monkeypatch.setattr("worker.activities.copies.PATIENCE", 2.0)  # the ticket has as long

    async def slack_never_answers(effect: Effect, to: ChatSurface | None) -> None:
        if isinstance(to, SlackThread):
            await asyncio.Event().wait()

    case.platform.after = slack_never_answers  # it has taken the message
    call = case.call(relay(case, row.id))
    became = await copies.relay(call)
    assert became is not None
    assert (became.shown, list(became.later)) == ([surface_key(TICKET)], [surface_key(case.slack)])
    case.platform.after = once(Unavailable("not this time"))
    alone = call.operation.model_copy(update={"to": [case.slack], "insists": True})
    with pytest.raises(Unavailable):
        await copies.relay(case.call(alone, key=call.key))
    await copies.relay(case.call(alone, key=call.key))
    assert sorted(where for where, _ in case.platform.shown.values()) == [surface_key(case.slack), surface_key(TICKET)]


async def test_a_target_that_refuses_for_good_is_named(case: Case, copies: CopyActivities) -> None:
    row = await case.said("Any news?")
    case.platform.before = once(Rejected("the channel is archived"))
    became = await copies.relay(case.call(relay(case, row.id)))
    assert became is not None
    assert (len(became.shown), list(became.refused.values())) == (1, ["the channel is archived"])


# Who may see what


async def test_an_internal_note_reaches_tickets_and_the_console_and_no_customer(
    case: Case, copies: CopyActivities
) -> None:
    note = await case.said("He is a difficult one", name="Max", on=TICKET, is_internal=True)
    console = AdminConsole(config=AdminConsoleConfig(agent_id=1, convo_identifier="k1"))
    other = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="8"))
    mirror = Relay(kind="message", chat_id=note.id, from_surface=TICKET, to=[case.widget, case.slack, console, other])
    became = await copies.relay(case.call(mirror))
    assert became is not None
    assert became.kept_back == [surface_key(case.widget), surface_key(case.slack)]
    shown = {where: content.is_internal for where, content in case.platform.shown.values()}
    assert shown == {surface_key(console): True, surface_key(other): True}


async def test_the_whole_conversation_is_copied_without_internal_notes(case: Case, copies: CopyActivities) -> None:
    await case.said("How?")
    await case.said("He is a difficult one", on=TICKET, is_internal=True)
    await copies.sync_conversation(case.call(SyncConversation(to=case.slack)))
    assert case.platform.texts == ["How?"]
    await copies.sync_conversation(case.call(SyncConversation(to=TICKET)))
    assert case.platform.texts == ["How?", "How?"]


async def test_what_the_agent_says_internally_is_internal_until_it_says_it_openly(
    case: Case, copies: CopyActivities
) -> None:
    surfaces = SurfaceActivities(case.context)
    note = PostMessage(to=TICKET, message=MessageRef(text="A draft"), is_internal=True)
    await surfaces.post_message(case.call(note))
    await copies.sync_conversation(case.call(SyncConversation(to=case.slack)))
    assert case.platform.texts == ["A draft"]
    draft = await case.said("The answer", author=MessageType.ASSISTANT, by=None, on=TICKET)
    ref = MessageRef(chat_id=draft.id)
    await surfaces.post_message(case.call(PostMessage(to=case.slack, message=ref)))
    assert not (await case.message(draft.id)).is_internal


async def test_a_persons_internal_note_is_sent_to_no_customer(case: Case) -> None:
    note = await case.said("Difficult", on=TICKET, is_internal=True)
    posting = PostMessage(to=case.slack, message=MessageRef(chat_id=note.id))
    with pytest.raises(UsageError, match="internal comment, and customers can see a slack_thread"):
        await SurfaceActivities(case.context).post_message(case.call(posting))
    await SurfaceActivities(case.context).post_message(case.call(posting.model_copy(update={"to": TICKET})))
    assert [content.is_internal for _, content in case.platform.shown.values()] == [True]


async def test_an_internal_note_that_changes_is_changed_where_it_is_shown_only(
    case: Case, copies: CopyActivities
) -> None:
    note = await case.said("Difficult", on=TICKET, is_internal=True)
    mirror = Relay(kind="edit", chat_id=note.id, from_surface=TICKET, to=[case.slack])
    became = await copies.relay(case.call(mirror))
    assert became == Relayed(kept_back=[surface_key(case.slack)])
    assert case.platform.calls == []


@pytest.mark.parametrize(
    ("how", "name"),
    [({}, "Customer"), ({"is_from_staff": True}, "Support"), ({"is_from_bot": True}, "Another bot")],
)
async def test_who_has_no_name_is_called_what_they_are(
    case: Case, copies: CopyActivities, how: dict[str, bool], name: str
) -> None:
    row = await case.said("Hello", **how)
    await copies.relay(case.call(relay(case, row.id)))
    assert {content.author_name for _, content in case.platform.shown.values()} == {name}


# Files


def attachment(name: str = "log.txt", **more: object) -> dict[str, object]:
    return {"name": name, "mimetype": "text/plain", "size": 3, "platform": "slack", "ref": "T1:F1", **more}


async def test_files_come_along(case: Case, copies: CopyActivities) -> None:
    row = await case.said("See the log", attachments=[attachment()])
    await copies.relay(case.call(relay(case, row.id)))
    for _, content in case.platform.shown.values():
        assert content.text == "See the log"
        assert [(file.name, file.mimetype, file.data) for file in content.files] == [
            ("log.txt", "text/plain", b"content of log.txt")
        ]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (
            attachment(size=9 * 1024 * 1024),
            "📎 log.txt (9 MB) stayed where it was: files of more than 8 MB are not copied.",
        ),
        (attachment(platform="fax"), "📎 log.txt (3 bytes) stayed where it was: its platform does not give it out."),
        (
            attachment(platform="fax", url="https://files.example/1"),
            "📎 [log.txt](https://files.example/1) (3 bytes) stayed where it was: its platform does not give it out.",
        ),
    ],
)
async def test_a_line_stands_where_a_file_cannot_be_also_after_an_edit(
    case: Case, copies: CopyActivities, file: dict[str, object], line: str
) -> None:
    row = await case.said("See the log", attachments=[file])
    await copies.relay(case.call(relay(case, row.id)))
    assert case.platform.texts == [f"See the log\n\n{line}"] * 2
    async with case.store.begin() as db:
        await messages.edit_text(db, row.id, "See my log")
    await copies.relay(case.call(relay(case, row.id, "edit")))
    assert case.platform.texts == [f"See my log\n\n{line}"] * 2


async def test_words_wait_for_files_a_while_and_then_go_alone(
    case: Case, copies: CopyActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await case.said("See the log", attachments=[attachment()])

    async def away(attachment: dict[str, object]) -> bytes:
        raise Unavailable("Slack is away")

    monkeypatch.setattr(case.platform, "read_file", away)
    call = case.call(relay(case, row.id))
    for _ in range(3):
        became = await copies.relay(call)
        assert became is not None
        assert len(became.later) == 2
    assert case.platform.calls == []
    became = await copies.relay(call)
    assert became is not None
    assert len(became.shown) == 2
    assert case.platform.texts[0].endswith("stayed where it was: its platform does not give it out.")


async def test_edits_and_deletions_reach_the_copies_and_only_those(case: Case, copies: CopyActivities) -> None:
    row = await case.said("Any nwes?", name="Ann")
    await copies.relay(case.call(relay(case, row.id)))
    async with case.store.begin() as db:
        await messages.edit_text(db, row.id, "Any news?")
    edit = case.call(relay(case, row.id, "edit"))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await copies.relay(edit)
    await copies.relay(edit)
    assert case.platform.texts == ["Any news?", "Any news?"]
    assert {content.author_name for _, content in case.platform.shown.values()} == {"Ann"}
    async with case.store.begin() as db:
        await messages.delete(db, row.id)
    await copies.relay(case.call(relay(case, row.id, "delete")))
    assert case.platform.shown == {}


async def test_a_message_deleted_before_it_was_copied_is_not_copied(case: Case, copies: CopyActivities) -> None:
    row = await case.said("Oops")
    async with case.store.begin() as db:
        await messages.delete(db, row.id)
    await copies.relay(case.call(relay(case, row.id)))
    assert case.platform.calls == []
