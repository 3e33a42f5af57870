"""Starts the workflow that indexes a knowledge source, now and on a schedule; also later, where Temporal was down."""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy

from gateways.temporal import RPC_TIMEOUT, Temporal, failure_of
from gateways.wire import INDEX_WORKFLOW, KNOWLEDGE_QUEUE, SCHEDULED_INDEX_WORKFLOW, SCHEDULES, index_workflow_id
from store import knowledge
from store.engine import Store

log = logging.getLogger(__name__)

EVERY = 5.0

_CATCH_UP = timedelta(minutes=10)
_SPREAD = 97
"""Sources with the same interval do not begin all at once."""


class Indexing:
    """Sources in the state `new` wait for their workflow. Starting it twice starts it once.

    Schedules follow the record: what Temporal did not take is tried again, and at the start all are compared.
    """

    def __init__(self, store: Store, temporal: Temporal) -> None:
        self._store = store
        self._temporal = temporal
        self._unscheduled: set[int] = set()
        self._is_compared = False

    async def start(self, source_id: int) -> bool:
        """Starts indexing a source; False where Temporal did not take it: `run` tries again."""
        try:
            client = await self._temporal.client()
            await client.start_workflow(
                INDEX_WORKFLOW,
                source_id,
                id=index_workflow_id(source_id),
                task_queue=KNOWLEDGE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=RPC_TIMEOUT,
            )
        except Exception as error:
            log.warning("indexing of source %d was not started: %s", source_id, failure_of(error).text)
            return False
        return True

    async def schedule(self, source_id: int, every_seconds: int | None) -> bool:
        """Has a source indexed again and again, or not any more; False where Temporal did not take that yet."""
        try:
            client = await self._temporal.client()
            if every_seconds is None:
                await _unschedule(client, source_id)
            else:
                await _schedule(client, source_id, every_seconds)
        except Exception as error:
            log.warning("the schedule of source %d was not changed: %s", source_id, failure_of(error).text)
            self._unscheduled.add(source_id)
            return False
        self._unscheduled.discard(source_id)
        return True

    async def start_waiting(self) -> None:
        """Starts what waits, until one cannot be started."""
        async with self._store.read() as db:
            waiting = [source.id for source in await knowledge.sources(db) if source.state == "new"]
        for source_id in waiting:
            if not await self.start(source_id):
                return

    async def follow_record(self) -> None:
        """Makes Temporal's schedules what the record says."""
        client = await self._temporal.client()
        there = set() if self._is_compared else await _scheduled(client)
        async with self._store.read() as db:  # after the look at Temporal: a schedule's source is there before it
            wanted = {source.id: source.every_seconds for source in await knowledge.sources(db)}
        if not self._is_compared:
            self._unscheduled |= there - {number for number, every in wanted.items() if every}
            self._unscheduled |= {number for number, every in wanted.items() if every} - there
            self._is_compared = True
        for source_id in sorted(self._unscheduled):
            if not await self.schedule(source_id, wanted.get(source_id)):
                return

    async def run(self) -> None:
        """Starts and schedules what could not be before, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.start_waiting()
                await self.follow_record()
            except Exception as error:
                log.warning("looking for sources to index failed (%s); the next round follows", failure_of(error).text)


async def _schedule(client: Client, source_id: int, every_seconds: int) -> None:
    every = timedelta(seconds=every_seconds)
    name = f"{SCHEDULES}{source_id}"
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(SCHEDULED_INDEX_WORKFLOW, source_id, id=name, task_queue=KNOWLEDGE_QUEUE),
        spec=ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=every, offset=timedelta(seconds=source_id * _SPREAD % every_seconds))]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
    )

    def change(now: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(schedule=wanted)

    try:
        await client.create_schedule(name, wanted, rpc_timeout=RPC_TIMEOUT)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(name).update(change, rpc_timeout=RPC_TIMEOUT)


async def _unschedule(client: Client, source_id: int) -> None:
    try:
        await client.get_schedule_handle(f"{SCHEDULES}{source_id}").delete(rpc_timeout=RPC_TIMEOUT)
    except Exception as error:
        if failure_of(error).kind not in ("absent", "closed"):
            raise


async def _scheduled(client: Client) -> set[int]:
    """Sources that Temporal has a schedule for."""
    names = [listed.id async for listed in await client.list_schedules(rpc_timeout=RPC_TIMEOUT)]
    numbers = (name.removeprefix(SCHEDULES) for name in names if name.startswith(SCHEDULES))
    return {int(number) for number in numbers if number.isdecimal()}
