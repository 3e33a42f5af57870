"""A gateway on a real store and a real socket, with Temporal played by a double."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from gateways.matching import Route
from gateways.server import application, runner
from gateways.services import SERVICES, Services
from gateways.settings import GatewaySettings, Limits
from runllm.bridge.listeners import AdminConsoleListener, Listener, WidgetListener
from runllm.bundle import Bundle, BundleEntry
from store import agents, published
from store.engine import Store
from store.settings import StoreSettings
from tests.unit.gateways.doubles import FakeTemporal

ORIGIN = "https://acme.example"
SECRET = "0" * 64


def bundle(name: str = "support", *listeners: Listener, text: str = "x = 1") -> Bundle:
    return Bundle(
        name=name,
        files={"flow.py": text},
        entrypoint=BundleEntry(name="start", module="flow", function="start"),
        listeners=list(listeners) or [WidgetListener(domain="acme.example")],
    )


async def make_current(store: Store, *listeners: Listener, name: str = "support") -> None:
    """A published workflow whose first version is current."""
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        version, _ = await published.upload(db, agent.id, bundle(name, *listeners), f"build-of-{name}", "test")
        for status in ("validated", "replayed", "loaded"):
            await published.set_status(db, version.id, status)
        await published.make_current(db, version.id)


@pytest.fixture(scope="session")
async def empty_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and no rows, to copy."""
    file = tmp_path_factory.mktemp("record") / "empty.db"
    store = await Store.open(f"sqlite:///{file}")
    await store.close()
    return file


@pytest.fixture
async def store(empty_record: Path, tmp_path: Path) -> AsyncIterator[Store]:
    shutil.copy(empty_record, tmp_path / "runllm.db")
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    yield store
    await store.close()


@pytest.fixture
def temporal() -> FakeTemporal:
    return FakeTemporal()


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(
        store=StoreSettings(home=tmp_path, database_url=f"sqlite:///{tmp_path}/runllm.db", secret=SecretStr(SECRET)),
        temporal={"target_host": "nowhere:1", "namespace": "default"},
        limits=Limits(message_chars=2000, conversations_a_minute=1000, messages_a_minute=1000),
    )


@dataclass
class Gateway:
    """A running gateway, and a browser on ORIGIN that talks to it."""

    url: str
    http: aiohttp.ClientSession
    services: Services
    temporal: FakeTemporal
    app: web.Application

    @property
    def store(self) -> Store:
        return self.services.store

    async def open(self, origin: str = ORIGIN, user: str = "visitor-1") -> "Visitor":
        body = {"chat_user_id": user}
        async with self.http.post(
            f"{self.url}/widget/v1/conversations", json=body, headers={"Origin": origin}
        ) as response:
            assert response.status == 200, await response.text()
            return Visitor(self, await response.json(), origin)

    async def delivered(self) -> None:
        """Waits until nothing is on its way to a session."""
        await self.services.delivery.idle()


@dataclass
class Visitor:
    """One conversation in a widget."""

    gateway: Gateway
    grant: dict[str, Any]
    origin: str

    @property
    def key(self) -> str:
        return f"widget:{self.grant['conversation']}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Origin": self.origin, "Authorization": f"Bearer {self.grant['token']}"}

    async def post(self, what: str, body: Any, status: int = 200, **headers: str) -> dict[str, Any]:
        url = f"{self.gateway.url}/widget/v1/{what}"
        async with self.gateway.http.post(url, json=body, headers={**self.headers, **headers}) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == status, answer
            return answer

    async def say(self, text: str, id: str = "message-1", status: int = 200, **more: Any) -> dict[str, Any]:
        return await self.post("messages", {"id": id, "text": text, **more}, status)

    def stream(self, last: str = "") -> Any:
        headers = {**self.headers, **({"Last-Event-ID": last} if last else {})}
        return self.gateway.http.get(f"{self.gateway.url}/widget/v1/stream", headers=headers)


@pytest.fixture
async def gateway(settings: GatewaySettings, store: Store, temporal: FakeTemporal) -> AsyncIterator[Gateway]:
    await make_current(store, WidgetListener(domain="acme.example"), AdminConsoleListener(agent_id=1))
    app = application(settings, store, temporal)
    run = runner(app)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    host, port = run.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        yield Gateway(f"http://{host}:{port}", http, app[SERVICES], temporal, app)
    await run.cleanup()


def route(name: str, *listeners: Listener) -> Route:
    return Route(published_name=name, agent_id=1, listeners=list(listeners))
