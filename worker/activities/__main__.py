"""`python -m worker.activities`: performs what sessions ask for, and indexes knowledge.

It prints `ready` once it takes activities. It stops on SIGTERM, on SIGINT and, with RUNLLM_TETHER=1, when its standard
input ends; what is under way gets a moment to finish, and what does not finish is tried again elsewhere.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gateways.adapters import adapters, openers
from gateways.hub_client import HubClient
from gateways.outlets import Outlets
from runllm.cli.children import HOPELESS
from runllm.errors import UsageError
from store import notices
from store.engine import StoreError
from store.sealing import Seal
from worker.activities.ahead import Ahead
from worker.activities.context import Context
from worker.activities.foresight import Foresight
from worker.activities.handover import MODEL_NOTICE
from worker.activities.spending import CAP_NOTICE, PRICE_NOTICE, Accounts
from worker.activities.warming import warm_up
from worker.activities.workers import knowledge_worker, session_activities
from worker.answering.embedding import Chosen, choose_embedder
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.models import close_model, open_model
from worker.answering.protocol import Model
from worker.answering.retrieval import PassageRetriever
from worker.deployments.connecting import connect
from worker.running import open_store, until_stopped
from worker.settings import ActivitySettings

log = logging.getLogger("runllm.activities")


def main() -> None:
    """Runs until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = ActivitySettings.from_env(os.environ)
        chosen = choose_embedder(settings.embeddings)
        model = open_model(settings.model, chosen.embedder)
    except (UsageError, ValueError) as error:
        log.error("The activity worker cannot start: %s", error)
        sys.exit(HOPELESS)
    try:
        asyncio.run(until_stopped(work(settings, model, chosen), is_tethered=settings.is_tethered))
    except StoreError as error:
        sys.exit(f"activity worker: {error}")


async def work(settings: ActivitySettings, model: Model, chosen: Chosen) -> None:
    """Works until it is cancelled."""
    async with _context(settings, model, chosen) as context:
        async with context.store.begin() as db:  # a new start, and maybe new settings
            await notices.take_back(db, CAP_NOTICE, MODEL_NOTICE, PRICE_NOTICE)
        client = await connect(settings.temporal)
        embedding = PassageEmbedding(context.store, chosen)
        await embedding.record()
        async with (
            session_activities(client, context, chosen),
            knowledge_worker(client, context.store, settings=settings.knowledge, embedding=embedding),
            _beside(embedding.run()),
            _beside(warm_up(context)),
        ):
            print("ready", flush=True)
            log.info("taking activities; the model is %s", context.model.name)
            log.log(logging.INFO if chosen.embedder else logging.WARNING, "%s", chosen.as_sentence)
            await asyncio.Event().wait()


@asynccontextmanager
async def _beside(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `job` for as long as the block does."""
    running = asyncio.create_task(job)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def _context(settings: ActivitySettings, model: Model, chosen: Chosen) -> AsyncIterator[Context]:
    store = await open_store(settings.store.database_url, log)
    hub = HubClient(settings.gateway_url, settings.store.secret.get_secret_value())
    outlets = Outlets(store, hub, Seal(settings.store.secret), settings.platforms)
    accounts = Accounts(store, settings.model.caps, settings.model.prices)
    foresight = Foresight(model, accounts, asks=settings.model.asks_ahead)
    ahead = Ahead(PassageRetriever(store, chosen.embedder), foresight, store)
    try:
        async with _beside(ahead.listen(hub.hear())):
            yield Context(
                store=store,
                adapters=adapters(outlets),
                openers=openers(outlets),
                hub=hub,
                model=model,
                retriever=ahead,
                ahead=ahead,
                handover=settings.model.handover,
                apology=settings.apology,
                caps=settings.model.caps,
                prices=settings.model.prices,
            )
    finally:
        await foresight.close()
        await close_model(model)
        await hub.close()
        await store.close()


if __name__ == "__main__":
    main()
