"""The agent's conversations in the console: the widget's protocol, with a guest instead of a visitor."""

import secrets
import time
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.console.entry import Guest, guest, only_from_our_pages
from gateways.console.inbound import surface_of
from gateways.conversations import BODY_LIMIT, Seat, conversation_routes
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from gateways.signing import read, sign

PREFIX = "/console/v1"
_LIVES = 30 * 24 * 3600.0


class Opening(BaseModel):
    """Which agent to talk to."""

    model_config = ConfigDict(extra="forbid")

    agent: int = Field(ge=1, lt=2**31)


def routes() -> list[web.AbstractRouteDef]:
    """The protocol, for guests."""
    return [
        web.post(f"{PREFIX}/conversations", open_conversation),
        web.post(f"{PREFIX}/token", refresh_token),
        *conversation_routes(PREFIX, seat_of),
    ]


async def open_conversation(request: web.Request) -> web.Response:
    """Gives a guest a conversation. Nothing is recorded before the first message."""
    only_from_our_pages(request)
    who = await guest(request)
    opening = checked(Opening, await read_json(request, BODY_LIMIT))
    if not who.may_see(opening.agent):
        raise RefusedError(404, "not_found", f"There is no agent {opening.agent} that you may talk to.")
    return _grant(request, {"agent": opening.agent, "conversation": secrets.token_urlsafe(16)})


async def refresh_token(request: web.Request) -> web.Response:
    """A fresh token for the same conversation."""
    _, claims = await _claims(request)
    return _grant(request, {"agent": claims["agent"], "conversation": claims["conversation"]})


async def seat_of(request: web.Request) -> Seat:
    """A guest, at the conversation that the token names."""
    who, claims = await _claims(request)
    return Seat(surface_of(claims["agent"], claims["conversation"]), user=who.name, name=who.name)


async def _claims(request: web.Request) -> tuple[Guest, dict[str, Any]]:
    who = await guest(request)
    if request.method != "GET":
        only_from_our_pages(request)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    claims = read(services(request).settings.secret, "seat", token)
    if claims is None or not who.may_see(claims["agent"]):
        raise RefusedError(
            401, "bad_token", "The conversation's token is missing or expired. Start a new conversation."
        )
    return who, claims


def _grant(request: web.Request, claims: dict[str, Any]) -> web.Response:
    token = sign(services(request).settings.secret, "seat", claims, _LIVES)
    return web.json_response(
        {"conversation": claims["conversation"], "token": token, "expires_at": int(time.time() + _LIVES)}
    )
