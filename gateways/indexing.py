"""Starts the workflow that indexes a knowledge source; also later, where Temporal was down."""

import asyncio
import logging

from temporalio.common import WorkflowIDConflictPolicy

from gateways.temporal import RPC_TIMEOUT, Temporal, failure_of
from gateways.wire import INDEX_WORKFLOW, KNOWLEDGE_QUEUE
from store import knowledge
from store.engine import Store

log = logging.getLogger(__name__)

EVERY = 5.0


class Indexing:
    """Sources in the state `new` wait for their workflow. Starting it twice starts it once."""

    def __init__(self, store: Store, temporal: Temporal) -> None:
        self._store = store
        self._temporal = temporal

    async def start(self, source_id: int) -> bool:
        """Starts indexing a source; False where Temporal did not take it: `run` tries again."""
        try:
            client = await self._temporal.client()
            await client.start_workflow(
                INDEX_WORKFLOW,
                source_id,
                id=f"index-{source_id}",
                task_queue=KNOWLEDGE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=RPC_TIMEOUT,
            )
        except Exception as error:
            log.warning("indexing of source %d was not started: %s", source_id, failure_of(error).text)
            return False
        return True

    async def start_waiting(self) -> None:
        """Starts what waits, until one cannot be started."""
        async with self._store.read() as db:
            waiting = [source.id for source in await knowledge.sources(db) if source.state == "new"]
        for source_id in waiting:
            if not await self.start(source_id):
                return

    async def run(self) -> None:
        """Starts what could not be started before, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.start_waiting()
            except Exception:
                log.exception("looking for sources to index failed; the next round follows")
