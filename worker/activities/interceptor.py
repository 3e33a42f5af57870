"""What holds for every activity: it heartbeats while it works, and its errors leave with a retry posture."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from worker.activities.failures import application_error

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
