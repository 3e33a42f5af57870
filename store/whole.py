"""Work that is done to its end, whoever gives up waiting for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def _unheard(failure: BaseException) -> None:
    """Who is cancelled has no use for it."""


async def to_the_end(work: Coroutine[Any, Any, T], unheard: Callable[[BaseException], None] = _unheard) -> T:
    """Does all of `work` even where whoever waits for it is cancelled; the cancellation is passed on after it.

    Args:
        unheard: Called with what the work failed with where nobody waits for it any more.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (failure := task.exception()) is not None:
        unheard(failure)
    raise cancelled
