"""What holds for every activity: it heartbeats while it works, and its errors leave with a retry posture."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from worker.activities.failures import application_error
from worker.answering.ladder import Circumstances, under

log = logging.getLogger(__name__)

_USUAL_BEAT = timedelta(seconds=3)


class ActivityManners(Interceptor):
    """Gives an activity worker what all its activities have in common."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Manners(next)


class _Manners(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            async with _heartbeats():
                with under(_circumstances()):
                    return await super().execute_activity(input)
        except Exception as error:
            # The text of an error may quote a platform's reply, so the log gets its class and where it happened.
            info = activity.info()
            log.warning(
                "%s failed on attempt %d: %s (workflow %s)",
                info.activity_type,
                info.attempt,
                type(error).__name__,
                info.workflow_id,
            )
            raise application_error(error) from None if isinstance(error, ValidationError) else error


def _circumstances() -> Circumstances:
    """Which attempt this is, and whether there will be another one."""
    info = activity.info()
    most = info.retry_policy.maximum_attempts if info.retry_policy else 0
    ends = info.schedule_to_close_timeout
    seconds_left = (
        (info.scheduled_time + ends - datetime.now(UTC)).total_seconds() if ends is not None and ends else None
    )
    return Circumstances(attempt=info.attempt, is_last=0 < most <= info.attempt, seconds_left=seconds_left)


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Says three times in every time-out that this worker is alive."""
    timeout = activity.info().heartbeat_timeout
    every = timeout / 3 if timeout else _USUAL_BEAT

    async def beat() -> None:
        while True:
            await asyncio.sleep(every.total_seconds())
            activity.heartbeat()

    job = asyncio.create_task(beat())
    try:
        yield
    finally:
        job.cancel()
