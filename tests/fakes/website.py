"""A web site on this machine: pages with ETags, robots.txt, sitemaps, redirects, and everything that goes wrong."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import unquote

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Website:
    """What it serves, and what it was asked.

    Attributes:
        pages: Texts by path; those that end with `.xml`, `.json` and so on have that type, the others are HTML.
        answers: Paths that answer in their own way.
        redirects: Where a path leads.
        asked: Every request, as method and path, in order.
        sent: How often each path was answered with its content, which is what an unchanged page must not cost.
        at: When each request came in, on the loop's clock.
        has_etags: Whether it lets clients ask whether something has changed.
    """

    pages: dict[str, str | bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    at: list[float] = field(default_factory=list)
    has_etags: bool = True
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request as a web server would."""
        path = unquote(request.path_qs)
        self.asked.append(path)
        self.at.append(asyncio.get_running_loop().time())
        self.agents.add(request.headers.get("User-Agent", ""))
        if path in self.answers:
            return await self.answers[path](request)
        if path in self.redirects:
            raise web.HTTPFound(self.redirects[path])
        body = self.pages.get(path)
        if body is None:
            raise web.HTTPNotFound
        data = body.encode() if isinstance(body, str) else body
        etag = f'"{sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": etag} if self.has_etags else {}
        if self.has_etags and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        self.sent[path] += 1
        return web.Response(body=data, headers=headers | {"Content-Type": _type(path)})

    def forget(self) -> None:
        """Forgets what was asked."""
        self.asked.clear()
        self.sent.clear()
        self.at.clear()


def _type(path: str) -> str:
    for ending, kind in {
        ".xml": "application/xml",
        ".json": "application/json",
        ".yaml": "application/yaml",
        ".txt": "text/plain",
        ".md": "text/markdown",
        ".pdf": "application/pdf",
        ".png": "image/png",
        ".gz": "application/gzip",
    }.items():
        if path.partition("?")[0].endswith(ending):
            return kind
    return "text/html; charset=utf-8"


@asynccontextmanager
async def website(site: Website) -> AsyncIterator[Website]:
    """Serves a site until the end of the block."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()


def page(title: str, text: str, *links: str, head: str = "") -> str:
    """A page as documentation sites have them."""
    menu = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return (
        f"<!doctype html><html><head><title>{title} - Docs</title>{head}</head><body><nav><ul>{menu}</ul></nav>"
        f'<main><h1 id="top">{title}</h1><h2 id="more">More</h2><p>{text}</p></main><footer>Imprint</footer>'
        "</body></html>"
    )


def sitemap(*pages: tuple[str, str]) -> str:
    """A sitemap of addresses with the times of their last changes."""
    rows = "".join(
        f"<url><loc>{url}</loc>{f'<lastmod>{changed}</lastmod>' if changed else ''}</url>" for url, changed in pages
    )
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'
