"""Connections to PostgreSQL: pooled, and looked at before they are used.

A connection whose server restarted is closed, and the driver knows it: the socket has ended. Asking the server before
each transaction whether it is still there says no more and takes three exchanges, as many as a short transaction
itself. Asked is where a connection was left alone for a while: what lies between may have forgotten it without a word.
"""

import time
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

LEFT_ALONE = 30.0
"""Seconds without use, after which a connection is asked whether it still works."""

_POOL_SIZE = 10
_CONNECT_SECONDS = 10
_USED = "used"


def engines(address: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """The engine that writes and the one that reads. They share their connections."""
    engine = create_async_engine(
        address, pool_size=_POOL_SIZE, max_overflow=_POOL_SIZE, connect_args={"timeout": _CONNECT_SECONDS}
    )
    dialect = engine.dialect

    def checked(connection: Any, record: Any, _: Any) -> None:
        """Raising this has the pool forget its connections and make a new one."""
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        used = record.info.get(_USED)
        if used is None or time.monotonic() - used < LEFT_ALONE:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    def given_back(_: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    event.listen(engine.sync_engine, "checkout", checked)
    event.listen(engine.sync_engine, "checkin", given_back)
    return engine, engine.execution_options(postgresql_readonly=True)
