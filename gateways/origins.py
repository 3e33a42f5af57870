"""Which pages may use the widget: those that a published workflow listens to."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from gateways.matching import Route, serves_any

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
_GOOD_FOR = 2.0
"""Seconds until a page that no workflow listens to any more is turned away."""

_BUSY = 60.0
"""Seconds. Who opened a conversation so long ago may still be writing its first message."""


class Origins:
    """Knows the listeners while anybody uses a widget, so that a question need not wait until they are read.

    A page that is refused has been looked for in the record: what was just published counts at once.
    """

    def __init__(self, routes: Callable[[], Awaitable[Sequence[Route]]], is_watched: Callable[[], bool]) -> None:
        """
        Args:
            routes: Reads the listeners.
            is_watched: Whether anybody looks at a widget or a console now.
        """
        self._read = routes
        self._is_watched = is_watched
        self._routes: Sequence[Route] = ()
        self._read_at = self._asked_at = float("-inf")

    @property
    def routes(self) -> Sequence[Route]:
        """The listeners as they were when they were read last."""
        return self._routes

    async def allows(self, origin: str) -> bool:
        """Whether a page may use the widget."""
        self._asked_at = time.monotonic()
        if time.monotonic() - self._read_at <= _GOOD_FOR and serves_any(self._routes, origin):
            return True
        await self._look()
        return serves_any(self._routes, origin)

    async def run(self) -> None:
        """Reads the listeners again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._is_watched() or time.monotonic() - self._asked_at < _BUSY:
                try:
                    await self._look()
                except Exception as error:
                    log.warning("Which pages may use the widget is not known: %s", error)

    async def _look(self) -> None:
        self._routes = await self._read()
        self._read_at = time.monotonic()
