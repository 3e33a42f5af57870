import pytest

from gateways.adapter import Effect
from gateways.wire import EventKind, Relay
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatSurface, SlackThread, ZendeskTicket, ZendeskTicketConfig, surface_key
from runllm.errors import NotConnected, Unavailable
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
    with pytest.raises(Unavailable):
        await copies.relay(call)
    assert [where for where, _ in case.platform.shown.values()] == [surface_key(TICKET)]
    case.platform.before = once(NotConnected("nobody asks"))
    with pytest.raises(NotConnected):
        await copies.relay(call)
    await copies.relay(call)
    assert len(case.platform.shown) == 2


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
