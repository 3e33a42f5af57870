"""A Discord to talk to on this machine: HTTP API version 10 and the gateway, with one application and its bot.

    async with FakeDiscord.open() as fake:
        guild = fake.guild("Acme")
        channel = fake.channel(guild, "help")
        ada = fake.user("Ada")
        message = await fake.say(channel, ada, f"{fake.mention} how do I sign in?")
        ...
        assert fake.texts(message) == ["Like this."]   # the thread of a message has its number
        reply = await fake.click(ada, message, "Yes")
        fake.next("POST", "/messages", lose_reply=True)
        fake.gateway.drop()

It refuses what Discord refuses, and is nowhere more lenient: length is counted in UTF-16 units, an archived thread
takes no changes, a locked one no messages, a second thread of a message cannot be made, an interaction is answered once
and within three seconds, content is empty without the intent.
"""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from runllm.testing.platforms import discord_shapes as shapes
from runllm.testing.platforms.discord_gateway import Gateway
from runllm.testing.platforms.discord_shapes import Json, snowflake
from runllm.testing.platforms.file_kinds import kind_of

HAS_CONTENT = 1 << 18
TEXT, NEWS, FORUM = 0, 5, 15
_THREADS = (10, 11, 12)
_ARCHIVE_AFTER = (60, 1440, 4320, 10080)
_LARGEST_FILE = 10 * 1024 * 1024
_SECONDS_FOR_CLICKS = 3.0


class Refusal(Exception):
    """What Discord answers instead."""

    def __init__(self, status: int, code: int, text: str, path: str = "") -> None:
        self.status = status
        self.body = shapes.error(code, text, shapes.one_error(path, "INVALID", text) if path else None)


@dataclass
class Fault:
    """What the next call of a method on a path gets instead of an answer."""

    method: str
    path: str
    status: int = 0
    retry_after: float = 0.0
    lose_reply: bool = False
    seconds: float = 0.0
    held: asyncio.Event | None = None


@dataclass
class Reply:
    """What the person who clicked sees: `whisper` only they, `update` everybody, `later` nothing yet."""

    kind: str
    text: str = ""
    seconds: float = 0.0


@dataclass
class Interaction:
    """A click, from when the bot is told of it."""

    token: str
    message: Json
    began: float
    answer: asyncio.Future[Reply]
    user_id: str = ""
    follow_ups: list[str] = field(default_factory=list)


class FakeDiscord:
    """The stand-in. Make it with `open`; ids are Discord's numbers as text, a thread's is that of its first message."""

    def __init__(self) -> None:
        self.token = f"token-{snowflake()}"
        self.flags = HAS_CONTENT
        self.interactions_endpoint: str | None = None
        self.application_id = snowflake()
        self.bot = shapes.user(snowflake(), "Helper", is_bot=True)
        self.gateway = Gateway(self.token, self._hello)
        self.url = ""
        self.nonce_seconds = 180.0
        """For how long a nonce is remembered: "the past few minutes"."""
        self.calls: list[tuple[str, str]] = []
        """Every call, as method and path."""
        self.pinged: list[str] = []
        """Whom messages of the bot have rung."""
        self.is_away = False
        """Every call is answered 503; the gateway stays as it is."""
        self._faults: list[Fault] = []
        self._users: dict[str, Json] = {self.bot["id"]: self.bot}
        self._guilds: dict[str, Json] = {}
        self._bot_roles: dict[str, str] = {}
        self._channels: dict[str, Json] = {}
        self._messages: dict[str, dict[str, Json]] = {}
        self._nonces: dict[str, tuple[float, str, str]] = {}
        self._files: dict[str, bytes] = {}
        self._interactions: dict[str, Interaction] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, at: socket.socket | None = None) -> AsyncIterator["FakeDiscord"]:
        """Serves on a free port, or on `at`, which is bound already, until the block is left."""
        fake = cls()
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[fake._answer])
        fake._add_routes(app)
        run = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await run.setup()
        site = web.TCPSite(run, "127.0.0.1", 0) if at is None else web.SockSite(run, at)
        await site.start()
        port = run.addresses[0][1]
        fake.url, fake.gateway.url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        try:
            yield fake
        finally:
            fake.gateway.drop()
            await run.cleanup()

    @property
    def api_url(self) -> str:
        """The base of the HTTP API, with its version."""
        return f"{self.url}/api/v10"

    @property
    def mention(self) -> str:
        """What a message says to call the bot."""
        return f"<@{self.bot['id']}>"

    # Furnishing

    def guild(self, name: str = "Acme", permissions: int = shapes.ALL, emoji: Sequence[str] = (), id: str = "") -> str:
        """A server with the bot in it, and with emoji of its own."""
        guild_id, role_id = id or snowflake(), snowflake()
        self._guilds[guild_id] = shapes.guild(
            guild_id,
            name,
            [shapes.role(guild_id, "@everyone", 0), shapes.role(role_id, "Helper", permissions, self.bot["id"])],
        )
        self._guilds[guild_id]["emojis"] = [shapes.emoji(snowflake(), one) for one in emoji]
        self._bot_roles[guild_id] = role_id
        return guild_id

    def channel(self, guild_id: str, name: str = "help", kind: int = TEXT, id: str = "") -> str:
        """A channel."""
        channel_id = id or snowflake()
        self._channels[channel_id] = shapes.channel(channel_id, guild_id, name, kind)
        self._messages[channel_id] = {}
        return channel_id

    def user(self, name: str, *, is_bot: bool = False, id: str = "") -> str:
        """Somebody who is in all servers."""
        user_id = id or snowflake()
        self._users[user_id] = shapes.user(user_id, name, is_bot=is_bot)
        return user_id

    async def invite(self, guild_id: str, name: str = "Acme") -> None:
        """Somebody invites the bot to a server; nothing happens where it is there already."""
        if guild_id not in self._guilds:
            self.guild(name, id=guild_id)
            await self.gateway.tell("GUILD_CREATE", self._joined(guild_id))

    async def new_channel(self, guild_id: str, name: str, kind: int = TEXT, id: str = "") -> str:
        """Somebody makes a channel, and bots are told."""
        channel_id = self.channel(guild_id, name, kind, id)
        await self.gateway.tell("CHANNEL_CREATE", self._channels[channel_id])
        return channel_id

    def role_mention(self, guild_id: str) -> str:
        """What a message says to call the role that Discord made for the bot."""
        return f"<@&{self._bot_roles[guild_id]}>"

    def set_permissions(self, guild_id: str, permissions: int) -> None:
        """What the bot's role may do in a server."""
        self._guilds[guild_id]["roles"][1]["permissions"] = str(permissions)

    def forbid(self, channel_id: str, permissions: int) -> None:
        """Takes rights from the bot's role in one channel."""
        channel = self._channels[channel_id]
        role = self._bot_roles[channel["guild_id"]]
        channel["permission_overwrites"] = [{"id": role, "type": 0, "allow": "0", "deny": str(permissions)}]

    def kick(self, guild_id: str) -> None:
        """Removes the bot from a server."""
        del self._guilds[guild_id]

    # What people do

    async def say(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        files: Sequence[tuple[str, bytes]] = (),
        *,
        webhook: bool = False,
    ) -> str:
        """Somebody writes in a channel or thread; the message's number."""
        message = self._put(channel_id, self._users[user_id], text)
        if webhook:
            message["webhook_id"] = snowflake()
        for name, content in files:
            self._attach(message, name, content, kind_of(name))
        await self._tell_message("MESSAGE_CREATE", message)
        return str(message["id"])

    async def start_thread(self, channel_id: str, message_id: str, user_id: str, name: str = "A thread") -> str:
        """A person makes a thread from a message."""
        thread = await self._start_thread(channel_id, message_id, name, user_id, 1440)
        return str(thread["id"])

    async def start_post(
        self, forum_id: str, user_id: str, title: str, text: str, files: Sequence[tuple[str, bytes]] = ()
    ) -> str:
        """A person begins a post in a forum."""
        thread = await self._new_thread(snowflake(), self._channels[forum_id], title, user_id, 1440)
        message = self._put(thread["id"], self._users[user_id], text, id=thread["id"])
        for name, content in files:
            self._attach(message, name, content, kind_of(name))
        await self._tell_message("MESSAGE_CREATE", message)
        return str(thread["id"])

    async def edit(self, channel_id: str, message_id: str, text: str) -> None:
        """The author changes a message."""
        message = self._messages[channel_id][message_id]
        message.update(content=text, edited_timestamp=shapes.timestamp(), mentions=self._mentioned(text))
        await self._tell_message("MESSAGE_UPDATE", message)

    async def unfurl(self, channel_id: str, message_id: str) -> None:
        """Discord adds a preview of a link: an update without an edit."""
        await self._tell_message("MESSAGE_UPDATE", self._messages[channel_id][message_id])

    async def delete(self, channel_id: str, *message_ids: str) -> None:
        """Somebody removes a message, or a moderator several at once."""
        for message_id in message_ids:
            del self._messages[channel_id][message_id]
        where = {"channel_id": channel_id, "guild_id": self._channels[channel_id]["guild_id"]}
        if len(message_ids) == 1:
            await self.gateway.tell("MESSAGE_DELETE", {"id": message_ids[0], **where})
        else:
            await self.gateway.tell("MESSAGE_DELETE_BULK", {"ids": list(message_ids), **where})

    async def react(self, channel_id: str, message_id: str, user_id: str, emoji: str) -> None:
        """Somebody puts an emoji on a message: a character, or the name of one of the server's own."""
        guild_id = self._channels[channel_id]["guild_id"]
        own = emoji.isascii() and emoji.isidentifier()
        await self.gateway.tell(
            "MESSAGE_REACTION_ADD",
            {
                "user_id": user_id,
                "channel_id": channel_id,
                "message_id": message_id,
                "guild_id": guild_id,
                "member": shapes.member(self._users[user_id], []),
                "emoji": {"id": snowflake() if own else None, "name": emoji},
                "message_author_id": self._messages[channel_id][message_id]["author"]["id"],
                "burst": False,
                "burst_colors": [],
                "type": 0,
            },
        )

    async def click(self, user_id: str, channel_id: str, label: str) -> Reply:
        """Somebody clicks the newest button that says `label`, and sees what comes of it within three seconds."""
        message, button = self._button(channel_id, label)
        assert not button.get("disabled"), f"the button {label!r} cannot be clicked any more"
        return await self.click_raw(user_id, message, button["custom_id"])

    async def click_raw(self, user_id: str, message: Json, custom_id: str) -> Reply:
        """As `click`, for a button that may be gone by now: some people are slow."""
        interaction_id, token = snowflake(), f"interaction-{snowflake()}"
        began, loop = time.monotonic(), asyncio.get_running_loop()
        one = self._interactions[token] = Interaction(token, message, began, loop.create_future(), user_id)
        channel = self._channels[message["channel_id"]]
        await self.gateway.tell(
            "INTERACTION_CREATE",
            {
                "id": interaction_id,
                "application_id": self.application_id,
                "type": 3,
                "token": token,
                "version": 1,
                "guild_id": channel["guild_id"],
                "channel_id": channel["id"],
                "channel": channel,
                "member": {**shapes.member(self._users[user_id], []), "permissions": "0"},
                "message": message,
                "data": {"component_type": 2, "custom_id": custom_id},
                "attachment_size_limit": _LARGEST_FILE,
                "entitlements": [],
                "authorizing_integration_owners": {},
                "locale": "en-US",
                "guild_locale": "en-US",
            },
        )
        try:
            return await asyncio.wait_for(one.answer, _SECONDS_FOR_CLICKS)
        except TimeoutError:
            raise AssertionError("This interaction failed: nobody answered it within three seconds.") from None

    def follow_ups(self) -> list[str]:
        """What was whispered later than at once, to anybody."""
        return [text for one in self._interactions.values() for text in one.follow_ups]

    def archive(self, thread_id: str, *, locked: bool = False) -> None:
        """A thread falls asleep, or is locked."""
        self._channels[thread_id]["thread_metadata"].update(archived=True, locked=locked)

    async def delete_channel(self, channel_id: str) -> None:
        """A channel or thread is removed with all that is in it."""
        channel = self._channels.pop(channel_id)
        self._messages.pop(channel_id)
        event = "THREAD_DELETE" if channel["type"] in _THREADS else "CHANNEL_DELETE"
        await self.gateway.tell(event, channel)

    # What can be seen

    def messages(self, channel_id: str) -> list[Json]:
        """The messages of a channel or thread, oldest first; none where there is no such thread yet."""
        return sorted(self._messages.get(channel_id, {}).values(), key=lambda one: int(one["id"]))

    def texts(self, channel_id: str) -> list[str]:
        """What the bot has written there."""
        said = (one for one in self.messages(channel_id) if one["type"] == 0)
        return [one["content"] for one in said if one["author"]["id"] == self.bot["id"]]

    def buttons(self, channel_id: str) -> list[tuple[str, bool]]:
        """The buttons of the newest message that has some: what they say, and whether they can be clicked."""
        for message in reversed(self.messages(channel_id)):
            if message["components"]:
                return [(label_of(one), not one.get("disabled", False)) for one in buttons_of(message)]
        return []

    def whispers(self) -> list[tuple[str, str, str]]:
        """What people were told alone: who, in which channel or thread, and what; click by click."""
        found: list[tuple[str, str, str]] = []
        for one in self._interactions.values():
            where = (one.user_id, str(one.message["channel_id"]))
            if one.answer.done() and not one.answer.cancelled() and one.answer.result().kind == "whisper":
                found.append((*where, one.answer.result().text))
            found += [(*where, text) for text in one.follow_ups]
        return found

    def message(self, message_id: str) -> Json | None:
        """A message; that of a thread's number is the one that the thread was made from. None where it was deleted."""
        every = (said[message_id] for said in self._messages.values() if message_id in said)
        return next((one for one in every if one["type"] == 0), None)

    def people(self) -> dict[str, str]:
        """What everybody is called, by their number."""
        return {id: str(one["global_name"]) for id, one in self._users.items()}

    def channels(self, guild_id: str) -> list[Json]:
        """The channels of a server, without threads."""
        every = self._channels.values()
        return [one for one in every if one["guild_id"] == guild_id and one["type"] not in _THREADS]

    def thread(self, thread_id: str) -> Json | None:
        """A thread; None where it was not made."""
        return self._channels.get(thread_id)

    def threads(self) -> list[Json]:
        """All threads."""
        return [one for one in self._channels.values() if one["type"] in _THREADS]

    def file(self, attachment: Json) -> bytes:
        """What is in a file of a message."""
        return self._files[str(attachment["id"])]

    def next(
        self,
        method: str,
        path: str,
        *,
        status: int = 0,
        retry_after: float = 0.0,
        lose_reply: bool = False,
        seconds: float = 0.0,
        times: int = 1,
    ) -> None:
        """The next call of `method` whose path matches `path` fails: before anything is done with a `status`, after it
        where its reply is lost, or it takes its time.
        """
        self._faults += [Fault(method, path, status, retry_after, lose_reply, seconds) for _ in range(times)]

    @property
    def planned(self) -> int:
        """How many calls are still to fail."""
        return len(self._faults)

    def calm(self) -> None:
        """From now on no call fails."""
        self._faults.clear()
        self.is_away = False

    def hold(self, method: str, path: str) -> asyncio.Event:
        """The next such call is done and never answered, for callers that are killed; the event says when."""
        fault = Fault(method, path, held=asyncio.Event())
        self._faults.append(fault)
        assert fault.held is not None
        return fault.held

    def posts(self) -> int:
        """How many messages somebody tried to post."""
        return sum(1 for method, path in self.calls if method == "POST" and path.endswith("/messages"))

    # HTTP

    def _add_routes(self, app: web.Application) -> None:
        api, to = "/api/v10", app.router.add_route
        to("GET", "/gateway", self.gateway.serve)
        to("GET", "/resume", self.gateway.serve)
        to("GET", "/cdn/{id}/{name}", self._get_file)
        for path in ("/applications/@me", "/oauth2/applications/@me"):
            to("GET", api + path, self._get_application)
        to("GET", f"{api}/users/@me", self._get_me)
        to("GET", f"{api}/users/@me/guilds", self._get_my_guilds)
        to("GET", f"{api}/guilds/{{guild}}", self._get_guild)
        to("GET", f"{api}/guilds/{{guild}}/roles", self._get_roles)
        to("GET", f"{api}/guilds/{{guild}}/channels", self._get_channels)
        to("GET", f"{api}/guilds/{{guild}}/members/{{user}}", self._get_member)
        to("GET", f"{api}/guilds/{{guild}}/threads/active", self._get_active)
        to("GET", f"{api}/channels/{{channel}}", self._get_channel)
        to("PATCH", f"{api}/channels/{{channel}}", self._patch_channel)
        to("GET", f"{api}/channels/{{channel}}/messages", self._get_messages)
        to("POST", f"{api}/channels/{{channel}}/messages", self._post_message)
        to("POST", f"{api}/channels/{{channel}}/threads", self._post_thread)
        to("GET", f"{api}/channels/{{channel}}/messages/{{message}}", self._get_message)
        to("PATCH", f"{api}/channels/{{channel}}/messages/{{message}}", self._patch_message)
        to("DELETE", f"{api}/channels/{{channel}}/messages/{{message}}", self._delete_message)
        to("POST", f"{api}/channels/{{channel}}/messages/{{message}}/threads", self._post_thread_from)
        to("POST", f"{api}/interactions/{{id}}/{{token}}/callback", self._post_callback)
        to("POST", f"{api}/webhooks/{{application}}/{{token}}", self._post_follow_up)
        to("PATCH", f"{api}/webhooks/{{application}}/{{token}}/messages/@original", self._patch_original)

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.is_away and request.path.startswith(("/api/", "/cdn/")):
            return web.Response(status=503, text="upstream connect error")
        if not request.path.startswith("/api/"):
            response: web.StreamResponse = await handler(request)
            return response
        path = request.path.removeprefix("/api/v10")
        self.calls.append((request.method, path))
        fault = self._fault_for(request.method, path)
        if fault is not None and fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.status:
            return _failure(fault)
        is_open = path.startswith(("/interactions/", "/webhooks/"))  # their token is in the path
        if not is_open and request.headers.get("Authorization") != f"Bot {self.token}":
            return web.json_response(shapes.error(0, "401: Unauthorized"), status=401)
        if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
            return web.Response(status=403, text="Cloudflare does not know this client")
        try:
            answered: web.StreamResponse = await handler(request)
        except Refusal as refusal:
            answered = web.json_response(refusal.body, status=refusal.status)
        if fault is not None and fault.held is not None:
            fault.held.set()
            await asyncio.sleep(60)
        if fault is not None and fault.lose_reply:
            assert request.transport is not None
            request.transport.abort()
        if answered.content_type == "application/json":
            answered.headers["Content-Type"] = "application/json"  # Discord names no character set
        return answered

    def _fault_for(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.method == method and re.search(fault.path, path):
                self._faults.remove(fault)
                return fault
        return None

    async def _get_application(self, request: web.Request) -> web.Response:
        return web.json_response(self._application())

    async def _get_me(self, request: web.Request) -> web.Response:
        return web.json_response({**self.bot, "mfa_enabled": False, "locale": "en-US"})

    async def _get_my_guilds(self, request: web.Request) -> web.Response:
        names = ("id", "name", "icon", "banner", "features")
        return web.json_response(
            [
                {
                    **{name: guild[name] for name in names},
                    "owner": False,
                    "permissions": guild["roles"][1]["permissions"],
                }
                for guild in self._guilds.values()
            ]
        )

    async def _get_guild(self, request: web.Request) -> web.Response:
        return web.json_response(self._guild(request))

    async def _get_roles(self, request: web.Request) -> web.Response:
        return web.json_response(self._guild(request)["roles"])

    async def _get_channels(self, request: web.Request) -> web.Response:
        return web.json_response(self.channels(self._guild(request)["id"]))

    async def _get_member(self, request: web.Request) -> web.Response:
        guild_id = self._guild(request)["id"]
        if request.match_info["user"] != self.bot["id"]:
            raise Refusal(404, 10007, "Unknown Member")
        return web.json_response(shapes.member(self.bot, [self._bot_roles[guild_id]]))

    async def _get_active(self, request: web.Request) -> web.Response:
        guild_id = self._guild(request)["id"]
        active = [
            one
            for one in self.threads()
            if one["guild_id"] == guild_id
            and not one["thread_metadata"]["archived"]
            and self._permissions(one) & shapes.VIEW
        ]
        return web.json_response({"threads": active, "members": [], "has_more": False})

    async def _get_channel(self, request: web.Request) -> web.Response:
        return web.json_response(self._channel(request, shapes.VIEW))

    async def _patch_channel(self, request: web.Request) -> web.Response:
        channel, body = self._channel(request, shapes.VIEW), await request.json()
        if channel["type"] not in _THREADS:
            raise Refusal(403, 50013, "Missing Permissions")
        metadata = channel["thread_metadata"]
        if metadata["locked"] and not self._permissions(channel) & shapes.MANAGE_THREADS:
            raise Refusal(403, 50013, "Missing Permissions")
        metadata["archived"] = bool(body.get("archived", metadata["archived"]))
        await self.gateway.tell("THREAD_UPDATE", channel)
        return web.json_response(channel)

    async def _get_messages(self, request: web.Request) -> web.Response:
        channel = self._channel(request, shapes.VIEW)
        if not self._permissions(channel) & shapes.HISTORY:
            return web.json_response([])
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise Refusal(400, 50035, "Invalid Form Body", "limit")
        found = self.messages(channel["id"])
        if "after" in request.query:  # the ones that come next, and still the newest first
            found = [one for one in found if int(one["id"]) > int(request.query["after"])][:limit]
        elif "before" in request.query:
            found = [one for one in found if int(one["id"]) < int(request.query["before"])][-limit:]
        else:
            found = found[-limit:]
        return web.json_response([self._as_seen(one) for one in reversed(found)])

    async def _get_message(self, request: web.Request) -> web.Response:
        return web.json_response(self._as_seen(self._message(request)))

    async def _post_message(self, request: web.Request) -> web.Response:
        channel = self._channel(request, shapes.VIEW)
        body, files = await self._read(request)
        self._check_message(body, files)
        is_thread = channel["type"] in _THREADS
        if channel["type"] == FORUM:
            raise Refusal(400, 50008, "Cannot send messages in a non-text channel")
        needed = (shapes.SEND_IN_THREADS if is_thread else shapes.SEND) | (shapes.ATTACH if files else 0)
        if self._permissions(channel) & needed != needed:
            raise Refusal(403, 50013, "Missing Permissions")
        if is_thread and channel["thread_metadata"]["locked"]:
            raise Refusal(400, 160005, "This thread is locked")
        if (known := self._by_nonce(body)) is not None:
            return web.json_response(known)
        if is_thread:
            channel["thread_metadata"]["archived"] = False
        message = self._put(channel["id"], self.bot, body.get("content") or "")
        message["flags"] = int(body.get("flags") or 0)
        message["components"] = _numbered(body.get("components") or [])
        for name, mimetype, content in files:
            self._attach(message, name, content, mimetype)
        if body.get("nonce") is not None:
            message["nonce"] = body["nonce"]
            self._nonces[str(body["nonce"])] = (time.monotonic(), channel["id"], message["id"])
        self._ring(body)
        await self._tell_message("MESSAGE_CREATE", message)
        return web.json_response(message)

    async def _patch_message(self, request: web.Request) -> web.Response:
        message, body = self._message(request), await request.json()
        self._check_changeable(message)
        if message["author"]["id"] != self.bot["id"]:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        self._check_message({"content": message["content"], **body}, [], message)
        await self._change(message, body)
        return web.json_response(self._as_seen(message))

    async def _delete_message(self, request: web.Request) -> web.Response:
        message = self._message(request)
        self._check_changeable(message)
        if message["author"]["id"] != self.bot["id"]:
            raise Refusal(403, 50003, "Cannot execute action on this message")
        await self.delete(message["channel_id"], message["id"])
        return web.Response(status=204)

    async def _post_thread_from(self, request: web.Request) -> web.Response:
        message, body = self._message(request), await request.json()
        minutes = self._check_thread(body, self._channels[message["channel_id"]])
        thread = await self._start_thread(message["channel_id"], message["id"], body["name"], self.bot["id"], minutes)
        return web.json_response(thread, status=201)

    async def _post_thread(self, request: web.Request) -> web.Response:
        channel, body = self._channel(request, shapes.VIEW), await request.json()
        minutes = self._check_thread(body, channel)
        thread = await self._new_thread(snowflake(), channel, body["name"], self.bot["id"], minutes)
        if channel["type"] == FORUM:
            self._check_message(body["message"], [])
            message = self._put(thread["id"], self.bot, body["message"]["content"], id=thread["id"])
            await self._tell_message("MESSAGE_CREATE", message)
        return web.json_response(thread, status=201)

    async def _post_callback(self, request: web.Request) -> web.Response:
        one, body = self._interaction(request), await request.json()
        if time.monotonic() - one.began > _SECONDS_FOR_CLICKS:
            raise Refusal(404, 10062, "Unknown interaction")
        if one.answer.done():
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        data, seconds = body.get("data") or {}, time.monotonic() - one.began
        match body["type"]:
            case 4:
                self._check_message(data, [])
                is_private = int(data.get("flags") or 0) & 64
                one.answer.set_result(Reply("whisper" if is_private else "message", data["content"], seconds))
            case 6:
                one.answer.set_result(Reply("later", seconds=seconds))
            case 7:
                self._check_message(data, [], one.message)
                await self._change(self._live(one.message), data)
                one.answer.set_result(Reply("update", data.get("content", ""), seconds))
            case _:
                raise Refusal(400, 50035, "Invalid Form Body", "type")
        return web.Response(status=204)

    async def _post_follow_up(self, request: web.Request) -> web.Response:
        one, body = self._interaction(request), await request.json()
        self._check_message(body, [])
        if not one.answer.done():
            raise Refusal(404, 10015, "Unknown Webhook")
        one.follow_ups.append(body["content"])
        message = shapes.message(snowflake(), one.message["channel_id"], self.bot, body["content"])
        return web.json_response({**message, "flags": 64, "webhook_id": self.application_id})

    async def _patch_original(self, request: web.Request) -> web.Response:
        one, body = self._interaction(request), await request.json()
        if not one.answer.done():
            raise Refusal(404, 10015, "Unknown Webhook")
        self._check_message(body, [], one.message)
        message = self._live(one.message)
        await self._change(message, body)
        return web.json_response(message)

    async def _get_file(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers, "the token went to the file server"
        if request.query.get("hm") != "signed" or request.match_info["id"] not in self._files:
            return web.Response(status=404)
        return web.Response(body=self._files[request.match_info["id"]])

    # Rules

    def _check_message(self, body: Json, files: Sequence[Any], was: Json | None = None) -> None:
        content = body.get("content") or ""
        if len(content.encode("utf-16-le")) // 2 > 2000:
            raise Refusal(400, 50035, "Invalid Form Body", "content")
        rows = body.get("components", was["components"] if was else None) or []
        has_files = bool(files) or bool(was and was["attachments"])
        if not content.strip() and not rows and not has_files:
            raise Refusal(400, 50006, "Cannot send an empty message")
        if len(str(body.get("nonce") or "")) > 25:
            raise Refusal(400, 50035, "Invalid Form Body", "nonce")
        if len(files) > 10:
            raise Refusal(400, 50035, "Invalid Form Body", "attachments")
        if any(len(content) > _LARGEST_FILE for _, _, content in files):
            raise Refusal(413, 40005, "Request entity too large")
        if len(rows) > 5:
            raise Refusal(400, 50035, "Invalid Form Body", "components")
        ids: list[str] = []
        for number, row in enumerate(rows):
            ids += _check_row(row, f"components.{number}")
        if len(set(ids)) != len(ids):
            raise Refusal(400, 50035, "Component custom id cannot be duplicated", "components")

    def _check_changeable(self, message: Json) -> None:
        channel = self._channels[message["channel_id"]]
        if channel["type"] in _THREADS and channel["thread_metadata"]["archived"]:
            raise Refusal(400, 50083, "Thread is archived")

    def _check_thread(self, body: Json, channel: Json) -> int:
        if not self._permissions(channel) & shapes.CREATE_THREADS:
            raise Refusal(403, 50013, "Missing Permissions")
        if not 1 <= len(str(body.get("name") or "")) <= 100:
            raise Refusal(400, 50035, "Invalid Form Body", "name")
        minutes = body.get("auto_archive_duration") or 1440
        if minutes not in _ARCHIVE_AFTER:
            raise Refusal(400, 50035, "Invalid Form Body", "auto_archive_duration")
        return int(minutes)

    def _guild(self, request: web.Request) -> Json:
        guild = self._guilds.get(request.match_info["guild"])
        if guild is None:
            raise Refusal(404, 10004, "Unknown Guild")
        return guild

    def _channel(self, request: web.Request, needed: int) -> Json:
        channel = self._channels.get(request.match_info["channel"])
        if channel is None:
            raise Refusal(404, 10003, "Unknown Channel")
        if self._permissions(channel) & needed != needed:
            raise Refusal(403, 50001, "Missing Access")
        return channel

    def _message(self, request: web.Request) -> Json:
        channel = self._channel(request, shapes.VIEW)
        message = self._messages[channel["id"]].get(request.match_info["message"])
        if message is None:
            raise Refusal(404, 10008, "Unknown Message")
        return message

    def _interaction(self, request: web.Request) -> Interaction:
        one = self._interactions.get(request.match_info["token"])
        if one is None:
            raise Refusal(404, 10062, "Unknown interaction")
        return one

    def _permissions(self, channel: Json) -> int:
        guild = self._guilds.get(channel["guild_id"])
        if guild is None:
            return 0
        parent = self._channels.get(channel.get("parent_id") or "", channel)
        denied = sum(int(one["deny"]) for one in parent.get("permission_overwrites", ()))
        return int(guild["roles"][1]["permissions"]) & ~denied

    def _by_nonce(self, body: Json) -> Json | None:
        if not body.get("enforce_nonce") or body.get("nonce") is None:
            return None
        at, channel_id, message_id = self._nonces.get(str(body["nonce"]), (0.0, "", ""))
        if not at or time.monotonic() - at > self.nonce_seconds:
            return None
        return self._messages.get(channel_id, {}).get(message_id)

    def _ring(self, body: Json) -> None:
        """Notes whom a message calls, as `allowed_mentions` says."""
        content, allowed = body.get("content") or "", body.get("allowed_mentions")
        parse = ["everyone", "users", "roles"] if allowed is None else allowed.get("parse", [])
        found = {
            "everyone": re.findall(r"@everyone|@here", content),
            "users": re.findall(r"<@!?\d+>", content),
            "roles": re.findall(r"<@&\d+>", content),
        }
        self.pinged += [one for kind in parse for one in found[kind]]

    # State

    def _hello(self) -> tuple[Json, list[Json], int]:
        ready = {
            "v": 10,
            "user": self.bot,
            "guilds": [{"id": guild_id, "unavailable": True} for guild_id in self._guilds],
            "application": {"id": self.application_id, "flags": self.flags},
        }
        return ready, [self._joined(guild_id) for guild_id in self._guilds], self.flags

    def _joined(self, guild_id: str) -> Json:
        """A server as the gateway describes it to a bot."""
        visible = self._of(guild_id)
        return {
            **self._guilds[guild_id],
            "member_count": len(self._users),
            "members": [],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "large": False,
            "joined_at": shapes.timestamp(),
            "channels": [one for one in visible if one["type"] not in _THREADS],
            "threads": [one for one in visible if one["type"] in _THREADS and not one["thread_metadata"]["archived"]],
        }

    def _of(self, guild_id: str) -> list[Json]:
        return [
            one
            for one in self._channels.values()
            if one["guild_id"] == guild_id and self._permissions(one) & shapes.VIEW
        ]

    def _application(self) -> Json:
        return shapes.application(self.application_id, "Helper", self.bot, self.flags, self.interactions_endpoint)

    def _put(self, channel_id: str, author: Json, text: str, id: str = "", kind: int = 0) -> Json:
        message = shapes.message(id or snowflake(), channel_id, author, text.strip(), kind)
        message["mentions"] = self._mentioned(text)
        message["mention_roles"] = re.findall(r"<@&(\d+)>", text)
        self._messages[channel_id][message["id"]] = message
        channel = self._channels[channel_id]
        channel["last_message_id"] = message["id"]
        if channel["type"] in _THREADS:
            channel["thread_metadata"]["archived"] = False
            channel["message_count"] += 1
        return message

    def _mentioned(self, text: str) -> list[Json]:
        return [self._users[one] for one in re.findall(r"<@!?(\d+)>", text) if one in self._users]

    def _attach(self, message: Json, name: str, content: bytes, mimetype: str) -> None:
        file_id = snowflake()
        self._files[file_id] = content
        url = f"{self.url}/cdn/{file_id}/{name}?hm=signed"
        message["attachments"].append(
            {
                "id": file_id,
                "filename": name,
                "size": len(content),
                "content_type": mimetype,
                "url": url,
                "proxy_url": url,
            }
        )

    async def _start_thread(self, channel_id: str, message_id: str, name: str, owner: str, minutes: int) -> Json:
        if message_id in self._channels:
            raise Refusal(400, 160004, "A thread has already been created for this message")
        thread = await self._new_thread(message_id, self._channels[channel_id], name, owner, minutes)
        self._messages[channel_id][message_id]["flags"] |= 1 << 5
        starter = self._put(message_id, self._users[owner], "", kind=21)
        self._channels[message_id]["last_message_id"] = None
        await self._tell_message("MESSAGE_CREATE", starter)
        return thread

    async def _new_thread(self, id: str, parent: Json, name: str, owner: str, minutes: int) -> Json:
        thread = self._channels[id] = shapes.thread(id, parent, name, owner, minutes)
        self._messages[id] = {}
        await self.gateway.tell("THREAD_CREATE", {**thread, "newly_created": True})
        return thread

    async def _change(self, message: Json, body: Json) -> None:
        if "content" in body:
            message["content"] = (body["content"] or "").strip()
            message["edited_timestamp"] = shapes.timestamp()
        if "components" in body:
            message["components"] = _numbered(body["components"] or [])
        await self._tell_message("MESSAGE_UPDATE", message)

    def _live(self, message: Json) -> Json:
        """The message as it is now, where an interaction holds it as it was."""
        return self._messages[message["channel_id"]][message["id"]]

    def _button(self, channel_id: str, label: str) -> tuple[Json, Json]:
        for message in reversed(self.messages(channel_id)):
            for button in buttons_of(message):
                if label_of(button) == label:
                    return json.loads(json.dumps(message)), button
        raise AssertionError(f"there is no button {label!r} in {channel_id}")

    async def _tell_message(self, event: str, message: Json) -> None:
        guild_id = self._channels[message["channel_id"]]["guild_id"]
        if not self._permissions(self._channels[message["channel_id"]]) & shapes.VIEW:
            return
        author = {} if message.get("webhook_id") else {"member": {**shapes.member(message["author"], []), "user": None}}
        author.get("member", {}).pop("user", None)
        await self.gateway.tell(event, {**self._as_seen(message), "guild_id": guild_id, **author})

    def _as_seen(self, message: Json) -> Json:
        """A message as the bot may read it: without the intent, other people's words are empty."""
        is_for_bot = any(one["id"] == self.bot["id"] for one in message["mentions"])
        if self.flags & (HAS_CONTENT | 1 << 19) or message["author"]["id"] == self.bot["id"] or is_for_bot:
            return message
        return {**message, "content": "", "attachments": [], "embeds": [], "components": []}

    async def _read(self, request: web.Request) -> tuple[Json, list[tuple[str, str, bytes]]]:
        if request.content_type != "multipart/form-data":
            return await request.json(), []
        body: Json = {}
        files: dict[str, tuple[str, str, bytes]] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "payload_json":
                body = json.loads(await part.read())
            elif part.name is not None and (found := re.fullmatch(r"files\[(\d+)]", part.name)):
                mimetype = part.headers.get("Content-Type", "application/octet-stream")
                files[found[1]] = (part.filename or "", mimetype, bytes(await part.read()))
            else:
                raise Refusal(400, 50035, "Invalid Form Body", str(part.name))
        if {str(one["id"]) for one in body.get("attachments", [])} != set(files):
            raise Refusal(400, 50035, "Invalid Form Body", "attachments")
        return body, [files[number] for number in sorted(files, key=int)]


def _failure(fault: Fault) -> web.Response:
    if fault.status == 403:
        return web.json_response(shapes.error(50013, "Missing Permissions"), status=403)
    if fault.status != 429:
        return web.Response(status=fault.status, text="upstream connect error")
    body = {"message": "You are being rate limited.", "retry_after": fault.retry_after, "global": False, "code": 0}
    return web.json_response(body, status=429, headers={"Via": "1.1 google", "Retry-After": str(fault.retry_after)})


def _check_row(row: Json, path: str) -> list[str]:
    buttons = row.get("components") or []
    if row.get("type") != 1 or not 1 <= len(buttons) <= 5:
        raise Refusal(400, 50035, "Invalid Form Body", path)
    for button in buttons:
        emoji = (button.get("emoji") or {}).get("name")
        is_good = (
            button.get("type") == 2
            and button.get("style") in (1, 2, 3, 4)
            and 1 <= len(button.get("custom_id") or "") <= 100
            and len(button.get("label") or "") <= 80
            and (button.get("label") or emoji)
        )
        if not is_good:
            raise Refusal(400, 50035, "Invalid Form Body", f"{path}.components")
    return [button["custom_id"] for button in buttons]


def _numbered(rows: Sequence[Json]) -> list[Json]:
    """Components as Discord answers them: each with a number of its own."""
    number, found = 0, []
    for row in rows:
        number += 1
        numbered: Json = {"type": 1, "id": number, "components": []}
        for button in row["components"]:
            number += 1
            numbered["components"].append({**button, "id": number})
        found.append(numbered)
    return found


def buttons_of(message: Json) -> list[Json]:
    """The buttons of a message, row by row."""
    return [button for row in message["components"] for button in row["components"]]


def label_of(button: Json) -> str:
    """What a button says."""
    return str(button.get("label") or button["emoji"]["name"])
