"""One journey to a connection's thread for each statement.

The driver gives every connection a thread, and goes there four times for one statement: for a cursor, to execute, to
fetch and to close. Each is two changes of threads, which a busy machine takes its time for, and a message that comes in
takes a dozen statements. The engine reads all rows of each statement anyway.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite

_CHUNK = 64


def connect(database: str, **options: Any) -> "Connection":
    """As the driver's own `connect`. A process that ends does not wait for the thread."""
    connection = Connection(lambda: sqlite3.connect(database, **options), _CHUNK)
    connection._thread.daemon = True
    return connection


class Connection(aiosqlite.Connection):
    """The driver's connection, with cursors that go to its thread once a statement."""

    def cursor(self) -> Any:
        """A cursor. It is its own context, as SQLAlchemy wants it."""
        return Cursor(self)


class Cursor:
    """The part of a cursor that SQLAlchemy uses of those that do not stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> "Cursor":
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.close()

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> "Cursor":
        """Executes a statement, and has its rows when it returns."""
        return await self._there(lambda cursor: cursor.execute(sql, parameters))

    async def executemany(self, sql: str, parameters: Sequence[Iterable[Any]]) -> "Cursor":
        """Executes a statement for each row of parameters."""
        return await self._there(lambda cursor: cursor.executemany(sql, parameters))

    async def fetchall(self) -> list[Any]:
        """The rows."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is open between two statements."""
        self._rows = []

    async def _there(self, do: Any) -> "Cursor":
        def work() -> tuple[Any, int, int | None, list[Any]]:
            cursor: sqlite3.Cursor = self._connection._conn.cursor()
            try:
                do(cursor)
                rows = cursor.fetchall() if cursor.description else []
                return cursor.description, cursor.rowcount, cursor.lastrowid, rows
            finally:
                cursor.close()

        there: Any = self._connection._execute
        self.description, self.rowcount, self.lastrowid, self._rows = await there(work)
        return self
