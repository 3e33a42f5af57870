"""The connection to Discord's gateway: discord.py keeps it alive and resumes it; what it brings is handed on as it is.

https://discord.com/developers/docs/events/gateway
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import discord
import yarl
from discord import LoginFailure as LoginFailure
from discord import PrivilegedIntentsRequired as PrivilegedIntentsRequired
from discord.gateway import DiscordWebSocket
from discord.http import Route

from gateways.platforms import DiscordSettings

log = logging.getLogger(__name__)

Take = Callable[[str, Mapping[str, Any]], None]
"""Takes one dispatch: its name and its data. Called in order; must return at once."""

_INTENTS = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, message_content=True)


class Connection(discord.Client):
    """One bot's connection. What it would keep of messages and members is not kept: the record has it."""

    def __init__(self, settings: DiscordSettings, take: Take) -> None:
        point_at(settings)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
        super().__init__(
            intents=_INTENTS,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            enable_debug_events=True,  # hands on what came in, unparsed
        )
        self._take = take
        self._identify_pause = settings.identify_pause
        self.was_resumed = 0
        self.is_up = False

    async def on_socket_raw_receive(self, text: str) -> None:
        """Hands a dispatch on. Jobs begin in the order in which they are made, so this keeps the order, and awaits
        nothing.
        """
        frame = json.loads(text)
        if frame.get("op") == DiscordWebSocket.DISPATCH:
            self._take(frame["t"], frame["d"])

    async def on_connect(self) -> None:
        """Discord has let us in."""
        self.is_up = True

    async def on_resumed(self) -> None:
        """What was missed has been sent again."""
        self.is_up = True
        self.was_resumed += 1

    async def on_disconnect(self) -> None:
        """The connection is gone; the next one follows by itself."""
        self.is_up = False

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Waits before a new session, as Discord wants it."""
        if not initial:
            await asyncio.sleep(self._identify_pause)


def point_at(settings: DiscordSettings) -> None:
    """Makes discord.py talk to these addresses. It has one setting for the whole process."""
    Route.BASE = settings.api_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.gateway_url)
