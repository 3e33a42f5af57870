"""`python -m store.migrations "what it changes"` writes the next revision from the difference to the models.

Read what it wrote before you commit it: Alembic sees tables, columns and indexes, not what should become of the rows.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from store import sqlite
from store.engine import database_url
from store.migrations import HERE, migrate, newest


def _write(connection: Connection, message: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.revision(config, message, autogenerate=True, rev_id=f"{int(newest()) + 1:04}")


async def main(message: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        engine = sqlite.migrating_engine(database_url(f"sqlite:///{Path(home) / 'runllm.db'}"))
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.run_sync(_write, message)
        await engine.dispose()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m store.migrations "what it changes"')
    asyncio.run(main(sys.argv[1]))
