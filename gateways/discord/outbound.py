"""Discord's outbound side. No server can be connected yet, and it says so."""

from typing import Any, NoReturn

from gateways.adapter import Content, Effect
from gateways.platforms import DiscordSettings
from runllm.bridge.surfaces import ChatSurface, DiscordThread
from runllm.errors import NotConnected, Rejected
from store.engine import Store
from store.sealing import Seal


class DiscordAdapter:
    """Posts to Discord threads, and opens them."""

    def __init__(self, store: Store, seal: Seal, settings: DiscordSettings) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Shows a message in a thread."""
        refuse(_guild(to))

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Replaces a message of a thread."""
        refuse(_guild(to))

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Removes a message of a thread."""
        refuse(_guild(to))

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Puts `note` in the place of a message's buttons."""
        refuse(_guild(to))

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file of this platform."""
        raise Rejected("Files of this platform cannot be read yet.")

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        """Opens a thread in a channel."""
        refuse(guild_id)


def refuse(guild_id: str) -> NoReturn:
    """Says what is missing."""
    raise NotConnected(
        f"Discord server {guild_id!r} is not connected to this engine. Connect it: runllm connect discord"
    )


def _guild(to: ChatSurface) -> str:
    return to.config.guild_id if isinstance(to, DiscordThread) else str(to.type)
