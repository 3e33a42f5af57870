"""Who calls the control API."""

from dataclasses import dataclass

from aiohttp import web

from gateways.refusals import RefusedError
from gateways.services import services
from store import agents


@dataclass(frozen=True)
class Caller:
    """Whose key it is, and which agent it may work on."""

    name: str
    agent_id: int
    key_id: int


async def caller(request: web.Request) -> Caller:
    """Who calls.

    Raises:
        RefusedError: The key is missing or unknown, or too many unknown ones were tried.
    """
    deps = services(request)
    key = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not key.strip():
        message = "The request has no API key. Send it as 'Authorization: Bearer KEY'; the SDK reads RUNLLM_API_KEY."
        raise RefusedError(401, "unknown_key", message)
    async with deps.store.read() as db:
        row = await agents.find_key(db, key.strip())
    if row is None:
        deps.logins.spend(deps.address(request))  # only failures: a mistaken program does not lock out its neighbours
        shown = f"{key.strip()[:4]}…" if len(key.strip()) > 8 else "given"
        message = f"The API key {shown} is not known here. Check RUNLLM_API_KEY, and that RUNLLM_SERVER is right."
        raise RefusedError(401, "unknown_key", message)
    return Caller(name=row.name, agent_id=row.agent_id, key_id=row.id)
