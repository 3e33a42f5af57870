from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import inbox
from store.models import InboxRow
from tests.store.samples import new_message, new_session

pytestmark = pytest.mark.store

LONG_AGO = timedelta(0)


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GRACE", timedelta(0))


async def _take_in(
    db: AsyncSession,
    dedupe_key: str = "slack:1",
    session_id: int | None = None,
    chat_id: int | None = None,
    outcome: str | None = None,
    reason: str = "",
) -> InboxRow:
    row = await inbox.add(
        db,
        dedupe_key=dedupe_key,
        kind="message",
        session_id=session_id,
        chat_id=chat_id,
        surface_key="s",
        envelope={"kind": "message"},
        outcome=outcome,
        reason=reason,
    )
    assert row is not None
    return row


async def _reload(db: AsyncSession, row: InboxRow) -> InboxRow:
    found = await inbox.by_dedupe_key(db, row.dedupe_key)
    assert found is not None
    return found


async def test_an_event_is_taken_in_once(db: AsyncSession) -> None:
    first = await _take_in(db)
    again = await inbox.add(
        db, dedupe_key="slack:1", kind="message", session_id=None, chat_id=None, surface_key="", envelope={}
    )
    assert again is None
    assert (await _reload(db, first)).id == first.id


async def test_an_envelope_gets_its_number_and_its_message(db: AsyncSession) -> None:
    session = await new_session(db)
    message = await new_message(db, session, "hi")
    row = await _take_in(db, session_id=session.id, chat_id=message.id)
    found = await inbox.message_of(db, row)
    assert inbox.envelope_of(row) == {"kind": "message", "inbox_id": row.id}
    assert found is not None
    assert found.text == "hi"
    assert await inbox.message_of(db, await _take_in(db, "other")) is None


async def test_a_row_is_next_once_its_session_was_told_all_before_it(db: AsyncSession) -> None:
    mine, other = await new_session(db), await new_session(db, "other")
    one, two = await _take_in(db, "1", session_id=mine.id), await _take_in(db, "2", session_id=mine.id)
    elsewhere = await _take_in(db, "3", session_id=other.id)
    assert not await inbox.has_earlier(db, one)
    assert await inbox.has_earlier(db, two)
    assert not await inbox.has_earlier(db, elsewhere)
    await inbox.mark_signalled(db, one.id)
    assert not await inbox.has_earlier(db, two)


async def test_what_is_not_delivered_is_due_until_it_is(db: AsyncSession) -> None:
    one, two = await _take_in(db, "1"), await _take_in(db, "2")
    assert [row.id for row in await inbox.due(db, 10)] == [one.id, two.id]
    await inbox.mark_signalled(db, one.id)
    assert [row.id for row in await inbox.due(db, 10)] == [two.id]
    assert (await _reload(db, one)).attempts == 1


async def test_a_delivery_that_failed_waits(db: AsyncSession) -> None:
    row = await _take_in(db)
    await inbox.mark_failed(db, row.id, timedelta(hours=1))
    assert await inbox.due(db, 10) == []
    assert (await _reload(db, row)).attempts == 1
    await inbox.mark_failed(db, row.id, timedelta(0))
    assert len(await inbox.due(db, 10)) == 1


async def test_the_first_moment_belongs_to_whoever_took_it_in(
    db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GRACE", timedelta(hours=1))
    await _take_in(db, "1")
    assert await inbox.due(db, 10) == []


async def test_what_one_sweeper_took_no_other_gets(db: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [await _take_in(db, str(number)) for number in range(3)]
    monkeypatch.setattr(inbox, "GRACE", timedelta(hours=1))
    assert [row.id for row in await inbox.due(db, 2)] == [rows[0].id, rows[1].id]
    assert [row.id for row in await inbox.due(db, 2)] == [rows[2].id]


async def test_a_failure_that_is_reported_late_does_not_undo_a_delivery(db: AsyncSession) -> None:
    row = await _take_in(db)
    await inbox.mark_signalled(db, row.id)
    await inbox.mark_failed(db, row.id, timedelta(0))
    assert await inbox.due(db, 10) == []


async def test_the_first_outcome_stays(db: AsyncSession) -> None:
    row = await _take_in(db)
    await inbox.account(db, [(row.id, "handled", "")])
    await inbox.account(db, [(row.id, "ignored", "too late"), (12345, "handled", "of another database")])
    found = await _reload(db, row)
    assert (found.outcome, found.reason) == ("handled", "")
    assert found.accounted_at is not None


async def test_what_has_an_outcome_is_neither_due_nor_unaccounted(db: AsyncSession) -> None:
    ignored = await _take_in(db, "1", outcome="ignored", reason="no listener")
    waiting = await _take_in(db, "2")
    assert ignored.accounted_at is not None
    assert [row.id for row in await inbox.due(db, 10)] == [waiting.id]
    assert [row.id for row in await inbox.unaccounted(db, LONG_AGO, 10)] == [waiting.id]
    assert await inbox.count_unaccounted(db) == 1
    assert await inbox.unaccounted(db, timedelta(minutes=1), 10) == []


async def test_what_a_session_has_not_been_told_comes_in_order(db: AsyncSession) -> None:
    session = await new_session(db)
    rows = [await _take_in(db, str(number), session_id=session.id) for number in range(3)]
    await inbox.mark_signalled(db, rows[0].id)
    assert [row.id for row in await inbox.undelivered(db, session.id, 10)] == [rows[1].id, rows[2].id]


async def test_what_temporal_lost_is_due_again(db: AsyncSession) -> None:
    row, accounted = await _take_in(db, "1"), await _take_in(db, "2")
    await inbox.account(db, [(accounted.id, "handled", "")])
    for one in (row, accounted):
        await inbox.mark_signalled(db, one.id)
    await inbox.deliver_again(db, [row.id, accounted.id])
    assert [one.id for one in await inbox.due(db, 10)] == [row.id]


async def test_which_events_were_seen_before(db: AsyncSession) -> None:
    await _take_in(db, "zendesk:1")
    await _take_in(db, "zendesk:2")
    asked = ["zendesk:1", "zendesk:3", *(f"zendesk:{number}" for number in range(1000, 2200)), "zendesk:2"]
    assert await inbox.known(db, asked) == {"zendesk:1", "zendesk:2"}
    assert await inbox.known(db, []) == set()
