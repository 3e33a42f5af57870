"""Reads Discord for the gateway's jobs: a busy or absent Discord is waited for, a forbidden place is left out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateways.adapter import Earlier
from gateways.discord.calls import UNKNOWN_MESSAGE, CallError, Calls
from gateways.discord.inbound import Bot, Message, Place, earlier_of

log = logging.getLogger(__name__)

PAGE = 100
_A_FEW = 20
_LONGEST_WAIT = 30.0


class Reading:
    """What is read of channels and threads, beside what the gateway brings."""

    def __init__(self, api: Calls) -> None:
        self._api = api

    async def channel(self, channel_id: str) -> dict[str, Any] | None:
        """A channel or thread; None where there is none that the bot can see."""
        found: dict[str, Any] | None = await self._patiently(lambda: self._api.get(f"/channels/{channel_id}"))
        return found

    async def channels(self, guild_id: str) -> list[dict[str, Any]]:
        """The channels of a server."""
        return list(await self._patiently(lambda: self._api.get(f"/guilds/{guild_id}/channels")) or ())

    async def active_threads(self, guild_id: str) -> list[dict[str, Any]]:
        """The threads of a server that are not archived."""
        found = await self._patiently(lambda: self._api.get(f"/guilds/{guild_id}/threads/active"))
        return list(found["threads"]) if found else []

    async def after(self, channel_id: str, message_id: str) -> list[dict[str, Any]]:
        """The next page of messages, oldest first."""
        path = f"/channels/{channel_id}/messages"
        found = await self._patiently(lambda: self._api.get(path, after=message_id, limit=PAGE))
        return _oldest_first(found or ())

    async def newest(self, channel_id: str) -> str | None:
        """The number of the last message that somebody wrote; None where there is none."""
        found = await self._patiently(lambda: self._api.get(f"/channels/{channel_id}/messages", limit=_A_FEW))
        said = (one for one in map(Message.model_validate, found or ()) if one.is_said)
        return max((one.id for one in said), key=int, default=None)

    async def message(self, channel_id: str, message_id: str) -> dict[str, Any] | None:
        """One message; None where it is gone."""
        path = f"/channels/{channel_id}/messages/{message_id}"
        found: dict[str, Any] | None = await self._patiently(lambda: self._api.get(path))
        return found

    async def earlier(self, place: Place, before: str, bot: Bot) -> list[Earlier]:
        """What was said in a thread before a message, oldest first: what it was made from, and its last page."""
        if not place.thread_id:
            return []
        path = f"/channels/{place.thread_id}/messages"
        page = _oldest_first(await self._patiently(lambda: self._api.get(path, before=before, limit=PAGE)) or ())
        if all(str(one["id"]) != place.thread_id for one in page):
            origin = await self.message(place.channel_id, place.thread_id)
            page = [*([origin] if origin is not None else []), *page]
        said = (Message.model_validate(one) for one in page)
        return [earlier_of(one, bot) for one in said if one.is_said and int(one.id) < int(before)]

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Asks until there is an answer; None where the answer is that there is nothing for us."""
        pause = 1.0
        while True:
            try:
                return await call()
            except CallError as error:
                if error.status == 429:
                    await asyncio.sleep(error.retry_after)
                elif error.is_unknown:
                    log.warning("Discord does not answer (%s); asking again in %.0f s", error, pause)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_WAIT)
                else:
                    if error.code != UNKNOWN_MESSAGE:
                        log.info("Discord shows us nothing there: %s", error)
                    return None


def _oldest_first(page: Any) -> list[dict[str, Any]]:
    return sorted(page, key=lambda one: int(one["id"]))
