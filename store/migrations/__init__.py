"""Brings a database's tables up to date, whichever process comes first.

The revisions are in `versions/`, numbered: `0001_record.py` and on. Each is written once and never edited again.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from runllm.errors import RunLLMError

HERE = Path(__file__).parent

_LOCK = 0x72756E6C6C6D  # any number that no other program on the same PostgreSQL is likely to lock


class NewerDatabaseError(RunLLMError):
    """The tables were made by a release that this one does not know."""


def newest() -> str:
    """The number of the last revision in this release."""
    return max(path.name.partition("_")[0] for path in (HERE / "versions").glob("[0-9]*.py"))


def revision_of(connection: Connection) -> str | None:
    """The revision that the tables have now; None in an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Runs the revisions that are missing, inside the transaction of `connection`."""
    # Alembic takes long to import, and most starts have nothing to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def migrate(engine: AsyncEngine) -> None:
    """Brings the database up to date: once, however many processes start together.

    On SQLite the engine's transactions must hold the write lock from their beginning, on connections that do not
    enforce foreign keys: some changes of a table are made by building it anew.

    Raises:
        NewerDatabaseError: A newer release has been here.
    """
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade_where_needed)


def _upgrade_where_needed(connection: Connection) -> None:
    have, want = revision_of(connection), newest()
    if have is not None and have > want:
        raise NewerDatabaseError(
            f"The database is at revision {have}, and this release knows revisions up to {want}: "
            "run the newer release, or restore the backup from before it."
        )
    if have == want:
        return
    upgrade(connection)
    if connection.dialect.name == "sqlite" and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
        raise RuntimeError(f"Migrating to revision {want} would leave rows without their parents: {broken[:5]}")
