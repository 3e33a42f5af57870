"""What only one process may do at a time."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.columns import UtcTime
from store.models import Lease, now
from store.rows import FRESH, insert

DEPLOYER = "deployer"
"""The lease of the worker that takes versions through their steps."""


async def acquire(db: AsyncSession, name: str, holder: str, seconds: float) -> bool:
    """Takes a lease, or keeps it for `seconds` more; False while somebody else has it."""
    at = await _database_time(db)
    values = {"holder": holder, "until": at + timedelta(seconds=seconds)}
    free = (Lease.holder == holder) | (Lease.until <= at)
    new = insert(db, Lease).values(name=name, **values)
    statement = new.on_conflict_do_update(index_elements=["name"], set_=values, where=free).returning(Lease.name)
    return (await db.execute(statement, execution_options=FRESH)).scalar_one_or_none() is not None


async def release(db: AsyncSession, name: str, holder: str) -> None:
    """Gives a lease back before its time is up."""
    await db.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))


async def holder(db: AsyncSession, name: str) -> str | None:
    """Who has a lease now."""
    query = select(Lease.holder).where(Lease.name == name, Lease.until > await _database_time(db))
    return (await db.execute(query)).scalar_one_or_none()


async def _database_time(db: AsyncSession) -> datetime:
    """One clock for all holders: machines that share a PostgreSQL may disagree on the time."""
    if db.get_bind().dialect.name == "sqlite":
        return now()
    return (await db.execute(select(func.clock_timestamp(type_=UtcTime)))).scalar_one()
