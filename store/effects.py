"""Operations that change something outside, written down before the change is tried."""

from typing import Any

from sqlalchemy import case, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import EffectRow, Posting, now
from store.rows import FRESH, change_one, find, insert_new


async def start(
    db: AsyncSession, key: str, session_id: int, operation: str, surface_key: str = ""
) -> tuple[EffectRow, bool]:
    """Records an attempt, and says whether what became of an earlier one is unknown.

    `attempts` above 1 says that an earlier one started, `state` and `result` how it ended.
    """
    named = {"key": key, "session_id": session_id, "operation": operation, "surface_key": surface_key}
    row = await insert_new(db, EffectRow, **named)
    if row is not None:
        return row, False
    before = await db.get(EffectRow, key)
    may_have_happened = before is not None and before.state == "started"
    again = {
        "attempts": EffectRow.attempts + 1,
        "state": case((EffectRow.state == "done", "done"), else_="started"),
    }
    changed = await change_one(db, update(EffectRow).where(EffectRow.key == key).values(**again), EffectRow)
    if changed is None:
        raise LookupError(f"The effect {key} could neither be begun nor found.")
    return changed, may_have_happened


async def finish(
    db: AsyncSession, key: str, *, remote_id: str | None = None, result: dict[str, Any] | None = None
) -> EffectRow | None:
    """The change is made. The first result stays."""
    values = {"state": "done", "remote_id": remote_id, "result": result, "error": None, "finished_at": now()}
    return await _end(db, key, values)


async def fail(db: AsyncSession, key: str, error: str) -> EffectRow | None:
    """The attempt failed; a change that was made stays made."""
    return await _end(db, key, {"state": "failed", "error": error, "finished_at": now()})


async def is_ours(db: AsyncSession, surface_key: str, remote_id: str) -> bool:
    """Whether what a platform shows there was posted by us: an echo, not news."""
    effect = exists().where(EffectRow.surface_key == surface_key, EffectRow.remote_id == remote_id)
    posting = exists().where(
        Posting.surface_key == surface_key, Posting.remote_id == remote_id, Posting.effect_key.is_not(None)
    )
    return bool(await db.scalar(select(or_(effect, posting))))


async def with_prefix(db: AsyncSession, prefix: str, operation: str) -> list[EffectRow]:
    """The effects of one kind whose keys begin with `prefix`, which holds no wildcard."""
    query = select(EffectRow).where(EffectRow.key.startswith(prefix, autoescape=True), EffectRow.operation == operation)
    return list(await db.scalars(query, execution_options=FRESH))


async def _end(db: AsyncSession, key: str, values: dict[str, Any]) -> EffectRow | None:
    not_done = (EffectRow.key == key) & (EffectRow.state != "done")
    changed = await change_one(db, update(EffectRow).where(not_done).values(**values), EffectRow)
    return changed or await find(db, EffectRow, EffectRow.key == key)


async def results_of(db: AsyncSession, session_id: int, operation: str) -> list[dict[str, Any]]:
    """The results of all finished operations of one kind in a session, oldest first."""
    query = (
        select(EffectRow.result)
        .where(EffectRow.session_id == session_id, EffectRow.operation == operation, EffectRow.state == "done")
        .order_by(EffectRow.finished_at, EffectRow.key)
    )
    return [result for result in await db.scalars(query) if result is not None]
