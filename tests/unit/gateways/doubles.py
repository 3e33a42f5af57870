"""Doubles of what stands around a gateway: Temporal, and a browser that reads a stream."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from pydantic import TypeAdapter
from temporalio.client import (
    ActivityFailureError,
    Client,
    Schedule,
    ScheduleAlreadyRunningError,
    WorkflowExecutionStatus,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from gateways.temporal import Temporal
from gateways.wire import Envelope, Outcome
from runllm.errors import RunLLMError

Problem = Callable[[str], Exception | None]


class FakeHandle:
    def __init__(self, fake: "FakeTemporal", workflow_id: str) -> None:
        self._fake = fake
        self._id = workflow_id

    async def query(self, name: str, *, result_type: Any, rpc_timeout: Any) -> list[Outcome]:
        self._fake.queries.append(self._id)
        if (problem := self._fake.problem(self._id)) is not None:
            raise problem
        if self._id not in self._fake.running:
            raise RPCError(f"workflow not found for ID: {self._id}", RPCStatusCode.NOT_FOUND, b"")
        return self._fake.outcomes.get(self._id, [])

    async def describe(self, *, rpc_timeout: Any) -> Any:
        status = self._fake.running[self._id]
        return type("Description", (), {"status": status})()


class FakeTemporal(Temporal):
    """Takes signals, in order, or fails as told. It plays the part of Temporal's client that a gateway uses."""

    def __init__(self) -> None:
        super().__init__({"target_host": "nowhere:1", "namespace": "default"})
        self.signals: list[tuple[str, Envelope]] = []
        self.started: list[tuple[str, str, Any]] = []
        self.running: dict[str, WorkflowExecutionStatus] = {}
        self.outcomes: dict[str, list[Outcome]] = {}
        self.queries: list[str] = []
        self.schedules: dict[str, Schedule] = {}
        self.problem: Problem = lambda workflow_id: None
        self.performs: dict[str, Callable[[Any], Awaitable[Any]]] = {}

    async def client(self) -> Client:
        return self  # type: ignore[return-value]

    async def execute_activity(self, name: str, argument: Any, *, id: str, result_type: Any, **options: Any) -> Any:
        """Performs what `performs` has, through JSON; an error comes back as the worker's interceptor would send it."""
        if (problem := self.problem(id)) is not None:
            raise problem
        given = type(argument).model_validate_json(argument.model_dump_json())
        failed: ApplicationError | None = None
        try:
            result = await self.performs[name](given)
        except RunLLMError as error:
            failed = ApplicationError(str(error), type=type(error).__name__)
        if failed is not None:
            raise ActivityFailureError(cause=failed)
        return result_type.model_validate_json(result.model_dump_json())

    async def start_workflow(self, workflow: str, argument: Any, *, id: str, **options: Any) -> None:
        if (problem := self.problem(id)) is not None:
            raise problem
        self.started.append((workflow, id, argument))
        self.running.setdefault(id, WorkflowExecutionStatus.RUNNING)
        for envelope in options.get("start_signal_args", ()):
            # through JSON, as Temporal would carry it
            self.signals.append((id, Envelope.model_validate_json(envelope.model_dump_json())))

    def get_workflow_handle(self, workflow_id: str) -> FakeHandle:
        return FakeHandle(self, workflow_id)

    async def create_schedule(self, id: str, schedule: Schedule, *, rpc_timeout: Any) -> None:
        if (problem := self.problem(id)) is not None:
            raise problem
        if id in self.schedules:
            raise ScheduleAlreadyRunningError
        self.schedules[id] = schedule

    def get_schedule_handle(self, id: str) -> "FakeSchedule":
        return FakeSchedule(self, id)

    async def list_schedules(self, *, rpc_timeout: Any) -> AsyncIterator[Any]:
        if (problem := self.problem("")) is not None:
            raise problem

        async def listed() -> AsyncIterator[Any]:
            for id in list(self.schedules):
                yield type("Listed", (), {"id": id})()

        return listed()


class FakeSchedule:
    def __init__(self, fake: FakeTemporal, id: str) -> None:
        self._fake = fake
        self._id = id

    async def update(self, change: Callable[[Any], Any], *, rpc_timeout: Any) -> None:
        self._fake.schedules[self._id] = change(None).schedule

    async def delete(self, *, rpc_timeout: Any) -> None:
        if (problem := self._fake.problem(self._id)) is not None:
            raise problem
        if self._fake.schedules.pop(self._id, None) is None:
            raise RPCError("schedule not found", RPCStatusCode.NOT_FOUND, b"")


def down(workflow_id: str) -> Exception:
    """What the lazy client raises while there is no server."""
    return RuntimeError("Failed client connect: tcp connect error")


def rpc_error(status: RPCStatusCode, text: str) -> Problem:
    return lambda workflow_id: RPCError(text, status, b"")


_EVENT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Event:
    """One server-sent event."""

    def __init__(self, block: bytes) -> None:
        fields = dict(
            line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and not line.startswith(b":")
        )
        self.id = fields.get(b"id", b"").decode()
        self.name = fields.get(b"event", b"").decode()
        self.data: dict[str, Any] = json.loads(fields.get(b"data", b"{}"))


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """The events of a stream, comments left out, until it ends."""
    rest = b""
    async for data in response.content.iter_any():
        *blocks, rest = (rest + data).split(b"\n\n")
        for block in blocks:
            if not block.startswith(b":"):
                yield Event(block)
