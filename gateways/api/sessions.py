"""Sessions over HTTP, and the account of what came in."""

from datetime import timedelta
from typing import get_args

from aiohttp import web

from gateways.api.auth import caller
from gateways.api.shapes import inbox_shape, log_shape, message_shape, session_shape
from gateways.refusals import RefusedError
from gateways.services import services
from gateways.wire import SessionPhase
from store import inbox, messages, sessions, tags

_MOST = 500


async def list_sessions(request: web.Request) -> web.Response:
    """The agent's sessions, the most recently active first."""
    who = await caller(request)
    state, handler = request.query.get("state"), request.query.get("handler")
    limit = request.query.get("limit", "50")
    if state is not None and state not in get_args(SessionPhase):
        known = ", ".join(get_args(SessionPhase))
        raise RefusedError(422, "invalid_field", f"state: a session is never {state!r}; it is one of {known}.")
    if not (limit.isascii() and limit.isdecimal() and 0 < int(limit) <= _MOST):
        raise RefusedError(422, "invalid_field", f"limit: {limit!r} is not a number from 1 to {_MOST}.")
    async with services(request).store.read() as db:
        found = await sessions.recent(db, who.agent_id, phase=state, handler=handler, limit=int(limit))
        shapes = [session_shape(session, await tags.of(db, session.id)) for session in found]
    return web.json_response({"sessions": shapes})


async def get_session(request: web.Request) -> web.Response:
    """One session: its transcript, its log, and where it stands."""
    who = await caller(request)
    number = int(request.match_info["id"])
    async with services(request).store.read() as db:
        session = await sessions.get(db, number)
        if session is None or session.agent_id != who.agent_id:
            raise RefusedError(404, "not_found", f"There is no session {number}. GET /api/v1/sessions lists them.")
        shape = session_shape(session, await tags.of(db, number))
        shape["surfaces"] = [surface.model_dump(mode="json") for surface in await sessions.surfaces_of(db, number)]
        shape["transcript"] = [message_shape(message) for message in await messages.transcript(db, number)]
        shape["log"] = [log_shape(line) for line in await sessions.log_of(db, number)]
    return web.json_response(shape)


async def accounting(request: web.Request) -> web.Response:
    """What came in and is neither handled, mirrored nor ignored with a reason. The aim is none."""
    await caller(request)
    async with services(request).store.read() as db:
        number = await inbox.count_unaccounted(db)
        rows = [inbox_shape(row) for row in await inbox.unaccounted(db, timedelta(0), 100)]
    oldest = rows[0]["seconds"] if rows else None
    return web.json_response({"unaccounted": number, "oldest_seconds": oldest, "rows": rows})
