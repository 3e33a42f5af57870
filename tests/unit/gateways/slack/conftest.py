"""A gateway with Slack, on a real record, in front of a Slack that speaks the real protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import select

from gateways.platforms import PlatformSettings, SlackSettings
from gateways.server import application, runner
from gateways.services import SERVICES, Services
from gateways.settings import GatewaySettings
from gateways.slack.app import RECEPTION
from gateways.slack.inbound import Workspace
from gateways.slack.workspaces import Credentials, Workspaces
from gateways.wire import Envelope
from runllm.bridge.listeners import SlackListener
from runllm.bridge.surfaces import SlackThread
from runllm.bridge.triggers import AllMessages, Emoji, Mention
from runllm.testing.platforms.slack import ALL_SCOPES, FakeSlack
from store.engine import Store
from store.models import InboxRow, Message
from store.sealing import Seal
from tests.contract.proxy import judged
from tests.unit.gateways.conftest import SECRET, make_current
from tests.unit.gateways.doubles import FakeTemporal

EVERYTHING = SlackListener(
    team_id="T1",
    default_trigger=[AllMessages(), Emoji(shortcode="ticket"), Emoji(shortcode="eyes", exclude_replies=False)],
)
MENTIONS = SlackListener(team_id="T1", default_trigger=[Mention(), Emoji(shortcode="ticket")])
WORKSPACE = Workspace(
    team_id="T1", reference="slack:T1", bot_user_id="UBOT", bot_id="BBOT", url="https://acme.slack.com/"
)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's answers are waited for however slow the machine is; a test that wants them late says so."""
    monkeypatch.setattr("gateways.slack.names._PATIENCE", 60.0)
    monkeypatch.setattr("gateways.slack.reception._BACK_FILL_PATIENCE", 60.0)
    monkeypatch.setattr("gateways.slack.reception._REACTION_PATIENCE", 60.0)


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake, judged("slack", fake.url) as url:
        fake.judged_url = url
        yield fake


@pytest.fixture
def slack_settings(slack: FakeSlack) -> SlackSettings:
    return SlackSettings(
        api_url=f"{slack.judged_url}/api/",
        authorize_url=f"{slack.url}/oauth/v2/authorize",
        signing_secret=SecretStr(slack.signing_secret),
        client_id=slack.client_id,
        client_secret=SecretStr(slack.client_secret),
    )


async def connect(store: Store, settings: SlackSettings, **changes: Any) -> Workspaces:
    """Connects the workspace T1."""
    workspaces = Workspaces(store, Seal(SECRET), settings)
    credentials = Credentials(
        bot_token=SecretStr("xoxb-1"),
        bot_user_id="UBOT",
        bot_id="BBOT",
        scopes=ALL_SCOPES.split(","),
        url="https://acme.slack.com/",
    )
    await workspaces.save("T1", "Acme", credentials.model_copy(update=changes))
    return workspaces


@dataclass
class Place:
    """A gateway that serves Slack's events."""

    url: str
    services: Services
    temporal: FakeTemporal
    app: web.Application
    slack: FakeSlack
    told: list[Envelope] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.services.store

    async def quiet(self) -> None:
        """Waits until all that was said is taken in, delivered and answered."""
        await self.slack.delivered()
        await self.services.delivery.idle()
        await self.app[RECEPTION].clicks.idle()

    async def rows(self) -> list[InboxRow]:
        async with self.store.read() as db:
            return list(await db.scalars(select(InboxRow).order_by(InboxRow.id)))

    async def messages(self) -> list[Message]:
        async with self.store.read() as db:
            return list(await db.scalars(select(Message).order_by(Message.id)))

    @property
    def turns(self) -> list[Envelope]:
        """What sessions were told."""
        return [envelope for _, envelope in self.temporal.signals]


@asynccontextmanager
async def serving(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, platform: SlackSettings
) -> AsyncIterator[Place]:
    """A gateway, and Slack delivers to it."""
    platforms = PlatformSettings(public_url="https://support.example", slack=platform)
    app = application(settings.model_copy(update={"platforms": platforms}), store, temporal)
    run = runner(app)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{run.addresses[0][1]}"
    slack.deliver_to(url)
    try:
        yield Place(url, app[SERVICES], temporal, app, slack)
    finally:
        await run.cleanup()


@pytest.fixture
async def place(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> AsyncIterator[Place]:
    """A gateway whose published workflow listens to everything in T1."""
    await make_current(store, EVERYTHING)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as found:
        yield found


def thread(channel: str = "C1", ts: str | None = "1700000000.000001", **config: Any) -> SlackThread:
    made = WORKSPACE.thread(channel, ts or "")
    return SlackThread(config=made.config.model_copy(update={"thread_ts": ts, **config}))
