"""Looks after inbox rows that nobody looks after: never delivered, or delivered and not accounted for."""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from gateways.delivery import Delivery
from gateways.routing import CLOSED, ENDED_BEFORE
from gateways.temporal import RPC_TIMEOUT, Temporal, failure_of
from gateways.wire import Outcome, workflow_id
from store import early, inbox, leases, sessions
from store.engine import Store
from store.models import InboxRow, now

log = logging.getLogger(__name__)

OUTCOMES_QUERY = "outcomes"
"""What a session answers this query with: the outcomes that it remembers, a list of `Outcome`."""

EVERY = 1.0
_TIDY_EVERY = 600.0
_LEASE = 10.0
_BATCH = 200
_ASK_AFTER = timedelta(seconds=3)
_LOST_AFTER = timedelta(seconds=30)
_ASK_AT_ONCE = 8
_LONGEST_PAUSE = 60.0

_ENDED = (
    WorkflowExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED,
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT,
)


class Sweeper:
    """One of all gateways sweeps at a time; the others stand by."""

    def __init__(self, store: Store, temporal: Temporal, delivery: Delivery) -> None:
        self._store = store
        self._temporal = temporal
        self._delivery = delivery
        self._me = f"gateway-{secrets.token_hex(4)}"
        self._pauses: dict[int, tuple[float, float]] = {}  # session -> (ask again at, pause after that)
        self._asking = asyncio.Semaphore(_ASK_AT_ONCE)

    async def run(self) -> None:
        """Sweeps until cancelled. Asking may be slow, so redelivery does not wait for it."""
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self._repeat(self.redeliver), name="redeliver")
            jobs.create_task(self._repeat(self.account), name="account")
            jobs.create_task(self._repeat(self.tidy, _TIDY_EVERY), name="tidy")

    async def _repeat(self, round_of: Callable[[], Awaitable[None]], every: float = EVERY) -> None:
        while True:
            try:
                await round_of()
            except Exception:
                log.exception("a sweep failed; the next one follows")
            await asyncio.sleep(every)

    async def tidy(self) -> None:
        """Forgets changes that came before their messages, where these never came."""
        async with self._store.begin() as db:
            await early.forget(db)

    async def redeliver(self) -> None:
        """Tells sessions what they should have been told before."""
        if not await self._is_anything_open():
            return
        async with self._store.begin() as db:
            mine = await leases.acquire(db, "sweeper", self._me, _LEASE)
            waiting = _sessions_of(await inbox.due(db, _BATCH)) if mine else []
        # While Temporal is down, the first fails and the others can only fail as well.
        if waiting and await self._delivery.deliver(waiting[0]):
            await asyncio.gather(*(self._delivery.deliver(session) for session in waiting[1:]))

    async def account(self) -> None:
        """Asks sessions what became of events that they were told a while ago."""
        async with self._store.read() as db:
            rows = await inbox.unaccounted(db, _ASK_AFTER, _BATCH)
        if not rows or not await self._is_my_turn():
            return
        open_rows: dict[int, list[InboxRow]] = defaultdict(list)
        for row in rows:
            if row.session_id is not None and row.signalled_at is not None:
                open_rows[row.session_id].append(row)
        self._pauses = {session: pause for session, pause in self._pauses.items() if session in open_rows}
        clock = time.monotonic()
        to_ask = [session for session in open_rows if self._pauses.get(session, (0.0, 0.0))[0] <= clock]
        await asyncio.gather(*(self._ask(session, open_rows[session]) for session in to_ask))

    async def _is_anything_open(self) -> bool:
        """A look that writes nothing: most of the time there is nothing to do."""
        async with self._store.read() as db:
            return bool(await inbox.unaccounted(db, timedelta(0), 1))

    async def _is_my_turn(self) -> bool:
        async with self._store.begin() as db:
            return await leases.acquire(db, "sweeper", self._me, _LEASE)

    async def _ask(self, session_id: int, rows: list[InboxRow]) -> None:
        """Stores what the session says of these rows. One that is silent is asked less and less often."""
        _, pause = self._pauses.get(session_id, (0.0, EVERY))
        self._pauses[session_id] = (time.monotonic() + pause, min(pause * 2, _LONGEST_PAUSE))
        async with self._asking:
            try:
                handle = (await self._temporal.client()).get_workflow_handle(workflow_id(session_id))
                outcomes = await handle.query(OUTCOMES_QUERY, result_type=list[Outcome], rpc_timeout=RPC_TIMEOUT)
                async with self._store.begin() as db:
                    await inbox.account(db, [(o.inbox_id, o.outcome, o.reason) for o in outcomes])
                told = {outcome.inbox_id for outcome in outcomes}
                await self._settle_lost(handle, session_id, [row for row in rows if row.id not in told])
            except Exception as error:
                failure = failure_of(error)
                if failure.kind == "absent":
                    await self._start_over(session_id, rows)
                else:
                    log.info("session %d does not say what became of its events: %s", session_id, failure.text)

    async def _settle_lost(self, handle: WorkflowHandle[object, object], session_id: int, rows: list[InboxRow]) -> None:
        """Events that reached a session just as it ended were never read."""
        lost = [row for row in rows if row.signalled_at is not None and row.signalled_at < now() - _LOST_AFTER]
        if not lost or (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status not in _ENDED:
            return
        async with self._store.begin() as db:
            await inbox.account(db, [(row.id, "ignored", ENDED_BEFORE) for row in lost])

    async def _start_over(self, session_id: int, rows: list[InboxRow]) -> None:
        """Temporal has lost the session. What it was told and never accounted for is told to a new run of it."""
        async with self._store.begin() as db:
            session = await sessions.get(db, session_id)
            if session is not None and session.phase == "closed":
                await inbox.account(db, [(row.id, "ignored", CLOSED) for row in rows])
                return
            log.warning("Temporal does not know session %d any more; its events are delivered again", session_id)
            await inbox.deliver_again(db, [row.id for row in rows])


def _sessions_of(rows: Iterable[InboxRow]) -> list[int]:
    return list(dict.fromkeys(row.session_id for row in rows if row.session_id is not None))
