"""Wires the admin console into the server."""

from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from gateways.console import entry, knowledge, talking, views
from gateways.console.rendering import page
from gateways.pages import HEADERS
from gateways.refusals import RefusedError

STATIC = Path(__file__).parent / "static"
_AGENT = r"/agent/{agent:[0-9]{1,9}}"


def routes() -> list[web.AbstractRouteDef]:
    """The console's routes."""
    return [
        web.get("/console", entry.home),
        web.get("/console/", entry.home),
        web.get("/console/login", entry.show_login),
        web.post("/console/login", entry.log_in),
        web.post("/console/logout", entry.log_out),
        web.get(f"{_AGENT}/overview", views.overview),
        web.get(_AGENT + r"/sessions/{session:[0-9]{1,9}}", views.session),
        web.get(
            _AGENT + r"/sessions/{session:[0-9]{1,9}}/files/{chat:[0-9]{1,9}}/{number:[0-9]{1,2}}", views.attachment
        ),
        web.get(f"{_AGENT}/chat", views.chat),
        web.get(f"{_AGENT}/knowledge", knowledge.sources),
        web.post(_AGENT + r"/knowledge/{source:[0-9]{1,9}}/sync", knowledge.sync),
        web.get(f"{_AGENT}/facts", knowledge.learned),
        web.post(f"{_AGENT}/facts/policy", knowledge.policy),
        web.post(_AGENT + r"/facts/{fact:[0-9]{1,9}}", knowledge.decided),
        web.get("/console/static/{file}", static),
        *talking.routes(),
    ]


async def static(request: web.Request) -> web.StreamResponse:
    """The console's own files."""
    file = STATIC / request.match_info["file"]
    if file.parent != STATIC or not file.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(file, headers={**HEADERS, "Cache-Control": "no-cache"})


def is_page(request: web.Request) -> bool:
    """Whether a person looks at the answer."""
    is_api = request.path.startswith(("/api/", "/widget/", "/internal/", talking.PREFIX, "/healthz"))
    return not is_api and "text/html" in request.headers.get("Accept", "")


def error_page(request: web.Request, refusal: RefusedError) -> web.Response:
    """A refusal as people get it. Who is not signed in is asked to, and comes back."""
    if refusal.code == "signed_out":
        return web.Response(status=303, headers={"Location": f"/console/login?next={quote(request.path_qs, safe='')}"})
    return page("error.html", status=refusal.status, refusal=refusal)
