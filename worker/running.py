"""What the worker's processes share: they work until they are told to stop, and wait for a store that starts."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

from runllm.cli.tether import when_stdin_ends
from store.engine import Store, StoreError

STORE_SECONDS = 60.0
"""A database that starts with us may need so long."""


async def until_stopped(work: Coroutine[Any, Any, None], *, is_tethered: bool) -> None:
    """Works until SIGTERM, SIGINT or SIGHUP; where tethered also until standard input ends. Then cancels the work.

    Raises whatever the work raises.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if is_tethered:
        when_stdin_ends(lambda: loop.call_soon_threadsafe(stop.set))
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    working.cancel()  # a Temporal worker that is cancelled shuts down as it should
    await asyncio.wait({working})
    if not working.cancelled() and (error := working.exception()) is not None:
        raise error


async def open_store(url: str, log: logging.Logger) -> Store:
    """The store, once its database answers.

    Raises:
        StoreError: It does not answer in time.
    """
    deadline = asyncio.get_running_loop().time() + STORE_SECONDS
    while True:
        try:
            return await Store.open(url)
        except StoreError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("%s Trying again.", error)
        await asyncio.sleep(1.0)
