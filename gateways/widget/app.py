"""Wires the chat widget into the server: who may open a conversation, from which page, and the page to try it on."""

import secrets
import time
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.conversations import BODY_LIMIT, Seat, conversation_routes
from gateways.pages import HEADERS, page_headers
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from gateways.signing import read, sign
from gateways.widget.inbound import bearer, claims_for, origin_of, surface_of

PREFIX = "/widget/v1"
STATIC = Path(__file__).parent / "static"

_PUBLIC = {
    "Cache-Control": "no-cache",
    "Access-Control-Allow-Origin": "*",  # modules are fetched with CORS
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_READER = web.RequestKey("reader", str)
"""The page that may read the answer."""

_DEMO = (STATIC / "demo.html").read_text()
_TOKEN_LIVES = 30 * 24 * 3600.0
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
    "Access-Control-Max-Age": "600",
}


class Visitor(BaseModel):
    """Who opens a conversation: a UUID that the browser made. Nobody has verified it."""

    model_config = ConfigDict(extra="ignore")

    chat_user_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


def routes() -> list[web.AbstractRouteDef]:
    """The widget's routes."""
    return [
        web.options(PREFIX + "/{rest:.*}", preflight),
        web.post(f"{PREFIX}/conversations", open_conversation),
        web.post(f"{PREFIX}/token", refresh_token),
        *conversation_routes(PREFIX, seat_of),
        web.get("/", to_the_demo),
        web.get("/demo", demo),
        web.get("/widget/{file}", script),
    ]


async def allowed_origin(request: web.Request) -> str:
    """The page's origin; its answers may be read there.

    Raises:
        RefusedError: No published workflow listens to widgets on that page.
    """
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    origin = origin_of(request.headers, scheme, request.host)
    if origin is None or not await services(request).origins.allows(origin):
        shown = "This page" if origin is None else f"The page {origin[:200]}"
        message = f"{shown} may not use the widget: publish a workflow with a WidgetListener for its domain."
        raise RefusedError(403, "origin_not_allowed", message)
    request[_READER] = origin
    return origin


async def preflight(request: web.Request) -> web.Response:
    """Tells a browser that the page may call us."""
    await allowed_origin(request)
    return web.Response(status=204, headers=_CORS)


async def open_conversation(request: web.Request) -> web.Response:
    """Gives a visitor a conversation. Nothing is recorded before the first message."""
    origin = await allowed_origin(request)
    deps = services(request)
    deps.conversations.spend(deps.address(request))
    visitor = checked(Visitor, await read_json(request, BODY_LIMIT))
    claims = claims_for(secrets.token_urlsafe(16), visitor.chat_user_id, origin)
    return web.json_response(_grant(deps.settings.secret, claims))


async def refresh_token(request: web.Request) -> web.Response:
    """A fresh token for a conversation that the visitor has a good one for."""
    claims = await _claims(request)
    kept = {name: value for name, value in claims.items() if name != "exp"}
    return web.json_response(_grant(services(request).settings.secret, kept))


async def seat_of(request: web.Request) -> Seat:
    """Who a request of the protocol comes from."""
    claims = await _claims(request)
    return Seat(surface_of(claims), user=claims.get("user"), origin=str(claims["origin"]))


async def _claims(request: web.Request) -> dict[str, Any]:
    origin = await allowed_origin(request)
    claims = read(services(request).settings.secret, "widget", bearer(request.headers) or "")
    if claims is None:
        message = "The conversation's token is missing, expired or not ours. Start a new conversation."
        raise RefusedError(401, "bad_token", message)
    if claims["origin"] != origin:
        message = f"This conversation belongs to {claims['origin']}, not to {origin}. Start a new one."
        raise RefusedError(403, "other_origin", message)
    return claims


def _grant(secret: str, claims: dict[str, Any]) -> dict[str, Any]:
    return {
        "conversation": claims["conversation"],
        "token": sign(secret, "widget", claims, _TOKEN_LIVES),
        "expires_at": int(time.time() + _TOKEN_LIVES),
    }


async def add_cors(request: web.Request, response: web.StreamResponse) -> None:
    """Lets the page read our answer: signal `on_response_prepare`."""
    if request.path.startswith(PREFIX):
        response.headers["Vary"] = "Origin"
        if _READER in request:
            response.headers["Access-Control-Allow-Origin"] = request[_READER]
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"


async def to_the_demo(request: web.Request) -> web.Response:
    """Somebody has typed the server's bare address."""
    return web.Response(status=302, headers={"Location": "/demo"})


async def demo(request: web.Request) -> web.StreamResponse:
    """A page with the widget on it."""
    questions = escape(services(request).settings.demo_questions, quote=True)
    text = _DEMO.replace("{questions}", questions)
    return web.Response(text=text, content_type="text/html", headers=page_headers())


async def script(request: web.Request) -> web.StreamResponse:
    """The widget's own files. Pages of any site may load them."""
    file = STATIC / request.match_info["file"]
    if file.parent != STATIC or file.suffix not in (".js", ".css", ".svg") or not file.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(file, headers={**HEADERS, **_PUBLIC})
