"""The system's Chromium in front of a gateway on a real store. Answers are posted as activities would post them."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from gateways.adapter import Content, Effect
from gateways.hub_client import HubClient
from gateways.recorded import RecordedSurface
from gateways.server import application, runner
from gateways.services import SERVICES
from gateways.settings import GatewaySettings
from runllm.bridge.listeners import AdminConsoleListener, WidgetListener
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import AdminConsole, AdminConsoleConfig, ChatWidget, ChatWidgetConfig, surface_key
from runllm.operations import ButtonWait
from store import buttons, messages, sessions
from store.engine import Store
from store.models import Session
from tests.unit.gateways.conftest import (  # noqa: F401 - fixtures
    SECRET,
    Gateway,
    empty_record,
    make_current,
    settings,
    store,
    temporal,
)
from tests.unit.gateways.doubles import FakeTemporal

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CUSTOMER_POLICY = (
    "default-src 'none'; script-src {server}; connect-src {server}; img-src data:; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class Watched:
    """A browser context whose pages may not complain."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    async def page(self) -> Page:
        page = await self.context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.set_default_timeout(10_000)
        return page

    def _note(self, message: ConsoleMessage) -> None:
        is_cut_line = "Failed to load resource" in message.text or "net::ERR" in message.text
        if message.type in ("error", "warning") and not is_cut_line:
            self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture
async def watched(chromium: Browser) -> AsyncIterator[Watched]:
    context = await chromium.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context)
    yield watched
    await context.close()
    assert watched.complaints == []


@pytest.fixture
async def page(watched: Watched) -> Page:
    return await watched.page()


@dataclass
class House(Gateway):
    """A gateway with a page of a customer beside it, and a hand that plays the workers."""

    customer_url: str = ""
    lines: list[aiohttp.web.BaseRequest] = field(default_factory=list)
    effects: int = 0

    def __post_init__(self) -> None:
        self.worker = HubClient(self.url, SECRET)

    def cut_lines(self) -> None:
        """Breaks all open streams."""
        for request in self.lines:
            if request.transport is not None:
                request.transport.abort()
        self.lines.clear()

    async def session(self, number: int = 1) -> Session:
        async with self.store.read() as db:
            session = await sessions.get(db, number)
            assert session is not None
            return session

    def next_key(self) -> str:
        self.effects += 1
        return f"1:{self.effects}"

    async def stream(self, pieces: list[str], key: str, session_id: int = 1, attempt: int = 1) -> None:
        """Pieces of an answer, as they are made."""
        session = await self.session(session_id)
        offset = 0
        for piece in pieces:
            await self.worker.push(session.origin_key, key, attempt, offset, piece)
            offset += len(piece.encode("utf-16-le")) // 2

    async def answer(
        self,
        text: str,
        key: str | None = None,
        session_id: int = 1,
        blocks: list[dict[str, object]] | None = None,
        sources: list[Source] | None = None,
        author_name: str | None = None,
        category: AnswerCategory | None = AnswerCategory.ANSWERED,
    ) -> int:
        """A finished message of the agent."""
        key = key or self.next_key()
        session = await self.session(session_id)
        kind, *rest = session.origin_key.split(":")
        surface = (
            ChatWidget(config=ChatWidgetConfig(convo_identifier=rest[0]))
            if kind == "widget"
            else AdminConsole(config=AdminConsoleConfig(agent_id=int(rest[0]), convo_identifier=rest[1]))
        )
        wait = ButtonWait(wait_id=1) if blocks else None
        async with self.store.begin() as db:
            message = await messages.add(
                db,
                session_id=session.id,
                author=MessageType.ASSISTANT,
                text=text,
                key=key,
                category=category,
                sources=[source.model_dump(mode="json") for source in sources or []],
            )
            if blocks and wait:
                await buttons.open_wait(
                    db,
                    session_id=session.id,
                    wait_id=wait.wait_id,
                    chat_id=message.id,
                    surface_key=surface_key(surface),
                    button_ids=["approve", "reject"],
                    allowed_users=None,
                )
        adapter = RecordedSurface(self.store, self.worker)
        content = Content(chat_id=message.id, text=text, blocks=blocks or [], wait=wait, author_name=author_name)
        await adapter.post(Effect(key=key, session_id=session.id), surface, content)
        return message.id


def _customer_app(server: str) -> web.Application:
    """A page of somebody else: another origin, a strict policy, hostile styles."""

    async def page(request: web.Request) -> web.Response:
        body = f"""<!doctype html><html lang="en"><head><title>Acme</title><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <script defer src="{server}/widget/widget.js"
          data-name="Acme" data-questions="How do I log in?|Prices"></script>
        </head><body><h1>Acme</h1></body></html>"""
        policy = CUSTOMER_POLICY.format(server=server)
        return web.Response(text=body, content_type="text/html", headers={"Content-Security-Policy": policy})

    app = web.Application()
    app.add_routes([web.get("/", page)])
    return app


@pytest.fixture
async def house(
    settings: GatewaySettings,  # noqa: F811
    store: Store,  # noqa: F811
    temporal: FakeTemporal,  # noqa: F811
) -> AsyncIterator[House]:
    await make_current(store, WidgetListener(domain="localhost"), AdminConsoleListener(agent_id=1))
    app = application(settings, store, temporal)
    lines: list[web.BaseRequest] = []

    async def note_line(request: web.Request, response: web.StreamResponse) -> None:
        if request.path.endswith("/stream"):
            lines.append(request)

    app.on_response_prepare.append(note_line)
    run = runner(app)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    port = run.addresses[0][1]
    url = f"http://127.0.0.1:{port}"
    customer = web.AppRunner(_customer_app(url))
    await customer.setup()
    await web.TCPSite(customer, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        house = House(url, http, app[SERVICES], temporal, app, f"http://localhost:{customer.addresses[0][1]}", lines)
        yield house
        await house.worker.close()
    await run.cleanup()
    await customer.cleanup()


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: `pytest --basetemp=DIR` to look at them."""
    return tmp_path_factory.mktemp("pictures", numbered=True)
