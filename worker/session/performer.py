"""Performs one operation as one activity."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError

from gateways.wire import ACTIVITY_QUEUE, Call
from runllm.bridge.messages import AssistantChatMessage, recorded
from runllm.errors import BY_NAME, RunLLMError, Unavailable
from worker.session.calls import CALLS, HEARTBEAT, CallPolicy, summary_line
from worker.session.state import SessionState


async def perform(state: SessionState, operation: Any, handler: str = "", effect: int | None = None) -> Any:
    """The result of `operation`, whatever restarts in between.

    The effect's number comes from carried state: a retry, a replay and a continued run use the same one. What became of
    earlier events travels along, and is forgotten here once it has arrived.

    Raises:
        RunLLMError: The operation failed for good; the class says why.
    """
    policy = CALLS[type(operation)]
    number = state.next_effect() if effect is None else effect
    outcomes = list(state.outcomes)
    call = Call[Any](
        session_id=state.session_id,
        key=f"{state.session_id}:{number}",
        handler=handler,
        operation=operation,
        outcomes=outcomes,
    )
    try:
        result = await workflow.execute_activity(
            policy.activity,
            call,
            task_queue=ACTIVITY_QUEUE,
            result_type=policy.result,
            start_to_close_timeout=policy.attempt,
            schedule_to_close_timeout=policy.total,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=policy.retries,
            summary=summary_line(policy, operation),
            cancellation_type=policy.cancellation,
        )
    except ActivityError as error:
        raise _as_ours(error, policy) from error.cause
    state.outcomes = [outcome for outcome in state.outcomes if outcome not in outcomes]
    return recorded(result) if isinstance(result, AssistantChatMessage) else result


def _as_ours(error: ActivityError, policy: CallPolicy) -> BaseException:
    match error.cause:
        case ApplicationError() as cause:
            return BY_NAME.get(cause.type or "", RunLLMError)(cause.message)
        case TimeoutError():
            return Unavailable(f"{policy.activity} got no answer in {policy.total or policy.attempt}")
        case CancelledError():
            return asyncio.CancelledError("the session was terminated")
        case cause:
            return RunLLMError(f"{policy.activity} failed: {cause}")
