"""One run of one handler, and what its agent asks of the session."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from gateways.wire import Envelope, LogLine
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.messages import AssistantChatMessage
from runllm.bridge.surfaces import ChatSurface
from runllm.bridge.triggers import Trigger
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import HandlerLeft, StepError
from runllm.operations import ButtonWait, MessageRef, Operation, PostMessage
from runllm.tools import ToolWrapper, by_name
from worker.session import steps
from worker.session.chatting import chat
from worker.session.handlers import wait

R = TypeVar("R")
T = TypeVar("T")

BUTTON_LIMIT = timedelta(days=30)
"""How long a handler waits for a button where it does not say: a parked handler keeps its version alive."""

_STEP_TIME = timedelta(minutes=5)
_STEP_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)


@dataclass
class Wait:
    """Buttons that a parked handler waits for."""

    wait_id: int
    click: Envelope | None = None
    is_over: bool = False
    """Time is up."""


class SessionServices(Protocol):
    """What a run needs of its session."""

    async def perform(self, operation: Any, handler: str = "", effect: int | None = None) -> Any:
        """Performs an operation as an activity."""
        ...

    def next_effect(self) -> int:
        """A number no other effect of this session has."""
        ...

    def tools(self) -> list[ToolWrapper]:
        """All tools of the published workflow."""
        ...

    def listen(
        self,
        on: Sequence[ChatSurface],
        handler: str,
        triggers: Sequence[Trigger] | None,
        timeout: timedelta | None,
        on_timeout: str,
    ) -> None:
        """Makes another handler the current one."""
        ...

    def terminate(self, keep_in_sync: Sequence[ChatSurface]) -> None:
        """Ends the session after this turn."""
        ...

    def log(self, line: LogLine) -> None:
        """Adds to the session's log."""
        ...


class HandlerRun:
    """A handler from its first line to its last, and the `Runtime` of its agent.

    The session gives it the turn, and waits until it has given the turn up: it is done, or parked on a button.
    """

    def __init__(self, session: SessionServices, handler: str) -> None:
        self.handler = handler
        self.phase: Literal["running", "parked", "done"] = "running"
        self.waiting_for: Wait | None = None
        self.failure: BaseException | None = None
        """A failure of ours: it fails the workflow task."""
        self.job: asyncio.Task[None] | None = None
        self._session = session
        self._has_turn = True

    # What the session calls

    def give_turn(self) -> None:
        """Lets a parked run go on."""
        self._has_turn = True
        self.phase = "running"

    def print_line(self, text: str) -> None:
        """Takes what the handler prints."""
        self._session.log(LogLine(level="print", text=text, handler=self.handler))

    # What the agent calls, inside the handler's greenlet: see runllm.operations.Runtime

    def perform(self, operation: Operation[R]) -> R:
        """Performs an operation as an activity."""
        result: R = wait(self._session.perform(operation, self.handler))
        return result

    def chat(self, question: MessageRef, tools: list[ToolWrapper] | None) -> AssistantChatMessage:
        """Turns of the model and uses of tools: see worker/session/chatting.py."""
        given = by_name(tools if tools is not None else self._session.tools())
        return wait(chat(self._session, self.handler, question, given, self._step))

    def post_and_wait(
        self, message: PostMessage, *, timeout: timedelta | None, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        """Sends buttons, gives the turn up, and goes on with the click when the turn is free again."""
        return wait(self._post_and_park(message, timeout or BUTTON_LIMIT, allowed_users))

    def listen(
        self,
        on: list[ChatSurface],
        handler: TaskWrapper | EntrypointWrapper,
        triggers: list[Trigger] | None,
        timeout: timedelta | None,
        on_timeout: TaskWrapper | EntrypointWrapper | None,
    ) -> NoReturn:
        """Makes another handler the current one, and leaves this one."""
        self._session.listen(on, handler.name, triggers, timeout, on_timeout.name if on_timeout else "")
        raise HandlerLeft(f"agent.listen() handed over to {handler.name}")

    def terminate(self, keep_in_sync: list[ChatSurface] | None) -> NoReturn:
        """Ends the session, and leaves the handler."""
        self._session.terminate(keep_in_sync or [])
        raise HandlerLeft("agent.terminate() ended the session")

    def now(self) -> datetime:
        """The time of the current workflow task."""
        return workflow.now()

    def sleep(self, duration: timedelta) -> None:
        """A durable timer; the turn is kept."""
        wait(workflow.sleep(duration, summary=f"agent.sleep in {self.handler}"))

    def step(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """A local activity: see worker/session/steps.py."""
        result: T = wait(self._step(name, function, args, kwargs))
        return result

    # In the workflow's coroutine

    async def _post_and_park(
        self, message: PostMessage, patience: timedelta, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        effect = self._session.next_effect()
        # The wait is known before the message is sent: a click can arrive before the platform has answered us.
        current = self.waiting_for = Wait(effect)
        deadline = workflow.now() + patience
        await self._session.perform(
            message.model_copy(update={"wait": ButtonWait(wait_id=effect, allowed_users=allowed_users)}),
            self.handler,
            effect,
        )
        self.phase, self._has_turn = "parked", False
        try:
            await workflow.wait_condition(
                lambda: self._has_turn,
                timeout=max(deadline - workflow.now(), timedelta()),
                timeout_summary=f"buttons in {self.handler}",
            )
        except TimeoutError:
            current.is_over = True  # the session sees it, ends the wait, and gives the turn when it is free
            await workflow.wait_condition(lambda: self._has_turn)
        self.waiting_for = None
        click = current.click
        return ButtonClicked(id=click.button_id, user=click.user, at=click.at) if click else None

    async def _step(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        key = f"{workflow.info().run_id}:{self._session.next_effect()}"
        outside = steps.outside_sandbox(function)
        steps.offer(key, lambda: outside(*args, **kwargs))
        try:
            return await workflow.execute_local_activity(
                steps.ACTIVITY,
                args=[key, name],
                result_type=steps.result_type(outside),
                schedule_to_close_timeout=_STEP_TIME,
                retry_policy=_STEP_RETRIES,
                summary=f"step {name}",
            )
        except FailureError as error:
            cause = error.cause if isinstance(error, ActivityError) else error
            what = f"{cause.type}: {cause.message}" if isinstance(cause, ApplicationError) else str(cause)
            raise StepError(f"step {name!r} failed {_STEP_RETRIES.maximum_attempts} times: {what}") from None
        finally:
            steps.withdraw(key)
