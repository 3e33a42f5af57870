"""What a person should know of the engine as a whole: shown by `runllm doctor` and in the console while it is so."""

from datetime import datetime
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import NoticeRow, now
from store.rows import insert

Level = Literal["note", "bad"]


async def put(db: AsyncSession, name: str, level: Level, text: str, until: datetime | None = None) -> None:
    """Says something, for good or `until` then; what was said under that name before is replaced."""
    values = {"level": level, "text": text, "at": now(), "until": until}
    statement = insert(db, NoticeRow).values(name=name, **values)
    await db.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_=values),
        execution_options={"synchronize_session": False},
    )


async def take_back(db: AsyncSession, *names: str) -> None:
    """These are no longer so."""
    await db.execute(delete(NoticeRow).where(NoticeRow.name.in_(names)))


async def standing(db: AsyncSession) -> list[NoticeRow]:
    """All that is so now, the gravest first."""
    stands = NoticeRow.until.is_(None) | (NoticeRow.until > now())
    return list(await db.scalars(select(NoticeRow).where(stands).order_by(NoticeRow.level, NoticeRow.name)))
