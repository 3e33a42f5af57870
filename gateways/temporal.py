"""The connection to Temporal: made by the first call that can, so that a gateway starts without one."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from temporalio.client import Client, RetryConfig
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConnectConfig
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

RPC_TIMEOUT = timedelta(seconds=5)
_RETRY = RetryConfig(initial_interval_millis=100, max_elapsed_time_millis=2000, max_retries=3)


class Temporal:
    """A client that connects when it is needed."""

    def __init__(self, connection: ClientConnectConfig) -> None:
        self._connection = connection
        self._client: Client | None = None

    @property
    def namespace(self) -> str:
        """The namespace that sessions run in."""
        return self._connection.get("namespace", "default")

    async def client(self) -> Client:
        """The client. A lazy one: connecting happens, and may fail, inside its calls."""
        if self._client is None:
            self._client = await Client.connect(
                **self._connection, data_converter=pydantic_data_converter, lazy=True, retry_config=_RETRY
            )
        return self._client


@dataclass(frozen=True)
class Failure:
    """Why Temporal did not take something.

    `closed`: the session has ended. `absent`: Temporal does not know it. `down`: nothing can be delivered now.
    `busy`: this one can be later. `refused`: this one may never be.
    """

    kind: Literal["closed", "absent", "down", "busy", "refused"]
    text: str


_DOWN = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.UNKNOWN)
_BUSY = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.ABORTED)


def failure_of(error: Exception) -> Failure:
    """What an exception of Temporal's client means for what we wanted to deliver."""
    text = str(error) or type(error).__name__
    match error:
        case WorkflowAlreadyStartedError():
            return Failure("closed", text)
        case RPCError(status=RPCStatusCode.NOT_FOUND) if "namespace" in text.lower():
            return Failure("down", text)
        case RPCError(status=RPCStatusCode.NOT_FOUND):
            return Failure("closed" if "completed" in text else "absent", text)
        case RPCError(status=status) if status in _BUSY:
            return Failure("busy", text)
        case RPCError(status=status) if status in _DOWN:
            return Failure("down", text)
        case RPCError():
            return Failure("refused", text)
        case RuntimeError() | OSError() | TimeoutError():  # a lazy client's failed connection is a RuntimeError
            return Failure("down", text)
        case _:
            return Failure("refused", f"{type(error).__name__}: {text}")
