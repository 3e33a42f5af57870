"""Work that a stop lets finish: a transaction that is cut off in its middle can keep others waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE = 2.0


async def finished_first(work: Coroutine[Any, Any, None], patience: float = PATIENCE) -> None:
    """Does `work`. Whoever cancels this waits for it, at most `patience` seconds."""
    job = asyncio.create_task(work)
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        if not job.done():
            await asyncio.wait([job], timeout=patience)
            job.cancel()
        raise
