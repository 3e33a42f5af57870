"""Discord's outbound side: posts to threads, and opens them.

What is exactly once, and how:
- A message carries a nonce that is the same on every attempt, with `enforce_nonce`: for some minutes Discord answers a
  second one with the first. After an attempt whose end nobody knows, the thread is read from the time of that attempt
  on, for a message of ours with this nonce, or with this text that no other effect claims. Only then is it sent.
- A long message is sent in parts, each an effect of its own, so that a retry sends what is missing.
- A thread is made from a message and has its number: a second one cannot be made. In forums, where a thread comes with
  its first message, its name carries the effect's number, and is looked for.
- Edits, deletions and settled buttons name their message: done twice they are the same.

What cannot be guaranteed: that two messages of one text, sent to one thread at the same time, both with unknown ends,
are not taken for each other (either way each is there once); that a message is not sent again if a person deletes it
between two attempts; that a message is shown as written by its author: copies carry the author's name as a prefix,
because a webhook, which can show a name and a face, knows no nonce and so could double.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

from gateways.adapter import Content, Effect, File
from gateways.discord import calls as discord
from gateways.discord import components, writing
from gateways.discord.calls import CallError, Calls, as_errors_of_ours
from gateways.discord.inbound import FORUM, MEDIA, PLATFORM, THREADS
from gateways.discord.snowflakes import at_snowflake
from gateways.parts import PART, parts_of, post_part, post_parts
from gateways.platforms import DiscordSettings
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatSurface, DiscordThread, DiscordThreadConfig, surface_key
from runllm.errors import NotConnected, Rejected, Unavailable
from store import effects, installations, messages
from store.engine import Store
from store.models import EffectRow
from store.sealing import Seal

LARGEST_FILE = 10 * 1024 * 1024
"""What every server takes, without boosts."""
_MOST_FILES = 10
_NOBODY: dict[str, list[str]] = {"parse": []}
"""Nothing that we write calls anybody: neither a model nor a customer elsewhere may ring a whole server."""
_NO_PREVIEWS = 1 << 2
_KEPT_OPEN_MINUTES = 10080
_CLOCKS_DIFFER = timedelta(minutes=5)
_PAGE = 100
_LONGEST_NAME = 100


class DiscordAdapter:
    """Posts to Discord threads, and opens them."""

    def __init__(self, store: Store, seal: Seal, settings: DiscordSettings) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Shows a message in a thread, and returns the last of its parts: the one with the buttons."""
        thread = await self._open(to)
        if content.is_internal:
            raise Rejected("An internal note was not sent to Discord: everybody in the thread would see it.")
        pieces = writing.pieces_of(content)
        rows = components.rows_of(content, effect.session_id)
        if len(content.files) > _MOST_FILES:
            raise Rejected(
                f"Discord takes at most {_MOST_FILES} files a message, and this one has {len(content.files)}."
            )

        async def send(part: Effect, index: int) -> str:
            is_last = index == len(pieces) - 1
            body: dict[str, Any] = {"content": pieces[index]}
            if is_last and rows:
                body["components"] = rows
            if content.author == MessageType.ASSISTANT:
                body["flags"] = _NO_PREVIEWS
            return await thread.say(part, body, content.files if is_last else ())

        async with as_errors_of_ours(thread.name):
            return (await post_parts(self._store, effect, to, len(pieces), send))[-1]

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Replaces a message of a thread. Parts are added or removed as the new text needs them."""
        thread = await self._open(to)
        key = await self._key_of(to, remote_id) or effect.key
        there = sorted({*await parts_of(self._store, key), remote_id}, key=int)
        pieces = writing.pieces_of(content)
        async with as_errors_of_ours(thread.name):
            kept = await thread.keep(there, remote_id, len(pieces))
            for message_id, piece in zip(kept, pieces, strict=False):
                await thread.change(message_id, {"content": piece, "allowed_mentions": _NOBODY})
            for number in range(len(kept), len(pieces)):
                await self._add_part(thread, effect, key, to, number, pieces[number])

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Removes all parts of a message. What is gone already is fine."""
        thread = await self._open(to)
        key = await self._key_of(to, remote_id)
        parts = await parts_of(self._store, key) if key else []
        async with as_errors_of_ours(thread.name):
            for message_id in sorted({*parts, remote_id}, key=int):
                await thread.remove(message_id)

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Disables the choices of a message and says below it what became of them."""
        thread = await self._open(to)
        key = await self._key_of(to, remote_id)
        session_id = int((key or "0").partition(":")[0])
        rows = components.disabled(components.rows_of(content, session_id))
        text = writing.noted(writing.pieces_of(content)[-1], note)
        async with as_errors_of_ours(thread.name):
            await thread.change(remote_id, {"content": text, "components": rows, "allowed_mentions": _NOBODY})

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file of a message. Discord's addresses expire, so it is asked for a new one."""
        name = attachment.get("name", "The file")
        guild_id, channel_id, message_id, file_id = (*str(attachment.get("ref", "")).split("/"), "", "", "", "")[:4]
        if attachment.get("platform") != PLATFORM or not file_id:
            raise Rejected(f"{name} is not a file of Discord.")
        api = await self._calls(guild_id)
        async with as_errors_of_ours(f"server {guild_id!r}"):
            message = await api.get(f"/channels/{channel_id}/messages/{message_id}")
            found = next((one for one in message["attachments"] if str(one["id"]) == file_id), None)
            if found is None:
                raise Rejected(f"{name} was removed from its message on Discord.")
            return await api.download(str(found["url"]), LARGEST_FILE)

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        """Opens a thread in a channel: below a message of its own, or as a post of a forum."""
        api = await self._calls(guild_id)
        where = f"channel {channel_id} of server {guild_id!r}"
        name = f"Conversation {effect.key.replace(':', '-')}"
        async with as_errors_of_ours(where):
            channel = await api.get(f"/channels/{channel_id}")
            if str(channel.get("guild_id")) != guild_id:
                raise Rejected(f"There is no channel {channel_id} in Discord server {guild_id!r}.")
            if channel["type"] in THREADS:
                raise Rejected(f"{where} is a thread itself: name the channel that it is in.")
            if channel["type"] in (FORUM, MEDIA):
                thread_id = await self._open_post(api, effect, guild_id, channel_id, name)
            else:
                thread_id = await self._open_below(api, effect, guild_id, channel_id, name)
        config = DiscordThreadConfig(guild_id=guild_id, channel_id=channel_id, thread_id=thread_id)
        return DiscordThread(config=config)

    async def _open_below(self, api: Calls, effect: Effect, guild_id: str, channel_id: str, name: str) -> str:
        """A message in the channel, and the thread that has its number."""
        config = DiscordThreadConfig(guild_id=guild_id, channel_id=channel_id, thread_id=channel_id)
        channel = Thread(self._store, api, DiscordThread(config=config))

        async def send(part: Effect, index: int) -> str:
            return await channel.say(part, {"content": name})

        message_id = await post_part(self._store, effect, channel.surface, 0, send)
        await start_thread(api, channel_id, message_id, name)
        return message_id

    async def _open_post(self, api: Calls, effect: Effect, guild_id: str, channel_id: str, name: str) -> str:
        if effect.earlier:
            active = await api.get(f"/guilds/{guild_id}/threads/active")
            for thread in active["threads"]:
                if str(thread.get("parent_id")) == channel_id and thread["name"] == name:
                    return str(thread["id"])
        message = {"content": name, "allowed_mentions": _NOBODY}
        body = {"name": name, "auto_archive_duration": _KEPT_OPEN_MINUTES, "message": message}
        return str((await api.post(f"/channels/{channel_id}/threads", body))["id"])

    async def _add_part(
        self, thread: "Thread", effect: Effect, key: str, to: ChatSurface, number: int, piece: str
    ) -> None:
        """One more part of a message that has become longer."""

        async def send(part: Effect, index: int) -> str:
            return await thread.say(part, {"content": piece})

        original = effect.model_copy(update={"key": key})
        await post_part(self._store, original, to, await self._free_number(key, number), send)

    async def _free_number(self, key: str, least: int) -> int:
        async with self._store.read() as db:
            rows = await effects.with_prefix(db, f"{key}/", PART)
        unfinished = [int(row.key.rpartition("/")[2]) for row in rows if row.state != "done"]
        used = [int(row.key.rpartition("/")[2]) for row in rows]
        return min(unfinished, default=max([least - 1, *used]) + 1)

    async def _key_of(self, to: ChatSurface, remote_id: str) -> str | None:
        """The effect that posted a message."""
        async with self._store.read() as db:
            posting = await messages.find_posting(db, surface_key(to), remote_id)
        return posting.effect_key if posting is not None else None

    async def _open(self, to: ChatSurface) -> "Thread":
        if not isinstance(to, DiscordThread):
            raise Rejected(f"Discord cannot show a message on a {to.type}.")
        return Thread(self._store, await self._calls(to.config.guild_id), to)

    async def _calls(self, guild_id: str) -> Calls:
        """Calls as the bot that is connected to a server.

        Raises:
            NotConnected: None is.
        """
        async with self._store.read() as db:
            row = await installations.get(db, "discord", guild_id)
        if row is None:
            raise NotConnected(
                f"Discord server {guild_id!r} is not connected to this engine. Connect it: runllm connect discord"
            )
        return Calls(self._settings, str(self._seal.open(row.credentials)["token"]))


class Thread:
    """One thread, and what is done in it."""

    def __init__(self, store: Store, api: Calls, surface: DiscordThread) -> None:
        self.surface = surface
        self._store = store
        self._api = api
        self._path = f"/channels/{surface.config.thread_id}/messages"

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"Discord thread {self.surface.config.thread_id}"

    async def say(self, effect: Effect, body: dict[str, Any], files: Sequence[File] = ()) -> str:
        """Posts once, and returns the message's number."""
        async with as_errors_of_ours(self.name):
            if effect.earlier and (found := await self._look(effect, body["content"])) is not None:
                return found
            message = {
                **body,
                "allowed_mentions": _NOBODY,
                "nonce": nonce_of(effect, self.surface),
                "enforce_nonce": True,
            }
            try:
                sent = await self._api.post(self._path, message, files)
            except CallError as error:
                if error.code != discord.UNKNOWN_CHANNEL or not await self._begin():
                    raise
                sent = await self._api.post(self._path, message, files)
            return str(sent["id"])

    async def change(self, message_id: str, body: dict[str, Any]) -> None:
        """Replaces what a message shows."""
        await self._unarchived(lambda: self._api.patch(f"{self._path}/{message_id}", body))

    async def remove(self, message_id: str) -> None:
        """Removes a message; one that is gone is removed."""
        try:
            await self._unarchived(lambda: self._api.delete(f"{self._path}/{message_id}"))
        except CallError as error:
            if error.code not in (discord.UNKNOWN_MESSAGE, discord.UNKNOWN_CHANNEL):
                raise

    async def keep(self, there: list[str], main: str, count: int) -> list[str]:
        """Removes parts that a shorter text does not need, and says which are there. `main` always stays."""
        others = [message_id for message_id in there if message_id != main]
        kept = sorted([*others[: max(count - 1, 0)], main], key=int)
        for message_id in others[max(count - 1, 0) :]:
            await self.remove(message_id)
        return [message_id for message_id in kept if message_id == main or await self._is_there(message_id)]

    async def _is_there(self, message_id: str) -> bool:
        try:
            await self._api.get(f"{self._path}/{message_id}")
        except CallError as error:
            if error.code != discord.UNKNOWN_MESSAGE:
                raise
            return False
        return True

    async def _begin(self) -> bool:
        """Makes the thread of a message that nobody has answered yet. False where it was there once and is gone."""
        config = self.surface.config
        key = surface_key(self.surface)
        async with self._store.read() as db:
            first = await messages.find_posting(db, key, config.thread_id)
            message = await messages.get(db, first.chat_id) if first is not None else None
            if first is None or message is None or await messages.has_ours(db, key):
                return False
        try:
            await start_thread(self._api, config.channel_id, config.thread_id, thread_name(message.text))
        except CallError as error:
            if error.code == discord.UNKNOWN_MESSAGE:
                raise Rejected(f"The message that {self.name} was to be made from was deleted.") from None
            raise
        return True

    async def _look(self, effect: Effect, text: str) -> str | None:
        """As `_left_behind`. A refusal to look says nothing about whether the message is there."""
        try:
            return await self._left_behind(effect, text)
        except CallError as error:
            if error.status != 429:
                raise
            raise Unavailable(f"Discord wants fewer calls for {self.name}; nobody knows yet what is there.") from None

    async def _left_behind(self, effect: Effect, text: str) -> str | None:
        """The message of an earlier attempt: by its nonce, or by its text where no other effect claims it."""
        started = await self._started_at(effect)
        me = str((await self._api.get("/users/@me"))["id"])
        nonce = nonce_of(effect, self.surface)
        alike: list[str] = []
        async for message in self._since(started):
            if str(message["author"]["id"]) != me:
                continue
            if message.get("nonce") == nonce:
                return str(message["id"])
            if message["content"].strip() == text.strip():
                alike.append(str(message["id"]))
        async with self._store.read() as db:
            for message_id in alike:
                if not await effects.is_ours(db, surface_key(self.surface), message_id):
                    return message_id
        return None

    async def _started_at(self, effect: Effect) -> str:
        async with self._store.read() as db:
            row = await db.get(EffectRow, effect.key)
        since = at_snowflake(row.started_at - _CLOCKS_DIFFER) if row is not None else "0"
        return max(since, self.surface.config.thread_id, key=int)

    async def _since(self, after: str) -> AsyncIterator[dict[str, Any]]:
        while True:
            try:
                page = await self._api.get(self._path, after=after, limit=_PAGE)
            except CallError as error:
                if error.code == discord.UNKNOWN_CHANNEL:
                    return  # the attempt ended before there was a thread
                raise
            for message in sorted(page, key=lambda one: int(one["id"])):
                after = str(message["id"])
                yield message
            if len(page) < _PAGE:
                return

    async def _unarchived(self, call: Callable[[], Awaitable[Any]]) -> None:
        """Nothing in an archived thread can be changed, so it is opened again first."""
        try:
            await call()
        except CallError as error:
            if error.code != discord.THREAD_ARCHIVED:
                raise
            await self._api.patch(f"/channels/{self.surface.config.thread_id}", {"archived": False})
            await call()


async def start_thread(api: Calls, channel_id: str, message_id: str, name: str) -> None:
    """Makes the thread of a message; one that is there already is it."""
    body = {"name": name, "auto_archive_duration": _KEPT_OPEN_MINUTES}
    try:
        await api.post(f"/channels/{channel_id}/messages/{message_id}/threads", body)
    except CallError as error:
        if error.code != discord.THREAD_EXISTS:
            raise


def nonce_of(effect: Effect, surface: DiscordThread) -> str:
    """The same for every attempt of an effect, and only for it: 25 characters, which is all that Discord takes.

    The thread is part of it, because another installation of this engine with the same bot counts its effects alike.
    """
    return sha256(f"{surface.config.thread_id}/{effect.key}".encode()).hexdigest()[:25]


def thread_name(text: str) -> str:
    """The name of a thread: what it was begun with, on one line."""
    line = " ".join(text.split()) or "Conversation"
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1].rstrip()}…"
