"""Sessions over HTTP, and the account of what came in."""

from datetime import timedelta
from typing import get_args
from urllib.parse import quote

from aiohttp import web

from gateways.api.auth import caller
from gateways.api.shapes import inbox_shape, log_shape, message_shape, session_shape, sum_shape, wait_shape
from gateways.refusals import RefusedError
from gateways.services import services
from gateways.wire import SessionPhase, workflow_id
from store import buttons, inbox, messages, sessions, spending, tags

_MOST = 500


async def list_sessions(request: web.Request) -> web.Response:
    """The agent's sessions, the most recently active first."""
    who = await caller(request)
    state, handler = request.query.get("state"), request.query.get("handler")
    workflow = request.query.get("workflow")
    limit = number_in(request, "limit", 50, 1, _MOST)
    if state is not None and state not in get_args(SessionPhase):
        known = ", ".join(get_args(SessionPhase))
        raise RefusedError(422, "invalid_field", f"state: a session is never {state!r}; it is one of {known}.")
    async with services(request).store.read() as db:
        found = await sessions.recent(
            db, who.agent_id, phase=state, handler=handler, published_name=workflow, limit=limit
        )
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
        shape["spent"] = sum_shape(await spending.of_session(db, number))
        shape["waits"] = [wait_shape(wait) for wait in await buttons.of_session(db, number)]
    deps = services(request)
    namespace = quote(deps.temporal.namespace, safe="")
    shape["temporal_url"] = f"{deps.settings.temporal_ui_url}/namespaces/{namespace}/workflows/{workflow_id(number)}"
    return web.json_response(shape)


async def new_messages(request: web.Request) -> web.Response:
    """What was said since the number that the last answer gave; without one, only the number to begin with."""
    who = await caller(request)
    session_id = number_in(request, "session", 0, 0)
    async with services(request).store.read() as db:
        last = await messages.last_shown(db)
        after = number_in(request, "after", last, 0)
        found = await messages.shown_after(db, who.agent_id, after, session_id=session_id or None, limit=_MOST)
    shapes = [
        {"session_id": message.session_id, "published_name": name, **message_shape(message)}
        for _, message, name in found
    ]
    return web.json_response({"messages": shapes, "last": found[-1][0].id if found else after})


def number_in(request: web.Request, name: str, default: int, least: int, most: int = 10**12) -> int:
    """A number in the query.

    Raises:
        RefusedError: It is none, or out of range.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise RefusedError(422, "invalid_field", f"{name}: {text!r} is not a number from {least} to {most}.")
    return int(text)


async def accounting(request: web.Request) -> web.Response:
    """What came in and is neither handled, mirrored nor ignored with a reason. The aim is none."""
    await caller(request)
    async with services(request).store.read() as db:
        number = await inbox.count_unaccounted(db)
        rows = [inbox_shape(row) for row in await inbox.unaccounted(db, timedelta(0), 100)]
    oldest = rows[0]["seconds"] if rows else None
    return web.json_response({"unaccounted": number, "oldest_seconds": oldest, "rows": rows})
