"""Learned facts over HTTP: what was proposed, and what somebody decided."""

from typing import Literal, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from gateways.api.auth import caller
from gateways.api.sessions import number_in
from gateways.api.shapes import fact_shape
from gateways.deciding import decide
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from store import audit, facts


class Policy(BaseModel):
    """What becomes of facts that people state: proposed to somebody, or approved at once."""

    model_config = ConfigDict(extra="forbid")

    learns: Literal["propose", "approve"]


async def list_facts(request: web.Request) -> web.Response:
    """The agent's facts, newest first."""
    who = await caller(request)
    state = request.query.get("state")
    if state is not None and state not in get_args(facts.State):
        known = ", ".join(get_args(facts.State))
        raise RefusedError(422, "invalid_field", f"state: a fact is never {state!r}; it is one of {known}.")
    limit, before = number_in(request, "limit", 100, 1, 1000), number_in(request, "before", 10**12, 1)
    async with services(request).store.read() as db:
        wanted: facts.State | None = state  # type: ignore[assignment]  # it was looked at above
        found = await facts.of_agent(db, who.agent_id, state=wanted, before=before, limit=limit)
        policy = await facts.policy_of(db, who.agent_id)
    following = found[-1].id if len(found) == limit else None
    return web.json_response({"learns": policy, "facts": [fact_shape(fact) for fact in found], "next": following})


async def set_policy(request: web.Request) -> web.Response:
    """Decides what becomes of facts from now on."""
    who = await caller(request)
    new = checked(Policy, await read_json(request, 4096), what="policy")
    async with services(request).store.begin() as db:
        await facts.set_policy(db, who.agent_id, new.learns)
        await audit.record(db, actor=who.name, action="set learning", subject=new.learns)
    return web.json_response({"learns": new.learns})


async def approve(request: web.Request) -> web.Response:
    """The fact is found like documents from now on."""
    return await _decide(request, "approve")


async def reject(request: web.Request) -> web.Response:
    """The fact is not found, and not proposed again."""
    return await _decide(request, "reject")


async def undo(request: web.Request) -> web.Response:
    """The fact is a proposal again."""
    return await _decide(request, "undo")


async def _decide(request: web.Request, decision: Literal["approve", "reject", "undo"]) -> web.Response:
    who = await caller(request)
    fact = await decide(services(request), who.agent_id, int(request.match_info["id"]), decision, by=who.name)
    return web.json_response(fact_shape(fact))
