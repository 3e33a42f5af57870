"""Writes rows where several processes may write the same one: a unique constraint decides, not a look beforehand."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Update, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert

from store.models import Row

R = TypeVar("R", bound=Row)

Insert = postgresql.Insert | sqlite.Insert

FRESH = {"populate_existing": True, "synchronize_session": False}
"""Execution options that make a statement return what the database has, not what the session remembers."""


def insert(db: AsyncSession, model: type[R]) -> Insert:
    """An INSERT that knows ON CONFLICT, in the database's dialect."""
    return sqlite.insert(model) if db.get_bind().dialect.name == "sqlite" else postgresql.insert(model)


async def insert_new(db: AsyncSession, model: type[R], /, **values: Any) -> R | None:
    """Inserts a row; None where a unique constraint says that there is one already.

    What is returned is a copy of the row as the database has it, and no part of the session: every message makes
    several, and to load them through the session takes longer than to insert them.
    """
    connection = await db.connection()
    row = (await connection.execute(_inserting(connection.dialect.name, model), values)).one_or_none()
    return None if row is None else model(**row._mapping)


@cache
def _inserting(dialect: str, model: type[Row]) -> ReturningInsert[Any]:
    """Put together once: that takes longer than to execute it."""
    table: Any = model.__table__
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    return statement.on_conflict_do_nothing().returning(*table.columns)


async def insert_missing(db: AsyncSession, model: type[R], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those of `rows` that are not there yet."""
    if rows:
        await db.execute(insert(db, model).on_conflict_do_nothing(), rows)


async def change(db: AsyncSession, statement: Update, model: type[R]) -> Sequence[R]:
    """Runs an UPDATE and returns the rows that it changed."""
    return (await db.scalars(statement.returning(model), execution_options=FRESH)).all()


async def change_one(db: AsyncSession, statement: Update, model: type[R]) -> R | None:
    """Runs an UPDATE of at most one row and returns it; None where its condition held for none."""
    return (await db.scalars(statement.returning(model), execution_options=FRESH)).one_or_none()


async def find(db: AsyncSession, model: type[R], *conditions: Any) -> R | None:
    """The row for which the conditions hold, as the database has it now."""
    return (await db.scalars(select(model).where(*conditions), execution_options=FRESH)).one_or_none()


async def alone(db: AsyncSession, what: str) -> None:
    """Lets one transaction at a time go on from here, for rules that no constraint can express."""
    if db.get_bind().dialect.name == "postgresql":
        await db.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))
