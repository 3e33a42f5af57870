"""Tags on conversations."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import TagRow
from store.rows import change, insert_new


async def of(db: AsyncSession, session_id: int) -> list[str]:
    """The tags on a conversation, in the order in which they were applied."""
    query = select(TagRow.tag).where(TagRow.session_id == session_id).order_by(TagRow.created_at, TagRow.tag)
    return list(await db.scalars(query))


async def apply(
    db: AsyncSession, session_id: int, tags: Sequence[str], origin: str, pinned_group: str | None = None
) -> list[str]:
    """Applies tags and returns those that are new. A pinned group keeps the one tag that was applied last."""
    wanted = list(dict.fromkeys(tags))
    if pinned_group is not None and wanted:
        wanted = wanted[-1:]
        others = (TagRow.pinned_group == pinned_group) & (TagRow.tag != wanted[0])
        await db.execute(delete(TagRow).where(TagRow.session_id == session_id, others))
    applied = []
    for tag in wanted:
        row = await insert_new(db, TagRow, session_id=session_id, tag=tag, origin=origin, pinned_group=pinned_group)
        if row is not None:
            applied.append(row.tag)
        elif pinned_group is not None:
            mine = (TagRow.session_id == session_id) & (TagRow.tag == tag)
            await change(db, update(TagRow).where(mine).values(pinned_group=pinned_group), TagRow)
    return applied


async def remove(db: AsyncSession, session_id: int, tags: Sequence[str]) -> list[str]:
    """Takes tags off and returns those that were there."""
    statement = delete(TagRow).where(TagRow.session_id == session_id, TagRow.tag.in_(tags)).returning(TagRow.tag)
    return sorted(await db.scalars(statement, execution_options={"synchronize_session": False}))
