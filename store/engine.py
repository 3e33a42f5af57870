"""Opens the record: engines, connections, transactions.

On PostgreSQL the transactions are READ COMMITTED and decide races by unique constraints and by conditional updates,
never by reading first, so none has to be retried for serialisation. Nor for deadlocks: rows that several transactions
change are taken in one order, a published workflow before its versions, inbox rows by number, a session before its
messages and postings. For SQLite see store/sqlite.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from runllm.errors import RunLLMError
from store import postgresql, sqlite
from store.migrations import migrate
from store.whole import to_the_end


class StoreError(RunLLMError):
    """The database cannot be used; the text says why and what to do."""


class Store:
    """An open record. One a process: `begin` and `read` give out its connections."""

    def __init__(self, url: URL, writers: AsyncEngine, readers: AsyncEngine) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._engines = (writers, readers)
        self._writing = async_sessionmaker(writers, expire_on_commit=False)
        self._reading = async_sessionmaker(readers, expire_on_commit=False, autoflush=False)

    @classmethod
    async def open(cls, url: str, *, migrate: bool = True) -> "Store":
        """Opens the database at `url`, and brings its tables up to date.

        Raises:
            StoreError: Nothing at that address can be used.
        """
        address = database_url(url)
        try:
            store = cls(address, *_engines(address))
            try:
                await store._prepare(migrate)
            except BaseException:
                await store.close()
                raise
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(_unusable(address, error)) from error
        return store

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """One write transaction: all of it happens, or nothing. Rows that it returned stay readable afterwards.

        Do not begin a second one inside: on SQLite it would wait for the first.
        """
        async with _transaction(self._writing()) as db:
            yield db

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One read-only transaction; a write in it is refused by the database."""
        async with _transaction(self._reading()) as db:
            yield db

    async def close(self) -> None:
        """Closes all connections."""
        for engine in dict.fromkeys(self._engines):
            await engine.dispose()

    async def _prepare(self, bring_up_to_date: bool) -> None:
        if bring_up_to_date:
            engine = sqlite.migrating_engine(self.url) if self.is_sqlite else self._engines[0]
            try:
                await migrate(engine)
            finally:
                await engine.dispose()
        async with self.read() as db:
            await db.connection()


@asynccontextmanager
async def _transaction(db: AsyncSession) -> AsyncIterator[AsyncSession]:
    """Committed where the block ends well. Whoever is cancelled at its end waits until it has ended.

    A commit or a rollback that stops half way costs the connection, and nobody knows what became of it.
    """
    try:
        await db.begin()
        yield db
    except BaseException:
        await to_the_end(db.close())  # and with that rolled back
        raise
    await to_the_end(_commit(db))


async def _commit(db: AsyncSession) -> None:
    try:
        await db.commit()
    finally:
        await db.close()


def database_url(url: str) -> URL:
    """`url` with the asynchronous driver that goes with it.

    Raises:
        StoreError: Neither SQLite nor PostgreSQL.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            f"The database URL {url!r} is not a URL. Set RUNLLM_DATABASE_URL to sqlite:///path or postgresql://…"
        ) from error
    match address.drivername:
        case "sqlite" | "sqlite+aiosqlite":
            if address.database in (None, "", ":memory:"):
                raise StoreError(
                    "A SQLite database in memory cannot be shared by several processes. "
                    "Give RUNLLM_DATABASE_URL a file: sqlite:///path/runllm.db"
                )
            return address.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres" | "postgresql+asyncpg":
            return _for_asyncpg(address.set(drivername="postgresql+asyncpg"))
        case other:
            raise StoreError(
                f"The engine has no driver for {other!r} databases. "
                "Set RUNLLM_DATABASE_URL to sqlite:///path or postgresql://user:password@host/name"
            )


def _for_asyncpg(address: URL) -> URL:
    """libpq's `sslmode`, which providers put into their URLs, is `ssl` to this driver."""
    query = dict(address.query)
    if "sslmode" in query:
        query.setdefault("ssl", query.pop("sslmode"))
    return address.set(query=query)


def _engines(address: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """The engine that writes and the one that reads."""
    if address.get_backend_name() == "postgresql":
        return postgresql.engines(address)
    return sqlite.engines(address)


def _unusable(address: URL, error: Exception) -> str:
    reason = str(error.orig) if isinstance(error, DBAPIError) else str(error) or type(error).__name__
    what = "file can be written" if address.get_backend_name() == "sqlite" else "server runs and lets this user in"
    shown = address.render_as_string(hide_password=True)
    return f"The database {shown} cannot be used: {reason}. Check that RUNLLM_DATABASE_URL is right and the {what}."
