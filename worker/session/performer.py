"""Performs one operation as one activity."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError

from gateways.wire import ACTIVITY_QUEUE, Call, ContinueChat, HandOver
from runllm.bridge.messages import AssistantChatMessage, recorded
from runllm.errors import BY_NAME, RunLLMError, Unavailable
from runllm.operations import Answer, Chat, StreamAnswer
from worker.session.calls import CALLS, HEARTBEAT, CallPolicy, summary_line
from worker.session.state import SessionState

_HANDED_OVER = "handed-over"


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
        unanswered = _unanswered(operation, call.key)
        # Sessions that lived through this before there was somebody to tell the customer replay what they did then.
        if unanswered is None or not _died(error) or not workflow.patched(_HANDED_OVER):
            raise _as_ours(error, policy) from error.cause
        return await perform(state, unanswered, handler, number)
    state.outcomes = [outcome for outcome in state.outcomes if outcome not in outcomes]
    return recorded(result) if isinstance(result, AssistantChatMessage) else result


def _unanswered(operation: Any, key: str) -> HandOver | None:
    """What to tell whoever waits for the answer that `operation` was to give; None where it was to give none."""
    match operation:
        case StreamAnswer(to=to):
            return HandOver(answer=key, to=to)
        case Answer() | Chat():
            return HandOver(answer=key)
        case ContinueChat(chat=chat):
            return HandOver(answer=chat)
        case _:
            return None


def _died(error: ActivityError) -> bool:
    """Whether no attempt came to an end that anybody has foreseen: the worker was killed, or failed in its own way."""
    cause = error.cause
    return isinstance(cause, TimeoutError) or (isinstance(cause, ApplicationError) and cause.type not in BY_NAME)


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
