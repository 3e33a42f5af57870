"""How far what a platform keeps has been read: where to go on after an outage."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Cursor, now
from store.rows import FRESH, find, insert


async def advance(db: AsyncSession, name: str, position: str) -> None:
    """Moves a cursor forward, never back. Positions of one cursor compare as text, so numbers come with zeros."""
    values = {"position": position, "moved_at": now()}
    new = insert(db, Cursor).values(name=name, **values)
    forward = Cursor.position <= position
    await db.execute(
        new.on_conflict_do_update(index_elements=["name"], set_=values, where=forward), execution_options=FRESH
    )


async def position(db: AsyncSession, name: str) -> str | None:
    """Where a cursor is; None where it has not begun."""
    row = await find(db, Cursor, Cursor.name == name)
    return None if row is None else row.position


async def positions(db: AsyncSession, prefix: str) -> dict[str, str]:
    """All cursors whose names begin with `prefix`, by the rest of the name."""
    query = select(Cursor.name, Cursor.position).where(Cursor.name.startswith(prefix, autoescape=True))
    return {name.removeprefix(prefix): position for name, position in await db.execute(query)}


async def moved_at(db: AsyncSession, name: str) -> datetime | None:
    """When a cursor was last moved, or told to stay where it is."""
    row = await find(db, Cursor, Cursor.name == name)
    return None if row is None else row.moved_at
