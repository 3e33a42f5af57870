"""What an answer of the engine's API means to the person who called it: one sentence that says what to do next."""

import json

from runllm.errors import PublishError, RunLLMError, ServerError


def standstill(name: str, step: str) -> ServerError:
    """The error for a deployment that nobody gets on with."""
    return ServerError(
        f"The deployment of {name} has not moved since the step {step!r}. Look whether the worker runs: `runllm dev` "
        "starts it, and so does `python -m worker`. The deployment goes on by itself then"
    )


_WITHOUT_WORDS = {
    409: "{name!r} listens where another published workflow does. Change the listener of one of them",
    413: "{name!r} is too large. Data does not belong into Python files",
    422: "{name!r} was refused as malformed. The engine and the SDK may differ in version: upgrade the older one",
}


class AwayError(ServerError):
    """The server cannot answer now: the same call may succeed in a moment."""


def problem(address: str, status: int, body: bytes, name: str) -> RunLLMError:
    """The error for an answer that is no success. The server's own words come first: it knows the most."""
    said = _said(body)
    match status:
        case 401 | 403:
            return ServerError(
                f"{address} does not know this API key. Check RUNLLM_API_KEY or Client(api_key=...); `runllm dev` "
                "writes its key to .runllm/api_key"
            )
        case 404:
            return ServerError(said or f"Nothing is published as {name!r} on {address}. Publish it first")
        case _ if status in _WITHOUT_WORDS:
            return PublishError(said or _WITHOUT_WORDS[status].format(name=name))
        case 429:
            return ServerError(said or f"{address} wants fewer calls. Wait a minute, and try again")
        case 503 if said:  # something that the server needs is away, and it has said what
            return AwayError(said)
        case _ if status >= 500:
            return AwayError(
                f"{address} could not serve this (status {status}){_quoted(said)}. Its log says why; try again"
            )
        case _:
            return ServerError(
                f"{address} answered with status {status}{_quoted(said)}. Check that RUNLLM_SERVER is an engine's "
                "address"
            )


def unreachable(address: str, why: str) -> AwayError:
    """The error for a server that does not answer."""
    return AwayError(
        f"No engine can be reached at {address} ({why}). Start one with `make dev`, or set RUNLLM_SERVER to the "
        "address of the one that is running"
    )


def not_an_engine(address: str) -> ServerError:
    """The error for an answer that does not come from the engine."""
    return ServerError(f"What answers at {address} is not an engine. Set RUNLLM_SERVER to the address of one")


def _said(body: bytes) -> str:
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        return ""
    return message if isinstance(message, str) else ""


def _quoted(said: str) -> str:
    return f": {said.rstrip('.')}" if said else ""
