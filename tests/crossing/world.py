"""The engine with all its surfaces, everything real but the platforms: those are stand-ins that speak their protocols.

One gateway serves webhooks, the widget and the console; activities and session hosts run as in production; people do
what people do on the platforms' own side.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import select
from temporalio.client import Client

from gateways.platforms import DiscordSettings, PlatformSettings, SlackSettings, ZendeskSettings
from gateways.server import application, runner
from gateways.services import SERVICES, Services
from gateways.settings import GatewaySettings, Limits
from gateways.shown import shown_after
from gateways.temporal import Temporal
from runllm.bridge.listeners import Listener
from runllm.testing.engine import free_port
from runllm.testing.platforms.discord import FakeDiscord
from runllm.testing.platforms.slack import FakeSlack
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import agents, inbox, messages, sessions
from store.models import InboxRow, Message, Session, SessionLogRow
from store.settings import StoreSettings
from tests.contract.proxy import judged
from tests.workflow.town import SECRET, Town, town, until
from worker.answering.scripted import Script

ORIGIN = "https://acme.test"
NO_PART_OF_THE_API = ("/api/v2/webhooks", "/attachments/token/")
"""What the specification of Zendesk's Support API does not describe."""

_numbers = itertools.count(1)


@dataclass
class World:
    """One installation, connected to a workspace, an account and a server, and people who use them."""

    town: Town
    url: str
    http: aiohttp.ClientSession
    services: Services
    slack: FakeSlack
    zendesk: ZendeskStandIn
    acme: ZendeskAccount
    discord: FakeDiscord
    guild: str
    channel: str
    ada: str
    """A person on Discord. On Slack she is U1."""
    key: str

    async def publish(self, text: str, tasks: Sequence[str] = (), listeners: Sequence[Listener] = ()) -> None:
        """Makes a workflow current whose entrypoint is `answer`. `GUILD` and `CHANNEL` stand for Discord's."""
        text = text.replace("GUILD", self.guild).replace("CHANNEL", self.channel)
        version = await self.town.publish(text, tasks, domain="acme.test", listeners=listeners)
        await self.town.until(version, "current")

    async def visitor(self) -> "Guest":
        """Somebody in a chat widget."""
        body, headers = {"chat_user_id": f"visitor-{next(_numbers)}"}, {"Origin": ORIGIN}
        return await self._guest("widget", body, headers)

    async def colleague(self) -> "Guest":
        """Somebody in the admin console."""
        signed = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        form = {"key": self.key, "next": "/"}
        async with self.http.post(
            f"{self.url}/console/login", data=form, headers=signed, allow_redirects=False
        ) as answer:
            cookie = answer.cookies["runllm_console"].value
        headers = {"Sec-Fetch-Site": "same-origin", "Cookie": f"runllm_console={cookie}"}
        return await self._guest("console", {"agent": self.town.agent_id}, headers)

    async def _guest(self, kind: str, body: dict[str, Any], headers: dict[str, str]) -> "Guest":
        async with self.http.post(f"{self.url}/{kind}/v1/conversations", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            grant = await answer.json()
        place = grant["conversation"] if kind == "widget" else f"{self.town.agent_id}:{grant['conversation']}"
        return Guest(self, kind, f"{kind}:{place}", {**headers, "Authorization": f"Bearer {grant['token']}"})

    # What the record has

    async def session_at(self, key: str) -> Session:
        """The session of a surface, once it has one."""

        async def look() -> Session | None:
            async with self.town.store.read() as db:
                return await sessions.bound_session(db, key)

        found = await until(look, lambda found: found is not None)
        assert found is not None
        return found

    async def until_phase(self, session_id: int, phase: str) -> None:
        """Waits for what the record says of a session."""

        async def look() -> str:
            async with self.town.store.read() as db:
                found = await sessions.get(db, session_id)
                return found.phase if found else ""

        await until(look, lambda found: found == phase)

    async def log(self, session_id: int) -> list[SessionLogRow]:
        async with self.town.store.read() as db:
            return await sessions.log_of(db, session_id)

    async def transcript(self, session_id: int) -> list[Message]:
        async with self.town.store.read() as db:
            return await messages.transcript(db, session_id)

    async def rows(self) -> list[InboxRow]:
        """Everything that came in."""
        async with self.town.store.read() as db:
            return list(await db.scalars(select(InboxRow).order_by(InboxRow.id)))

    async def accounted(self) -> None:
        """Waits until everything that came in has an outcome."""

        async def look() -> int:
            async with self.town.store.read() as db:
                return await inbox.count_unaccounted(db)

        await until(look, lambda count: count == 0)


@dataclass
class Guest:
    """Somebody at one of our own surfaces: a visitor in a widget, or a colleague in the console."""

    world: World
    kind: str
    key: str
    headers: dict[str, str]

    async def say(self, text: str) -> str:
        """Writes a message; returns the id that the browser made for it."""
        id = f"m{next(_numbers)}"
        await self._post("messages", {"id": id, "text": text})
        return id

    async def click(self, button: str) -> dict[str, Any]:
        """Clicks a button of the newest message that has some."""
        asked = await until(self._asked, lambda found: found is not None)
        assert asked is not None
        return await self._post("clicks", {"wait_id": asked["wait"]["id"], "button_id": button})

    async def shown(self) -> list[dict[str, Any]]:
        """What the browser shows, in order."""
        async with self.world.town.store.read() as db:
            events = [shown.as_event() for shown in await shown_after(db, self.key, 0, None)]
        return sorted(events, key=lambda event: int(event["position"]))

    async def texts(self) -> list[str]:
        """What is written there, without what is deleted."""
        return [event["text"] for event in await self.shown() if not event["deleted"]]

    async def files(self) -> dict[str, bytes]:
        """The files that the browser can get, fetched from where they were posted."""
        found: dict[str, bytes] = {}
        for event in await self.shown():
            for number, file in enumerate(event["attachments"]):
                url = f"{self.world.url}/{self.kind}/v1/files/{event['chat_id']}/{number}"
                async with self.world.http.get(url, headers=self.headers) as answer:
                    assert answer.status == 200, await answer.text()
                    found[file["name"]] = await answer.read()
        return found

    async def until_shown(self, *texts: str) -> None:
        """Waits until the newest messages are these."""
        await until(self.texts, lambda found: found[-len(texts) :] == list(texts))

    async def _asked(self) -> dict[str, Any] | None:
        asking = [event for event in await self.shown() if event["buttons"] and event["wait"]]
        return asking[-1] if asking else None

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.world.url}/{self.kind}/v1/{what}"
        async with self.world.http.post(url, json=body, headers=self.headers) as answer:
            found: dict[str, Any] = await answer.json()
            assert answer.status == 200, found
            return found


@asynccontextmanager
async def world(tmp_path: Path, client: Client, script: Script) -> AsyncIterator[World]:
    """Everything, with one workspace, one account and one server connected through the control API."""
    zendesk = await ZendeskStandIn.start()
    acme = zendesk.account("acme")
    try:
        async with (
            FakeSlack() as slack,
            FakeDiscord.open() as discord,
            judged("slack", slack.url) as slack_url,
            judged("discord", discord.url) as discord_url,
            judged("zendesk", f"http://127.0.0.1:{zendesk.port}", outside=NO_PART_OF_THE_API) as zendesk_url,
            aiohttp.ClientSession() as http,
        ):
            guild = discord.guild("Acme")
            channel, ada = discord.channel(guild), discord.user("Ada Lovelace")
            platforms = PlatformSettings(
                public_url="http://127.0.0.1:1",
                slack=SlackSettings(api_url=f"{slack_url}/api/", signing_secret=SecretStr(slack.signing_secret)),
                zendesk=ZendeskSettings(url=zendesk_url, sweep_every=0),
                discord=DiscordSettings(
                    api_url=f"{discord_url}/api/v10", gateway_url=f"{discord.gateway.url}/gateway", identify_pause=0.0
                ),
            )
            async with town(tmp_path, client, platforms=platforms, script=script) as here:
                async with here.store.begin() as db:
                    key = await agents.create_key(db, here.agent_id, "tests")
                temporal = Temporal(
                    {"target_host": client.service_client.config.target_host, "namespace": client.namespace}
                )
                port = free_port()
                app = application(_settings(tmp_path, platforms, port), here.store, temporal)
                run = runner(app)
                await run.setup()
                await web.TCPSite(run, "127.0.0.1", port).start()
                url = f"http://127.0.0.1:{port}"
                slack.deliver_to(url)
                made = World(here, url, http, app[SERVICES], slack, zendesk, acme, discord, guild, channel, ada, key)
                try:
                    await _connect(made)
                    await asyncio.wait_for(discord.gateway.until_connected(), 30)
                    yield made
                finally:
                    await run.cleanup()
    finally:
        await zendesk.stop()


def _settings(tmp_path: Path, platforms: PlatformSettings, port: int) -> GatewaySettings:
    """Those of a gateway that names this port as its public address."""
    store = StoreSettings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'runllm.db'}", secret=SecretStr(SECRET))
    return GatewaySettings(
        store=store,
        temporal={"target_host": "unused:1", "namespace": "default"},
        limits=Limits(messages_a_minute=10_000, conversations_a_minute=10_000, logins_a_minute=1000),
        platforms=platforms.model_copy(update={"public_url": f"http://127.0.0.1:{port}"}),
    )


async def _connect(world: World) -> None:
    """What `runllm connect` does for each of the three."""
    credentials: dict[str, dict[str, Any]] = {
        "slack": {"bot_token": "xoxb-1"},
        "zendesk": {"subdomain": "acme", "email": world.acme.email, "api_token": world.acme.api_token},
        "discord": {"token": world.discord.token, "guild_id": world.guild},
    }
    for platform, fields in credentials.items():
        async with world.http.post(
            f"{world.url}/api/v1/installations",
            json={"platform": platform, "credentials": fields},
            headers={"Authorization": f"Bearer {world.key}"},
        ) as answer:
            assert answer.status == 201, await answer.text()
