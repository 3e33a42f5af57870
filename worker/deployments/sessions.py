"""The running sessions of a version: how many there are, why some stay, and the word to move on to a newer version."""

import asyncio
from dataclasses import dataclass

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.client import WorkflowExecution as Listed
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from gateways.wire import EVENT_SIGNAL, Envelope, SearchAttribute

_AT_ONCE = 16
_HANDLER = SearchAttributeKey.for_keyword(SearchAttribute.HANDLER)
_STATE = SearchAttributeKey.for_keyword(SearchAttribute.STATE)


@dataclass(frozen=True)
class Live:
    """A running session: what Temporal's visibility knows of it."""

    workflow_id: str
    run_id: str
    handler: str
    state: str

    @classmethod
    def of(cls, execution: Listed) -> "Live":
        """The session that runs as this workflow execution."""
        attributes = execution.typed_search_attributes
        return cls(execution.id, execution.run_id, attributes.get(_HANDLER, ""), attributes.get(_STATE, ""))


async def on_version(client: Client, name: str, build_id: str) -> list[Live]:
    """The running sessions of a version. Visibility lags behind by up to a second."""
    query = f"TemporalWorkerDeploymentVersion='{name}:{build_id}' AND ExecutionStatus='Running'"
    return [Live.of(execution) async for execution in client.list_workflows(query)]


async def wake(client: Client, sessions: list[Live], build_id: str) -> list[Live]:
    """Tells sessions that version `build_id` is current now, so that idle ones need not wait for their next message.

    A run takes this signal once however often it is sent, as Temporal knows the request's id.

    Returns:
        The sessions that were told; those that ended meanwhile are among them.
    """
    envelope = Envelope(kind="control", action="upgrade", event_id=f"upgrade-{build_id}")
    payloads = Payloads(payloads=await client.data_converter.encode([envelope]))
    turn = asyncio.Semaphore(_AT_ONCE)

    async def tell(session: Live) -> Live | None:
        request = SignalWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=session.workflow_id, run_id=session.run_id),
            signal_name=EVENT_SIGNAL,
            input=payloads,
            identity=client.identity,
            request_id=f"upgrade-{build_id}",
        )
        async with turn:
            try:
                await client.workflow_service.signal_workflow_execution(request)
            except RPCError as error:
                # Busy with its end, or with continue-as-new: it is told at the next round, if it is still there.
                return session if error.status == RPCStatusCode.NOT_FOUND else None
        return session

    return [told for told in await asyncio.gather(*map(tell, sessions)) if told is not None]


def can_move(session: Live, handlers: list[str]) -> bool:
    """Whether a version with these handlers can take over a session as it is now."""
    if session.state == "mirroring":
        return True
    is_parked = session.state == "waiting_for_button"
    return not is_parked and (not session.handler or session.handler in handlers)


def why_they_stay(sessions: list[Live], old_build: str, handlers: list[str]) -> str:
    """A sentence on the sessions that the version with these handlers cannot take over; empty where there are none."""
    staying = [session for session in sessions if not can_move(session, handlers)]
    parked = [session for session in staying if session.state == "waiting_for_button"]
    removed: dict[str, int] = {}
    for session in staying:
        if session not in parked:
            removed[session.handler] = removed.get(session.handler, 0) + 1
    parts = [
        f"{_sessions(count)} in `{handler}`, which this version does not have"
        for handler, count in sorted(removed.items())
    ]
    if parked:
        parts.append(f"{_sessions(len(parked))} for a button")
    if not parts:
        return ""
    pronoun = "it stays" if len(staying) == 1 else "they stay"
    return f"{'; '.join(parts)}: {pronoun} on {old_build}"


def _sessions(count: int) -> str:
    return "1 session waits" if count == 1 else f"{count} sessions wait"
