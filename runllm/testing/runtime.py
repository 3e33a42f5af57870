"""The runtime of a rehearsed handler: what its agent asks for happens in memory, and time moves when it waits."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NoReturn, TypeVar, get_type_hints

from pydantic import TypeAdapter

from runllm.arguments import button_ids
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.messages import AssistantChatMessage
from runllm.bridge.surfaces import ChatSurface
from runllm.bridge.triggers import Trigger, default_trigger
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import HandlerLeft, StepError, UsageError
from runllm.operations import ButtonWait, Chat, MessageRef, Operation, PostMessage, ToolCall
from runllm.testing.backstage import Backstage
from runllm.tools import ToolWrapper, by_name, tools_beside, use

R = TypeVar("R")
T = TypeVar("T")
Handler = EntrypointWrapper | TaskWrapper

BUTTON_LIMIT = timedelta(days=30)
"""How long a handler waits for a button where it does not say, as in the engine."""

STEP_ATTEMPTS = 3
"""How often the function of a step is tried, as in the engine."""

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True)
class Click:
    """A click in the script, that long after the wait began."""

    button_id: str
    user: str | None
    after: timedelta


@dataclass(frozen=True)
class Meanwhile:
    """Something in the script that happens while a handler waits for a button."""

    what: str
    do: Callable[[], object]


@dataclass
class Stage:
    """Where a rehearsed session is: what the engine carries from event to event."""

    handlers: dict[str, Handler]
    handler: str
    on: list[tuple[ChatSurface, Trigger]]
    phase: Literal["listening", "mirroring", "closed"] = "listening"
    time: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    mirror: list[ChatSurface] = field(default_factory=list)
    meanwhile: deque[Click | Meanwhile] = field(default_factory=deque)
    parked: list[str] = field(default_factory=list)
    clicks: list[ButtonClicked] = field(default_factory=list)
    refused: list[ButtonClicked] = field(default_factory=list)
    silence: timedelta | None = None
    deadline: datetime | None = None
    on_timeout: str = ""

    def published(self, name: str) -> Handler:
        """A handler that the workflow was published with."""
        if name not in self.handlers:
            raise UsageError(f"handler {name!r} is not part of this version: pass it to Client.publish(tasks=[...])")
        return self.handlers[name]


class RehearsalRuntime:
    """The `Runtime` of one run of a handler."""

    def __init__(self, stage: Stage, behind: Backstage, handler: str) -> None:
        self._stage, self._behind, self._handler = stage, behind, handler
        self._waits = 0

    def perform(self, operation: Operation[R]) -> R:
        """Performs an operation in memory."""
        return self._behind.perform(operation)

    def chat(self, question: MessageRef, tools: list[ToolWrapper] | None) -> AssistantChatMessage:
        """Uses the tools that the script says, for real, and answers as it says."""
        given = by_name(tools if tools is not None else tools_beside(self._stage.handlers.values()))
        script = self._behind.script[Chat]
        while script and isinstance(script[0], ToolCall):
            call = script.popleft()
            if call.name not in given:
                raise self._behind.missing(f"will_use({call.name}): the chat has the tools {sorted(given)}")
            text, is_error = use(given[call.name], call, self.step)
            self._behind.used.append((call.name, text))
            self._behind.lines.append(f"tool {call.name}{' fails' if is_error else ''}: {text}")
        return self.perform(Chat(question=question, tools=[tool.spec for tool in given.values()]))

    def post_and_wait(
        self, message: PostMessage, *, timeout: timedelta | None, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        """Sends a message with buttons, and plays what the script has until one is clicked."""
        self._waits += 1
        wait = ButtonWait(wait_id=self._waits, allowed_users=allowed_users)
        self.perform(message.model_copy(update={"wait": wait}))
        self._stage.parked.append(self._handler)
        try:
            return self._until_clicked(button_ids(message.blocks), timeout, allowed_users)
        finally:
            self._stage.parked.remove(self._handler)

    def _until_clicked(
        self, ids: list[str], timeout: timedelta | None, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        began, patience = self._stage.time, timeout or BUTTON_LIMIT
        while self._stage.meanwhile:
            match self._stage.meanwhile.popleft():
                case Meanwhile(do=do):
                    do()
                    if self._stage.phase != "listening":
                        raise HandlerLeft("agent.terminate() ended the session that this handler was parked in")
                case Click(button_id=button_id, user=user, after=after):
                    if button_id not in ids:
                        raise self._behind.missing(f"will_click({button_id!r}) is none of the buttons {ids}")
                    if after > patience:
                        self._stage.time = max(self._stage.time, began + patience)
                        self._behind.lines.append(f"(a click on {button_id} comes too late)")
                        return None
                    self._stage.time = max(self._stage.time, began + after)
                    click = ButtonClicked(id=button_id, user=user, at=self._stage.time)
                    if allowed_users is None or user in allowed_users:
                        self._behind.lines.append(f"{user or 'user'} clicks {button_id}")
                        self._stage.clicks.append(click)
                        return click
                    self._stage.refused.append(click)
                    self._behind.lines.append(f"({user} clicks {button_id}, and is not one of {allowed_users})")
        if timeout is None:
            raise self._behind.missing(f"the handler waits for one of the buttons {ids}: call will_click(id) before")
        self._stage.time = max(self._stage.time, began + patience)
        self._behind.lines.append(f"({self._handler} waited {patience} for a click)")
        return None

    def listen(
        self,
        on: list[ChatSurface],
        handler: Handler,
        triggers: list[Trigger] | None,
        timeout: timedelta | None,
        on_timeout: Handler | None,
    ) -> NoReturn:
        """Makes another handler the current one."""
        stage = self._stage
        for each in filter(None, (handler, on_timeout)):
            stage.published(each.name)
        chosen = triggers if triggers is not None else [default_trigger(surface) for surface in on]
        stage.on, stage.handler = list(zip(on, chosen, strict=True)), handler.name
        stage.silence, stage.on_timeout = timeout, on_timeout.name if on_timeout else ""
        stage.deadline = None if timeout is None else stage.time + timeout
        raise HandlerLeft(f"agent.listen() handed over to {handler.name}")

    def terminate(self, keep_in_sync: list[ChatSurface] | None) -> NoReturn:
        """Ends the session."""
        self._stage.mirror = list(keep_in_sync or [])
        self._stage.phase = "mirroring" if keep_in_sync else "closed"
        self._stage.deadline = None
        raise HandlerLeft("agent.terminate() ended the session")

    def now(self) -> datetime:
        """The rehearsal's time."""
        return self._stage.time

    def sleep(self, duration: timedelta) -> None:
        """Moves the rehearsal's time."""
        self._stage.time += duration

    def step(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Runs the function, up to three times; its result travels as JSON, as it does in the engine."""
        failure = ""
        for _ in range(STEP_ATTEMPTS):
            try:
                value = finish(function, *args, **kwargs)
                break
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
        else:
            raise StepError(f"step {name!r} failed {STEP_ATTEMPTS} times: {failure}")
        self._behind.lines.append(f"step {name}")
        result: T = TypeAdapter(_result_type(function)).validate_json(_ANYTHING.dump_json(value))
        return result


def finish(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Calls a function, `async def` or not. A coroutine runs in its own thread: the test may have a running loop."""
    result = function(*args, **kwargs)
    if not inspect.iscoroutine(result):
        return result
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, result).result()


def _result_type(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(function).get("return", Any)
    except Exception:  # an annotation that cannot be read is no reason to refuse the step
        return Any
