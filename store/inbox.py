"""Inbound events, from before they are acknowledged to what became of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.messages import get as get_message
from store.models import InboxRow, Message, Session, now
from store.rows import change, change_one, find, insert_new

_AT_ONCE = 500

GRACE = timedelta(seconds=2)
"""How long whoever took an event in, or took it from `due`, has to deliver it before it is due (again)."""

CAUGHT_UP = "it came before its message, and counted when that came"

# What each message needs is put together once: that takes longer than to execute it.
_ACCOUNT = (
    update(InboxRow)
    .where(InboxRow.id == bindparam("row"), InboxRow.outcome.is_(None))
    .values(outcome=bindparam("became"), reason=bindparam("because"), accounted_at=bindparam("time"))
)
_HAS_EARLIER = select(
    exists().where(
        InboxRow.session_id == bindparam("session"),
        InboxRow.signalled_at.is_(None),
        InboxRow.outcome.is_(None),
        InboxRow.id < bindparam("row"),
    )
)


async def add(
    db: AsyncSession,
    *,
    dedupe_key: str,
    kind: str,
    session_id: int | None,
    chat_id: int | None,
    surface_key: str,
    envelope: dict[str, Any],
    outcome: str | None = None,
    reason: str = "",
) -> InboxRow | None:
    """Records an inbound event; None where one with this key was seen before. An `outcome` accounts for it at once."""
    at = now()
    return await insert_new(
        db,
        InboxRow,
        dedupe_key=dedupe_key,
        kind=kind,
        session_id=session_id,
        chat_id=chat_id,
        surface_key=surface_key,
        envelope=envelope,
        received_at=at,
        next_attempt_at=at + GRACE,
        outcome=outcome,
        reason=reason,
        accounted_at=at if outcome is not None else None,
    )


async def due(db: AsyncSession, limit: int) -> list[InboxRow]:
    """Takes rows that nobody has delivered, oldest first; for `GRACE` nobody else gets them. Needs `Store.begin`."""
    at = now()
    waiting = (InboxRow.signalled_at.is_(None)) & (InboxRow.outcome.is_(None)) & (InboxRow.next_attempt_at <= at)
    ids = select(InboxRow.id).where(waiting).order_by(InboxRow.next_attempt_at, InboxRow.id).limit(limit)
    taken = (await db.scalars(ids.with_for_update(skip_locked=True))).all()
    claim = update(InboxRow).where(InboxRow.id.in_(taken)).values(next_attempt_at=at + GRACE)
    return sorted(await change(db, claim, InboxRow), key=lambda row: row.id)


async def mark_signalled(db: AsyncSession, id: int) -> None:
    """Temporal has the event: it cannot get lost any more."""
    values = {"signalled_at": func.coalesce(InboxRow.signalled_at, now()), "attempts": InboxRow.attempts + 1}
    await change_one(db, update(InboxRow).where(InboxRow.id == id).values(values), InboxRow)


async def mark_failed(db: AsyncSession, id: int, retry_in: timedelta) -> None:
    """The event could not be delivered; it is due again after `retry_in`."""
    values = {"next_attempt_at": now() + retry_in, "attempts": InboxRow.attempts + 1}
    undelivered = (InboxRow.id == id) & (InboxRow.signalled_at.is_(None))
    await change_one(db, update(InboxRow).where(undelivered).values(values), InboxRow)


async def account(db: AsyncSession, outcomes: Sequence[tuple[int, str, str]]) -> None:
    """Records what became of rows, as (id, outcome, reason). The first outcome of a row stays."""
    at = now()
    for row_id, outcome, reason in sorted(outcomes):
        values = {"row": row_id, "became": outcome, "because": reason, "time": at}
        await db.execute(_ACCOUNT, values, execution_options={"synchronize_session": False})


async def catch_up(db: AsyncSession, ids: Sequence[int], session_id: int | None, chat_id: int | None) -> None:
    """Changes that came before their message count as handled, with it, now that it has come."""
    values = {"outcome": "handled", "reason": CAUGHT_UP, "session_id": session_id, "chat_id": chat_id}
    await change(db, update(InboxRow).where(InboxRow.id.in_(ids)).values(accounted_at=now(), **values), InboxRow)


async def unaccounted(db: AsyncSession, older_than: timedelta, limit: int) -> list[InboxRow]:
    """Rows without an outcome, delivered or not, that came in before `older_than` ago; oldest first."""
    query = select(InboxRow).where(InboxRow.outcome.is_(None), InboxRow.received_at <= now() - older_than)
    return list(await db.scalars(query.order_by(InboxRow.received_at, InboxRow.id).limit(limit)))


async def count_unaccounted(db: AsyncSession) -> int:
    """How many rows have no outcome yet."""
    return await db.scalar(select(func.count()).select_from(InboxRow).where(InboxRow.outcome.is_(None))) or 0


async def ignored_since(
    db: AsyncSession, agent_id: int, reasons: Sequence[str], since: datetime
) -> dict[int, list[int]]:
    """The messages that an agent's sessions got since then and ignored for one of these reasons, by session.

    The latest session first; the messages by their number.
    """
    query = (
        select(InboxRow.session_id, InboxRow.chat_id)
        .join(Session, Session.id == InboxRow.session_id)
        .where(
            Session.agent_id == agent_id,
            InboxRow.kind == "message",
            InboxRow.outcome == "ignored",
            InboxRow.reason.in_(reasons),
            InboxRow.received_at >= since,
        )
        .order_by(InboxRow.id.desc())
    )
    found: dict[int, list[int]] = {}
    for session_id, chat_id in await db.execute(query):
        if session_id is not None and chat_id is not None:
            found.setdefault(session_id, []).append(chat_id)
    return found


def envelope_of(row: InboxRow) -> dict[str, Any]:
    """What to signal for a row: its envelope with the row's number in it."""
    return {**row.envelope, "inbox_id": row.id}


async def message_of(db: AsyncSession, row: InboxRow) -> Message | None:
    """The message that a row brought, or is about."""
    return await get_message(db, row.chat_id) if row.chat_id is not None else None


async def by_dedupe_key(db: AsyncSession, dedupe_key: str) -> InboxRow | None:
    """The row of an event that was seen before."""
    return await find(db, InboxRow, InboxRow.dedupe_key == dedupe_key)


async def known(db: AsyncSession, dedupe_keys: Sequence[str]) -> set[str]:
    """Those of the keys that events were seen with before."""
    found: set[str] = set()
    for start in range(0, len(dedupe_keys), _AT_ONCE):
        some = dedupe_keys[start : start + _AT_ONCE]
        found.update(await db.scalars(select(InboxRow.dedupe_key).where(InboxRow.dedupe_key.in_(some))))
    return found


async def undelivered(db: AsyncSession, session_id: int, limit: int) -> list[InboxRow]:
    """What a session has not been told yet, in the order in which it came."""
    waiting = (InboxRow.session_id == session_id) & (InboxRow.signalled_at.is_(None)) & (InboxRow.outcome.is_(None))
    return list(await db.scalars(select(InboxRow).where(waiting).order_by(InboxRow.id).limit(limit)))


async def has_earlier(db: AsyncSession, row: InboxRow) -> bool:
    """Whether a session has not been told yet of something that came before this row."""
    return bool(await db.scalar(_HAS_EARLIER, {"session": row.session_id, "row": row.id}))


async def deliver_again(db: AsyncSession, ids: Sequence[int]) -> None:
    """Makes delivered rows due again: whoever was told has lost its memory."""
    lost = InboxRow.id.in_(ids) & InboxRow.outcome.is_(None)
    await change(db, update(InboxRow).where(lost).values(signalled_at=None, next_attempt_at=now()), InboxRow)
