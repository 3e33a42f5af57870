"""Activities that a request of the API waits for: nobody has a conversation, and nothing is sent."""

import secrets
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from gateways.refusals import RefusedError
from gateways.temporal import Temporal, failure_of
from gateways.wire import ACTIVITY_QUEUE
from runllm.operations import Frozen

R = TypeVar("R", bound=Frozen)

_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_attempts=3)


async def performed(
    temporal: Temporal,
    activity: str,
    argument: Frozen,
    result: type[R],
    *,
    patience: timedelta,
    summary: str,
    what: str = "question",
) -> R:
    """What the activity gives.

    Args:
        what: What people call that which they wait for.

    Raises:
        RefusedError: It cannot be done, nobody does it in time, or Temporal is away.
    """
    try:
        client = await temporal.client()
        found: Any = await client.execute_activity(
            activity,
            argument,
            id=f"{activity.partition('.')[0]}-{secrets.token_hex(8)}",
            task_queue=ACTIVITY_QUEUE,
            result_type=result,
            schedule_to_close_timeout=patience,
            heartbeat_timeout=timedelta(seconds=15),
            retry_policy=_RETRIES,
            summary=summary,
        )
    except ActivityFailureError as error:
        raise _refusal(error, patience, what) from error
    except Exception as error:
        failure = failure_of(error)
        if failure.kind == "refused":
            raise
        raise RefusedError(
            503, "unavailable", f"Temporal cannot take the {what} now ({failure.text}). Try again in a moment."
        ) from error
    return result.model_validate(found)


def _refusal(error: ActivityFailureError, patience: timedelta, what: str) -> RefusedError:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return RefusedError(422, "not_answered", f"{cause.message.rstrip('.')}.")
    return RefusedError(
        504,
        "not_answered",
        f"No activity worker was done with the {what} within {patience.total_seconds():.0f} s. `runllm doctor` says "
        "whether one runs.",
    )
