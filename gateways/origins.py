"""Which pages may use the widget: those that a published workflow listens to."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from gateways.matching import Route, serves_any

log = logging.getLogger(__name__)

_FRESH = 1.0
_AFTERWARDS = 0.2
"""Seconds: the question is on its way by then."""

_REMEMBERED = 60.0
_MOST = 1000


class Origins:
    """Remembers the pages that were let in, so that a question need not wait until the listeners are read again.

    They are read afterwards. What a page that no workflow listens to any more asks meanwhile, and within a
    minute, is answered still. A page that was refused is not remembered: publishing counts at once.
    """

    def __init__(self, routes: Callable[[], Awaitable[Sequence[Route]]]) -> None:
        self._routes = routes
        self._seen: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[bool]] = {}

    async def allows(self, origin: str) -> bool:
        """Whether a page may use the widget."""
        age = time.monotonic() - self._seen.get(origin, float("-inf"))
        if age > _REMEMBERED:
            return await self._look(origin)
        if age > _FRESH and origin not in self._looks:
            look = self._looks[origin] = asyncio.create_task(self._look_soon(origin))
            look.add_done_callback(lambda done: self._end(origin, done))
        return True

    async def _look_soon(self, origin: str) -> bool:
        await asyncio.sleep(_AFTERWARDS)
        return await self._look(origin)

    async def _look(self, origin: str) -> bool:
        if not serves_any(await self._routes(), origin):
            self._seen.pop(origin, None)
            return False
        if len(self._seen) >= _MOST:  # a listener may be for all pages of a domain
            self._seen.clear()
        self._seen[origin] = time.monotonic()
        return True

    def _end(self, origin: str, look: asyncio.Task[bool]) -> None:
        del self._looks[origin]
        if not look.cancelled() and (error := look.exception()) is not None:
            log.warning("Whether %s may still use the widget is not known: %s", origin, error)
