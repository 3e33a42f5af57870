"""One gateway of all listens to Discord; the others stand by and take over when its lease runs out.

Every replica that connected would get every event. That would be harmless, the record takes each once, but Discord
counts how often a bot connects, and answers to clicks would race.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gateways.discord.calls import CallError, Calls
from gateways.discord.clicks import Clicks
from gateways.discord.finishing import finished_first
from gateways.discord.inbound import PLATFORM, Places
from gateways.discord.intake import Intake
from gateways.discord.reading import Reading
from gateways.platforms import DiscordSettings
from gateways.routing import Routing
from store import installations, leases
from store.engine import Store
from store.sealing import Seal

if TYPE_CHECKING:
    from gateways.discord.connection import Connection

log = logging.getLogger(__name__)

CONTENT_FLAGS = 1 << 18 | 1 << 19
"""An application with one of these may read what messages say: `GATEWAY_MESSAGE_CONTENT` and its limited form.

https://discord.com/developers/docs/resources/application#application-object-application-flags
"""
NO_CONTENT = (
    "may not read what people write. In the Developer Portal, under Bot, switch on Message Content Intent. Until then "
    "nothing of Discord is taken in; what is written meanwhile is read afterwards"
)
NO_LOGIN = "is refused by Discord: its token was reset. Connect again with the new one: runllm connect discord"
_LONGEST_PAUSE = 60.0


class Leader:
    """Listens to Discord while it holds the lease."""

    def __init__(self, store: Store, seal: Seal, settings: DiscordSettings, routing: Routing) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings
        self._routing = routing
        self._me = f"gateway-{secrets.token_hex(4)}"
        self._ears: dict[str, tuple[Ear, asyncio.Task[None]]] = {}
        self._until = 0.0
        self.is_leading = False

    @property
    def ears(self) -> list["Ear"]:
        """The bots that listen here."""
        return [ear for ear, _ in self._ears.values()]

    async def run(self) -> None:
        """Works until it is cancelled."""
        renew_every = self._settings.lease_seconds / 4
        try:
            while True:
                try:
                    await finished_first(self._round())
                except Exception:
                    log.exception("a round of listening to Discord failed; the next one follows")
                await asyncio.sleep(renew_every)
        finally:
            await self._step_down()

    async def _round(self) -> None:
        """Keeps the lease or tries to get it, and sees to it that the bots that should listen do."""
        wanted = await self._bots()
        asked_at = time.monotonic()
        if wanted and await self._acquire():
            self._until = asked_at + self._settings.lease_seconds
            self.is_leading = True
            await self._listen(wanted)
        else:
            await self._step_down()

    async def _acquire(self) -> bool:
        try:
            async with self._store.begin() as db:
                return await leases.acquire(db, PLATFORM, self._me, self._settings.lease_seconds)
        except Exception:
            # Without the record nobody else can get the lease either, but it runs out for us all the same.
            if self.is_leading and time.monotonic() < self._until - self._settings.lease_seconds / 4:
                return True
            raise

    async def _bots(self) -> dict[str, set[str]]:
        """The connected servers of each bot, by its token."""
        async with self._store.read() as db:
            rows = await installations.of_platform(db, "discord")
        found: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            found[str(self._seal.open(row.credentials)["token"])].add(row.external_id)
        return found

    async def _listen(self, wanted: dict[str, set[str]]) -> None:
        for token in [token for token in self._ears if token not in wanted]:
            await self._stop(token)
        for token, guilds in wanted.items():
            if token not in self._ears:
                ear = Ear(self._store, self._settings, self._routing, token, guilds)
                self._ears[token] = ear, asyncio.create_task(ear.run(), name="listen to Discord")
            ear, job = self._ears[token]
            ear.guilds = guilds
            if job.done():
                await self._stop(token)  # it cannot end by itself; the next round begins anew
            else:
                await ear.keep_alive()

    async def _step_down(self) -> None:
        for token in list(self._ears):
            await self._stop(token)
        if self.is_leading:
            self.is_leading = False
            with suppress(Exception):
                async with self._store.begin() as db:
                    await leases.release(db, PLATFORM, self._me)

    async def _stop(self, token: str) -> None:
        _, job = self._ears.pop(token)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


class Ear:
    """One bot's connection, and what becomes of what it brings."""

    def __init__(self, store: Store, settings: DiscordSettings, routing: Routing, token: str, guilds: set[str]) -> None:
        self.guilds = guilds
        self.finding = ""
        """What is wrong with the bot; empty where nothing is."""
        self.connection: Connection | None = None
        self._settings = settings
        self._token = token
        self._api = Calls(settings, token)
        places, reading = Places(), Reading(self._api)
        self.intake = Intake(store, routing, reading, places, lambda: self.guilds)
        self._clicks = Clicks(store, routing, self._api, reading, places)

    async def run(self) -> None:
        """Connects, and connects again, until it is cancelled."""
        async with self._api.kept_open():
            taking = asyncio.create_task(self.intake.run(), name="take in what Discord says")
            pause = 1.0
            try:
                while True:
                    began = time.monotonic()
                    await self._connect_once()
                    pause = 1.0 if time.monotonic() - began > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
                    await asyncio.sleep(pause)
            finally:
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
                await self._clicks.close()

    async def keep_alive(self) -> None:
        """See `Intake.keep_alive`."""
        if self.connection is not None and self.connection.is_up:
            await self.intake.keep_alive()

    async def _connect_once(self) -> None:
        """Returns when the connection is over for good, and logs why."""
        # discord.py takes a third of a second to import: only the gateway that listens needs it.
        from gateways.discord.connection import Connection, LoginFailure, PrivilegedIntentsRequired

        try:
            application = await self._api.get("/applications/@me")
            if not int(application["flags"]) & CONTENT_FLAGS:
                return self._say(f"The bot {application['name']!r} {NO_CONTENT}.")
            self.finding = ""
            self.connection = Connection(self._settings, self._take)
            async with self.connection:
                await self.connection.start(self._token)
        except PrivilegedIntentsRequired:
            self._say(f"The bot {NO_CONTENT}.")
        except LoginFailure:
            self._say(f"The bot {NO_LOGIN}.")
        except CallError as error:
            self._say(f"The bot {NO_LOGIN}." if error.status == 401 else f"Discord does not answer: {error}.")
        except Exception as error:
            log.warning("the connection to Discord broke: %s", type(error).__name__, exc_info=error)
        finally:
            self.connection = None

    def _take(self, event: str, data: Mapping[str, Any]) -> None:
        if event == "INTERACTION_CREATE":
            self._clicks.take(data)
        else:
            self.intake.take(event, data)

    def _say(self, finding: str) -> None:
        if finding != self.finding:
            log.error(finding)
        self.finding = finding
