"""What models cost, by session, workflow and day."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Session, SpendingRow, now
from store.rows import insert_new


@dataclass(frozen=True)
class Sum:
    """What several requests have cost.

    Attributes:
        tokens: Of input, cached or not, and output.
        microdollars: Millionths of a US dollar, as far as prices are known.
        unpriced: How many requests went to models whose price nobody knows.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    microdollars: int = 0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.cached_tokens + self.output_tokens

    @property
    def usd(self) -> float:
        """In US dollars."""
        return self.microdollars / 1e6


def today() -> str:
    """The day, in UTC."""
    return now().date().isoformat()


def end_of_day() -> datetime:
    """When the day ends, in UTC."""
    return now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


EVALUATIONS = "runllm eval"
"""What evaluations are accounted for under. No workflow is called so: names have no blanks."""


async def add(db: AsyncSession, *, key: str, session: Session, **values: Any) -> None:
    """Records one request of a conversation; the same `key` again changes nothing."""
    whose = {"session_id": session.id, "published_name": session.published_name}
    await insert_new(db, SpendingRow, key=key, day=today(), **whose, **values)


async def add_evaluated(db: AsyncSession, *, key: str, agent_id: int, **values: Any) -> None:
    """Records one request of an evaluation; the same `key` again changes nothing."""
    await insert_new(db, SpendingRow, key=key, day=today(), agent_id=agent_id, published_name=EVALUATIONS, **values)


async def of_session(db: AsyncSession, session_id: int) -> Sum:
    """All that a conversation has cost."""
    return await _sum(db, SpendingRow.session_id == session_id)


async def of_day(db: AsyncSession, day: str, published_name: str | None = None) -> Sum:
    """What a day has cost, in all or of one workflow."""
    condition = SpendingRow.day == day
    if published_name is not None:
        condition &= SpendingRow.published_name == published_name
    return await _sum(db, condition)


async def by_workflow(db: AsyncSession, agent_id: int, since_day: str) -> list[tuple[str, str, Sum]]:
    """What each workflow of an agent has cost, and its evaluations, day by day, the newest first."""
    query = (
        select(SpendingRow.day, SpendingRow.published_name, *_columns())
        .outerjoin(Session, Session.id == SpendingRow.session_id)
        .where(func.coalesce(SpendingRow.agent_id, Session.agent_id) == agent_id, SpendingRow.day >= since_day)
        .group_by(SpendingRow.day, SpendingRow.published_name)
        .order_by(SpendingRow.day.desc(), SpendingRow.published_name)
    )
    return [(day, name, Sum(*map(int, sums))) for day, name, *sums in await db.execute(query)]


async def _sum(db: AsyncSession, condition: ColumnElement[bool]) -> Sum:
    row = (await db.execute(select(*_columns()).where(condition))).one()
    return Sum(*map(int, row))


def _columns() -> list[ColumnElement[Any]]:
    """In the order of the fields of `Sum`."""
    cached = SpendingRow.cache_read_tokens + SpendingRow.cache_write_tokens
    sums = [SpendingRow.input_tokens, SpendingRow.output_tokens, cached, SpendingRow.microdollars]
    unpriced = func.count() - func.count(SpendingRow.microdollars)
    return [func.count(), *(func.coalesce(func.sum(column), 0) for column in sums), unpriced]
