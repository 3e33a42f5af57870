"""Edits and deletions that overtake their messages, in the record."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update

from gateways.adapter import Inbound
from gateways.routing import DELETED, EARLY, UNKNOWN
from runllm.bridge.listeners import SlackListener
from runllm.bridge.surfaces import surface_key
from runllm.bridge.triggers import Emoji
from store import early, messages
from store.early import KEPT
from store.engine import Store
from store.inbox import CAUGHT_UP
from store.models import EarlyChange, now
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.test_routing import SLACK, THREAD, Desk, desk, in_thread

__all__ = ["desk"]

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def edit(text: str, ts: str = "1.3", minute: int = 0) -> Inbound:
    at = NOON + timedelta(minutes=minute)
    return in_thread(text, ts, kind="edit", dedupe_key=f"edit:{ts}:{at}", happening=None, changed_at=at)


def removal(ts: str = "1.3") -> Inbound:
    return in_thread("", ts, kind="delete", dedupe_key=f"delete:{ts}", happening=None)


async def waiting(store: Store) -> int:
    async with store.read() as db:
        return await db.scalar(select(func.count()).select_from(EarlyChange)) or 0


async def test_an_edit_that_overtook_its_message_is_told_with_it(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    early = await desk.routing.take_in(edit("@bot how do I log in?"))
    assert early.ignored == EARLY
    taken = await desk.routing.take_in(in_thread("@bot how do I lgo in?", "1.3"))
    assert taken.session_id is not None
    assert taken.chat_id is not None
    await desk.delivery.deliver(taken.session_id)
    [(_, envelope)] = desk.temporal.signals
    assert envelope.message is not None
    assert (envelope.kind, envelope.message.text) == ("message", "@bot how do I log in?")
    row = await desk.row(early.inbox_id)
    assert (row.outcome, row.reason, row.session_id, row.chat_id) == (
        "handled", CAUGHT_UP, taken.session_id, taken.chat_id,
    )  # fmt: skip
    async with desk.store.read() as db:
        message = await messages.get(db, taken.chat_id)
    assert message is not None
    assert message.edited_at == NOON
    assert await waiting(desk.store) == 0


async def test_a_deletion_in_a_running_conversation_takes_its_late_message_along(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    taken = await desk.routing.take_in(in_thread("@bot help", "1.3"))
    gone = await desk.routing.take_in(removal("1.4"))
    late = await desk.routing.take_in(in_thread("never mind", "1.4"))
    assert (late.ignored, late.chat_id, late.session_id) == (DELETED, None, taken.session_id)
    assert (await desk.row(gone.inbox_id)).outcome == "handled"
    async with desk.store.read() as db:
        assert [one.text for one in await messages.transcript(db, taken.session_id or 0)] == ["@bot help"]


async def test_edits_count_in_the_order_in_which_they_were_made(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    taken = await desk.routing.take_in(in_thread("one", "1.3"))
    assert taken.chat_id is not None
    for text, minute in (("three", 3), ("two", 2), ("one and a half", 1)):
        await desk.routing.take_in(edit(text, minute=minute))
    await desk.routing.take_in(removal())
    await desk.routing.take_in(edit("too late", minute=9))
    async with desk.store.read() as db:
        message = await messages.get(db, taken.chat_id)
    assert message is not None
    assert (message.text, message.deleted_at is not None) == ("three", True)


async def test_a_change_does_not_wait_for_ever(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    await desk.routing.take_in(edit("changed"))
    async with desk.store.begin() as db:
        await db.execute(update(EarlyChange).values(kept_at=now() - KEPT - timedelta(seconds=1)))
    await desk.routing.take_in(edit("of another message", "1.9"))
    assert await waiting(desk.store) == 2
    await desk.sweeper.tidy()
    assert await waiting(desk.store) == 1
    async with desk.store.begin() as db:
        await early.keep(
            db, inbox_id=1, surface_key=surface_key(THREAD), remote_id="1.3", kind="edit", text="changed", made_at=None
        )
        late = EarlyChange.remote_id == "1.3"
        await db.execute(update(EarlyChange).where(late).values(kept_at=now() - KEPT - timedelta(seconds=1)))
    taken = await desk.routing.take_in(in_thread("as it was", "1.3"))
    async with desk.store.read() as db:
        message = await messages.get(db, taken.chat_id or 0)
    assert message is not None
    assert message.text == "as it was"


async def test_where_nobody_listens_nothing_of_a_change_is_kept(desk: Desk) -> None:
    assert (await desk.routing.take_in(edit("a secret"))).ignored == UNKNOWN
    assert await waiting(desk.store) == 0
    await make_current(desk.store, SlackListener(team_id="T1", default_trigger=Emoji(shortcode="eyes")), name="emoji")
    assert (await desk.routing.take_in(edit("an open question", "1.5"))).ignored == EARLY
