"""Wires the admin console into the server."""

from aiohttp import web

from gateways.refusals import RefusedError, as_json


def routes() -> list[web.AbstractRouteDef]:
    """The console's routes."""
    return []


def is_page(request: web.Request) -> bool:
    """Whether a person looks at the answer."""
    return False


def error_page(request: web.Request, refusal: RefusedError) -> web.Response:
    """A refusal as people get it."""
    return as_json(refusal)
