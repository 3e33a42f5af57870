"""Tells sessions what the inbox holds for them, in the order in which it came."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from temporalio.common import WorkflowIDReusePolicy

from gateways.routing import CLOSED, Letter
from gateways.temporal import RPC_TIMEOUT, Failure, Temporal, failure_of
from gateways.wire import EVENT_SIGNAL, Envelope, SessionStart, workflow_id, workflow_queue
from runllm.bridge.messages import UserChatMessage
from store import inbox, sessions
from store.engine import Store
from store.messages import as_chat_message
from store.models import InboxRow, Message, Session

log = logging.getLogger(__name__)

BATCH = 50
_AT_ONCE = 32
_GIVE_UP_AFTER = 12
_LONGEST_WAIT = 60.0
_LEAVE_ALONE = 1.0
_BOOKKEEPING_AFTER = 0.05
"""Seconds. The session works on what it was told, on this machine or another; that it was told is written down later.

Should this process end meanwhile the session is told again, and knows the event.
"""


class Delivery:
    """Delivers inbox rows to session workflows. Rows that it cannot deliver stay for the sweeper."""

    def __init__(self, store: Store, temporal: Temporal) -> None:
        self._store = store
        self._temporal = temporal
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._queued: dict[int, asyncio.Task[bool]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._down_until = 0.0

    def soon(self, session_id: int, letter: Letter | None = None) -> None:
        """Delivers what a session has not been told, after this returns: the `letter`, or what the record has.

        While Temporal is down this leaves it to the sweeper: to try for each event of a burst, and to write down each
        time that it failed, would keep the next events from being taken in.
        """
        if time.monotonic() < self._down_until:
            return
        job = asyncio.create_task(self.deliver(session_id, letter), name=f"deliver to session {session_id}")
        self._queued[id(job)] = job
        job.add_done_callback(self._forget)

    async def deliver(self, session_id: int, letter: Letter | None = None) -> bool:
        """Delivers what a session has not been told yet, oldest first. False where Temporal cannot be reached.

        With a `letter` the record is not read: that is next.
        """
        turn = self._turns.setdefault(session_id, asyncio.Lock())
        async with turn, self._slots:
            for one in [letter] if letter is not None else await self._undelivered(session_id):
                row = one.row
                failure = await self._signal(one.session, _envelope(inbox.envelope_of(row), one.message))
                if failure is None:
                    if letter is not None:
                        await asyncio.sleep(_BOOKKEEPING_AFTER)
                    await self._mark_signalled(row)
                    continue
                await self._note_failure(row, failure)
                if failure.kind == "down":
                    self._down_until = time.monotonic() + _LEAVE_ALONE
                if failure.kind != "closed":
                    return failure.kind != "down"  # later rows wait behind this one
        return True

    async def _undelivered(self, session_id: int) -> list[Letter]:
        async with self._store.read() as db:
            session = await sessions.get(db, session_id)
            if session is None:
                return []
            rows = await inbox.undelivered(db, session_id, BATCH)
            return [Letter(session, row, await inbox.message_of(db, row)) for row in rows]

    async def idle(self) -> None:
        """Waits until nothing that `soon` began is under way."""
        while self._queued:
            await asyncio.wait(self._queued.values())

    async def close(self, patience: float = 2.0) -> None:
        """Waits a moment for deliveries under way. Whatever is left is in the inbox."""
        if self._queued:
            _, late = await asyncio.wait(self._queued.values(), timeout=patience)
            for job in late:
                job.cancel()

    async def _signal(self, session: Session, envelope: Envelope) -> Failure | None:
        start = SessionStart(
            session_id=session.id,
            published_name=session.published_name,
            agent_id=session.agent_id,
            started_by=session.origin_key,
        )
        try:
            client = await self._temporal.client()
            await client.start_workflow(
                session.published_name,
                start,
                id=workflow_id(session.id),
                task_queue=workflow_queue(session.published_name),
                start_signal=EVENT_SIGNAL,
                start_signal_args=[envelope],
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=RPC_TIMEOUT,
            )
        except Exception as error:
            return failure_of(error)
        return None

    async def _mark_signalled(self, row: InboxRow) -> None:
        async with self._store.begin() as db:
            await inbox.mark_signalled(db, row.id)

    async def _note_failure(self, row: InboxRow, failure: Failure) -> None:
        log.warning("event %d of session %s was not delivered: %s", row.id, row.session_id, failure.text)
        async with self._store.begin() as db:
            if failure.kind == "closed":
                await inbox.account(db, [(row.id, "ignored", CLOSED)])
            elif failure.kind == "refused" and row.attempts >= _GIVE_UP_AFTER:
                await inbox.account(db, [(row.id, "ignored", f"Temporal refuses it: {failure.text}")])
            else:
                await inbox.mark_failed(db, row.id, retry_in(failure, row.attempts))

    def _forget(self, job: asyncio.Task[bool]) -> None:
        self._queued.pop(id(job), None)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("delivery failed; the sweeper tries again", exc_info=error)


def retry_in(failure: Failure, attempts: int) -> timedelta:
    """How long to leave a row alone. While Temporal is down the wait stays short: all rows go out when it is back."""
    seconds = 1.0 if failure.kind == "down" else min(0.5 * 2**attempts, _LONGEST_WAIT)
    return timedelta(seconds=seconds)


def _envelope(fields: dict[str, Any], message: Message | None) -> Envelope:
    said = as_chat_message(message) if message is not None else None
    return Envelope.model_validate(
        {**fields, "message": said if isinstance(said, UserChatMessage) else None},
    )
