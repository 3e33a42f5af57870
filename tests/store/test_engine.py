import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from store import agents, postgresql, sqlite
from store.engine import Store, StoreError, database_url
from store.models import Agent
from tests.store.rivals import Rival
from tests.store.samples import new_session

pytestmark = pytest.mark.store


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///a/b.db", "sqlite+aiosqlite:///a/b.db"),
        ("sqlite:////a/b.db", "sqlite+aiosqlite:////a/b.db"),
        ("sqlite+aiosqlite:///b.db", "sqlite+aiosqlite:///b.db"),
        ("postgresql://u:p@h:5/n", "postgresql+asyncpg://u:p@h:5/n"),
        ("postgres://h/n", "postgresql+asyncpg://h/n"),
        ("postgresql+asyncpg://h/n", "postgresql+asyncpg://h/n"),
        ("postgres://h/n?sslmode=require", "postgresql+asyncpg://h/n?ssl=require"),
        ("postgresql://u@/n?host=/run/postgresql", "postgresql+asyncpg://u@/n?host=%2Frun%2Fpostgresql"),
    ],
)
def test_urls_get_the_driver_that_the_engine_has(given: str, used: str) -> None:
    assert database_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://h/n", "no driver for 'mysql'"),
        ("postgresql+psycopg://h/n", "no driver for 'postgresql+psycopg'"),
        ("somewhere", "'somewhere' is not a URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
async def test_a_url_of_something_else_is_refused_with_what_to_write_instead(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=re.escape(says)) as caught:
        await Store.open(url)
    assert "sqlite:///path" in str(caught.value)


async def test_a_server_that_is_not_there_is_named_without_its_password(unused_tcp_port: int) -> None:
    with pytest.raises(StoreError, match=rf"127\.0\.0\.1:{unused_tcp_port}") as caught:
        await Store.open(f"postgresql://me:geheim@127.0.0.1:{unused_tcp_port}/runllm")
    assert "geheim" not in str(caught.value)
    assert "Check that RUNLLM_DATABASE_URL is right" in str(caught.value)


async def test_a_database_that_the_server_does_not_have_is_named(postgresql_server: str) -> None:
    with pytest.raises(StoreError, match='"nowhere" does not exist'):
        await Store.open(postgresql_server.format(name="nowhere"))


@pytest.mark.parametrize("path", ["", "/file/runllm.db"])
async def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=re.escape(f"{tmp_path}{path} cannot be used")):
        await Store.open(f"sqlite:///{tmp_path}{path}")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt.* not a database"):
        await Store.open(f"sqlite:///{tmp_path}/notes.txt")


async def test_the_directory_of_a_new_file_is_made(tmp_path: Path) -> None:
    await (await Store.open(f"sqlite:///{tmp_path}/new/home/runllm.db")).close()
    assert (tmp_path / "new/home/runllm.db").exists()


async def test_sqlite_is_set_up_for_several_processes(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    expected = {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1}
    async with store.begin() as db:
        found = {name: await db.scalar(text(f"PRAGMA {name}")) for name in expected}
    await store.close()
    assert found == expected


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    async def fail() -> None:
        async with store.begin() as db:
            await agents.ensure_agent(db)
            raise KeyError("failed")

    with pytest.raises(KeyError, match="failed"):
        await fail()
    async with store.read() as db:
        assert (await db.scalars(select(Agent))).all() == []


async def test_rows_stay_readable_after_their_transaction(store: Store) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db, "support")
    assert agent.name == "support"
    assert agent.created_at.tzinfo is not None


async def test_a_read_transaction_refuses_to_write(store: Store) -> None:
    async with store.read() as db:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await agents.ensure_agent(db)


async def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    async with store.read() as reader:
        assert (await reader.scalars(select(Agent))).all() == []
        async with store.begin() as db:
            await agents.ensure_agent(db)
        assert (await reader.scalars(select(Agent))).all() == []
    await store.close()


async def test_writers_of_one_process_stand_in_line_and_all_get_through(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.begin() as db:
            assert await db.scalar(select(Agent.id).where(Agent.name == f"agent {number}")) is None
            await asyncio.sleep(0)
            await agents.ensure_agent(db, f"agent {number}")

    await asyncio.gather(*(write(number) for number in range(60)))
    async with store.read() as db:
        assert len((await db.scalars(select(Agent))).all()) == 60


async def test_a_cancelled_writer_leaves_nothing_and_stops_nobody(store: Store) -> None:
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with store.begin() as db:
            await agents.ensure_agent(db, "cancelled")
            inside.set()
            await asyncio.Event().wait()

    job = asyncio.create_task(write_and_wait())
    await inside.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    async with store.begin() as db:
        await agents.ensure_agent(db, "next")
        assert list(await db.scalars(select(Agent.name))) == ["next"]


async def test_whoever_is_cancelled_anywhere_in_a_transaction_has_ended_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def reads() -> None:
        async with store.read() as db:
            await db.scalars(select(Agent.name))

    async def writes(name: str) -> None:
        async with store.begin() as db:
            await agents.ensure_agent(db, name)

    others = asyncio.all_tasks()
    for number in range(120):
        for work in (reads(), writes(f"agent {number}")):
            job = asyncio.create_task(work)
            await asyncio.sleep(number * 25e-6)  # a transaction takes about two milliseconds
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
            assert asyncio.all_tasks() == others, "somebody still tidies up: at the end of a process it is cut short"
    await reads()
    await writes("the last")
    assert [record.getMessage() for record in caplog.records if record.name.startswith("sqlalchemy")] == []


async def test_who_is_cancelled_while_it_is_committed_finds_it_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing, go_on = asyncio.Event(), asyncio.Event()
    commit = AsyncSession.commit

    async def slowly(self: AsyncSession) -> None:
        committing.set()
        await go_on.wait()
        await commit(self)

    async def write() -> None:
        async with store.begin() as db:
            await agents.ensure_agent(db, "kept")

    with monkeypatch.context() as patched:
        patched.setattr(AsyncSession, "commit", slowly)
        job = asyncio.create_task(write())
        await committing.wait()
        job.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await job
    async with store.read() as db:
        assert list(await db.scalars(select(Agent.name))) == ["kept"]


@pytest.fixture
async def locked(store: Store) -> AsyncIterator[Store]:
    """A record in which another process is in the middle of a transaction."""
    async with store.begin() as db:
        session = await new_session(db)
    rival = await Rival.start("stop_half_way", store.url.render_as_string(hide_password=False), str(session.id))
    rival.begin()
    await rival.hears("half way")
    yield store
    await rival.kill()


async def test_a_writer_that_is_cancelled_in_the_line_stops_nobody(locked: Store) -> None:
    async def write() -> None:
        async with locked.begin() as db:
            await db.execute(text("UPDATE sessions SET phase = 'closed'"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write(), 0.05)
    async with locked.read() as db:
        assert list(await db.scalars(text("SELECT phase FROM sessions"))) == ["listening"]


@pytest.mark.parametrize("opened", ["sqlite"], indirect=True)  # PostgreSQL locks rows
async def test_a_lock_that_another_process_keeps_is_named(locked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.02)
    with pytest.raises(TimeoutError, match="kept the database locked"):
        async with locked.begin() as db:
            await db.connection()


async def test_connections_that_a_server_closed_are_made_anew(empty_database: str, server: str | None) -> None:
    """As after a restart of the server: those that are kept are of no use, and nobody who comes next notices."""
    if server is None:
        return
    store = await Store.open(empty_database)
    try:
        async with store.read() as one, store.read() as other:
            before = {await _backend(one), await _backend(other)}
        await _close_all(server, empty_database)
        async with store.begin() as one, store.read() as other:
            after = {await _backend(one), await _backend(other)}
        assert len(after) == 2
        assert not before & after
    finally:
        await store.close()


async def test_a_connection_that_was_left_alone_is_asked_whether_it_works(
    empty_database: str, server: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server is None:
        return
    store = await Store.open(empty_database)
    try:
        async with store.read() as db:
            before = await _backend(db)
            driver = (await (await db.connection()).get_raw_connection()).driver_connection
        await _close_all(server, empty_database)
        monkeypatch.setattr(type(driver), "is_closed", lambda self: False)  # nobody told it
        monkeypatch.setattr(postgresql, "LEFT_ALONE", 0.0)
        async with store.read() as db:
            assert await _backend(db) != before
    finally:
        await store.close()


async def _backend(db: AsyncSession) -> int:
    return int((await db.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def _close_all(server: str, database: str) -> None:
    """Closes all connections to a database from the server's side."""
    name = database_url(database).database
    engine = create_async_engine(database_url(server.format(name="postgres")))
    async with engine.connect() as connection:
        ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name"
        assert set(await connection.scalars(text(ended), {"name": name})) == {True}
    await engine.dispose()
