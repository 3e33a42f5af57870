"""The console's pages, filled in. All that is filled in is escaped."""

from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateways.pages import page_headers
from store.models import now

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page from a template."""
    text = _PAGES.get_template(template).render(who=values.pop("who", None), **values)
    return web.Response(text=text, status=status, content_type="text/html", headers=page_headers())


def ago(at: datetime | None) -> str:
    """How long ago, in one word."""
    if at is None:
        return "never"
    seconds = (now() - at).total_seconds()
    return next((f"{seconds // size:.0f} {unit} ago" for size, unit in _UNITS if seconds >= size), "just now")


_PAGES.filters["ago"] = ago
