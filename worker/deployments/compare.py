"""`python -m worker.deployments.compare`: would conversations take the same path in the code of an author?

Reads a `Compare`, answers with a `Compared`. Unlike the replay of a deployment it names both calls and the author's
line for each conversation, and reads saved histories too.
"""

import asyncio
import dataclasses
import json
import linecache
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from runllm.operations import Frozen
from worker.deployments import import_errors
from worker.deployments.channel import take_output
from worker.deployments.differences import first_difference
from worker.deployments.settings import temporal_connection
from worker.deployments.trails import SLEEP, STEP, Difference, MadeCall, calls_in, changed_words, parting
from worker.deployments.verdicts import Unpacked
from worker.session.handlers import HandlerGreenlet, run_handler
from worker.session.hosting import prepare, session_replayer
from worker.session.published import Published, serve
from worker.session.run import HandlerRun


class Compare(Frozen):
    """What to replay: saved histories, or where there are none, the newest running sessions of the version's name."""

    version: Unpacked
    histories: list[Path] = []
    at_most: int = 20


class Comparison(Frozen):
    """One conversation: its workflow id or the file of its history, and where the code leaves its path."""

    what: str
    calls: int = 0
    difference: Difference | None = None

    @property
    def takes_another_path(self) -> bool:
        """Whether a session could not go on with this code."""
        return self.difference is not None and self.difference.kind == "path"


class Compared(Frozen):
    """All comparisons; `failure` says why there are none."""

    comparisons: list[Comparison] = []
    failure: str = ""


class CannotRead(Exception):
    """A history cannot be had; the text says why."""


async def compare(question: Compare) -> Compared:
    """Replays one conversation after the other."""
    published = question.version.published()
    try:
        prepare(published)
    except BaseException as error:
        return Compared(failure=import_errors.problem(error, published.directory))
    trail = Trail(published.directory)
    replayer = tracing(session_replayer(published), trail)
    found = []
    try:
        async for what, history in _histories(question):
            found.append(await _compared(what, history, published, replayer, trail))
    except CannotRead as error:
        return Compared(failure=str(error))
    return Compared(comparisons=found)


async def _compared(
    what: str, history: WorkflowHistory, published: Published, replayer: Replayer, trail: "Trail"
) -> Comparison:
    started = history.events[0].workflow_execution_started_event_attributes
    serve(dataclasses.replace(published, name=started.workflow_type.name))  # a saved one may have another name
    trail.calls.clear()
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    before, now = calls_in(history), list(trail.calls)
    if result.replay_failure is None:
        return Comparison(what=what, calls=len(before), difference=changed_words(before, now))
    last = next((call.line for call in reversed(now) if call.line), "")
    unclear = Difference(kind="path", text=first_difference(result.replay_failure), line=last)
    return Comparison(what=what, calls=len(before), difference=parting(before, now) or unclear)


async def _histories(question: Compare) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    for file in question.histories:
        yield str(file), _saved(file)
    if question.histories:
        return
    connection = temporal_connection(os.environ)
    try:
        client = await Client.connect(**connection, data_converter=pydantic_data_converter)
        query = f"WorkflowType='{question.version.name}' AND ExecutionStatus='Running'"
        async for execution in client.list_workflows(query, limit=question.at_most):
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            yield execution.id, await handle.fetch_history()
    except (RuntimeError, OSError, RPCError) as error:
        address = connection.get("target_host")
        raise CannotRead(
            f"Temporal at {address} does not give the histories ({_reason(error)}). Start it, set TEMPORAL_ADDRESS, or "
            "name saved histories with --history"
        ) from None


def _reason(error: Exception) -> str:
    """What the system said, out of the many words around it when nothing can be reached."""
    said = re.findall(r'message: "([^"]+)"', str(error))
    return said[-1] if said else str(error)


def _saved(file: Path) -> WorkflowHistory:
    try:
        history = WorkflowHistory.from_json(file.stem, json.loads(file.read_text(encoding="utf-8")))
        if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
            raise ValueError("it does not begin with the start of a workflow")
    except Exception as error:
        raise CannotRead(
            f"{file} is not a history ({type(error).__name__}: {error}). Save one with Temporal's Web UI, "
            "or with `temporal workflow show --output json`"
        ) from None
    return history


class Trail:
    """The calls that a replayed session makes, with the lines of the files in `directory` that ask for them."""

    def __init__(self, directory: Path) -> None:
        self.calls: list[MadeCall] = []
        self._directory = f"{directory}{os.sep}"

    def add(self, activity: str, argument: Any) -> None:
        """Takes down one call."""
        self.calls.append(
            MadeCall(
                activity=activity,
                handler=argument.handler,
                operation=argument.operation.model_dump(mode="json"),
                line=self._line(),
            )
        )

    def add_own(self, what: str, frame: FrameType | None = None) -> None:
        """Takes down a step or a sleep, for which there is no activity."""
        self.calls.append(MadeCall(activity=what, line=self._line(frame)))

    def _line(self, frame: FrameType | None = None) -> str:
        """The customer's line that asks: in the handler, which stands still in its greenlet while we are called.

        Where the handler does so through a function of the customer's, that function's line comes with it.
        """
        frame, inside = frame or _handler_frame(), list[tuple[str, int]]()
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._directory):
                inside.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        if not inside:
            return ""
        through = f", through {self._place(*inside[0])}" if len(inside) > 1 else ""
        return f"{self._place(*inside[-1])}: {linecache.getline(*inside[-1]).strip()}{through}"

    def _place(self, file: str, line: int) -> str:
        return f"{file.removeprefix(self._directory)}, line {line}"


def _handler_frame() -> FrameType | None:
    """Where the handler is whose call this is; None for the session's own calls."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is run_handler.__code__:
            handler = frame.f_locals["handler"]
            return handler.gr_frame if isinstance(handler, HandlerGreenlet) else None
        frame = frame.f_back
    return None


def tracing(replayer: Replayer, trail: Trail) -> Replayer:
    """The same replayer, with a trail of what sessions call."""

    class Outbound(WorkflowOutboundInterceptor):
        def start_local_activity(self, input: StartLocalActivityInput) -> ActivityHandle[Any]:
            trail.add_own(STEP)
            return self.next.start_local_activity(input)

        def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
            trail.add(input.activity, input.args[0])
            return self.next.start_activity(input)

    class Inbound(WorkflowInboundInterceptor):
        def init(self, outbound: WorkflowOutboundInterceptor) -> None:
            super().init(Outbound(outbound))

    class Tracing(Interceptor):
        def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
            return Inbound

    sleep = HandlerRun.sleep

    def traced_sleep(self: HandlerRun, duration: timedelta) -> None:
        trail.add_own(SLEEP, sys._getframe())
        sleep(self, duration)

    HandlerRun.sleep = traced_sleep  # type: ignore[method-assign] # interceptors do not see timers
    config = replayer.config()
    config["interceptors"] = [*config.get("interceptors", []), Tracing()]
    return Replayer(**config)


def main() -> None:
    """Answers the one question on standard input."""
    answers = take_output()
    question = Compare.model_validate_json(sys.stdin.buffer.read())
    compared = asyncio.run(compare(question))
    answers.write(compared.model_dump_json().encode())
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
