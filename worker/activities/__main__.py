"""`python -m worker.activities`: performs what sessions ask for, and indexes knowledge.

It prints `ready` once it takes activities. It stops on SIGTERM, on SIGINT and, with RUNLLM_TETHER=1, when its standard
input ends; what is under way gets a moment to finish, and what does not finish is tried again elsewhere.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateways.adapters import adapters, openers
from gateways.hub_client import HubClient
from runllm.cli.children import HOPELESS
from runllm.cli.tether import when_stdin_ends
from runllm.errors import UsageError
from store.engine import Store, StoreError
from worker.activities.context import Context
from worker.activities.workers import knowledge_worker, session_activities
from worker.answering.models import open_model
from worker.answering.protocol import Model
from worker.answering.retrieval import LexicalRetriever
from worker.deployments.connecting import connect
from worker.settings import ActivitySettings

STORE_SECONDS = 60.0
"""A database that starts with us may need so long."""

log = logging.getLogger("runllm.activities")


def main() -> None:
    """Runs until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = ActivitySettings.from_env(os.environ)
        model = open_model(settings.model, settings.script)
    except (UsageError, ValueError) as error:
        log.error("The activity worker cannot start: %s", error)
        sys.exit(HOPELESS)
    try:
        asyncio.run(_until_stopped(settings, model))
    except StoreError as error:
        sys.exit(f"activity worker: {error}")


async def _until_stopped(settings: ActivitySettings, model: Model) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if settings.is_tethered:
        when_stdin_ends(lambda: loop.call_soon_threadsafe(stop.set))
    working = asyncio.create_task(work(settings, model))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    working.cancel()  # a worker that is cancelled shuts down as it should
    await asyncio.wait({working})
    if not working.cancelled() and (error := working.exception()) is not None:
        raise error


async def work(settings: ActivitySettings, model: Model) -> None:
    """Works until it is cancelled."""
    async with _context(settings, model) as context:
        client = await connect(settings.temporal)
        async with session_activities(client, context), knowledge_worker(client, context.store):
            print("ready", flush=True)
            log.info("taking activities; the model is %s", context.model.name)
            await asyncio.Event().wait()


@asynccontextmanager
async def _context(settings: ActivitySettings, model: Model) -> AsyncIterator[Context]:
    store = await _open(settings.store.database_url)
    hub = HubClient(settings.gateway_url, settings.store.secret.get_secret_value())
    try:
        yield Context(
            store=store,
            adapters=adapters(store, hub),
            openers=openers(),
            hub=hub,
            model=model,
            retriever=LexicalRetriever(store),
        )
    finally:
        await hub.close()
        await store.close()


async def _open(url: str) -> Store:
    deadline = asyncio.get_running_loop().time() + STORE_SECONDS
    while True:
        try:
            return await Store.open(url)
        except StoreError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("%s Trying again.", error)
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    main()
