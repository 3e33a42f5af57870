"""Slack on a port of this machine: a workspace with people in it, and the Web API of the app that is installed there.

    async with FakeSlack() as slack:
        slack.deliver_to("http://127.0.0.1:8080")     # where the app takes events
        ts = await slack.say("C1", "U1", "How do I log in?")
        await slack.click("C1", ts, "U1", "Resolved")
        assert slack.messages("C1", ts)[-1]["text"] == "..."

It refuses what Slack refuses: unknown tokens, missing scopes, unknown arguments, channels that are archived or that the
app is not in, blocks that are not valid, texts that are too long. It signs what it delivers, tells the app of the app's
own messages, and delivers again what was not answered with 2xx. What it shall do wrong it is told with `next`.
"""

import asyncio
import base64
import copy
import hashlib
import hmac
import itertools
import json
import secrets
import socket
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from runllm.testing.platforms.file_kinds import kind_of
from runllm.testing.platforms.slack_blocks import problems, too_long

Json = dict[str, Any]

ALL_SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,chat:write.customize,emoji:read,files:read,files:write,"
    "groups:history,im:history,mpim:history,reactions:read,users:read"
)

ARGUMENTS: dict[str, tuple[str, str]] = {
    # method -> arguments that it takes, and the scope that it needs
    "apps.connections.open": ("", ""),
    "auth.test": ("", ""),
    "chat.delete": ("as_user channel ts", "chat:write"),
    "chat.postEphemeral": (
        "as_user attachments blocks channel icon_emoji icon_url link_names markdown_text metadata parse text thread_ts "
        "user username",
        "chat:write",
    ),
    "chat.postMessage": (
        "as_user attachments blocks channel icon_emoji icon_url link_names markdown_text metadata mrkdwn parse "
        "reply_broadcast text thread_ts unfurl_links unfurl_media username",
        "chat:write",
    ),
    "chat.update": (
        "as_user attachments blocks channel file_ids link_names markdown_text metadata parse reply_broadcast text ts",
        "chat:write",
    ),
    "conversations.history": ("channel cursor include_all_metadata inclusive latest limit oldest", "channels:history"),
    "conversations.replies": (
        "channel cursor include_all_metadata inclusive latest limit oldest ts",
        "channels:history",
    ),
    "emoji.list": ("include_categories", "emoji:read"),
    "files.completeUploadExternal": ("blocks channel_id channels files initial_comment thread_ts", "files:write"),
    "files.delete": ("file", "files:write"),
    "files.getUploadURLExternal": ("alt_txt filename length snippet_type", "files:write"),
    "files.info": ("cursor file limit", "files:read"),
    "oauth.v2.access": ("client_id client_secret code grant_type redirect_uri refresh_token", ""),
    "users.info": ("include_locale user", "users:read"),
}


class Refused(Exception):
    """Slack answers `ok: false`."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer = {"ok": False, "error": error, **more}


@dataclass
class Grant:
    """What a token is good for."""

    team_id: str
    scopes: list[str]
    expires_at: float = float("inf")
    revoked: str = ""
    """The error that Slack answers since it took the token back."""


@dataclass
class Trouble:
    """What goes wrong with one call.

    Attributes:
        status, error: What is answered instead, before anything is done.
        retry_after: With status 429.
        lose_reply: The call is carried out, and the connection breaks without an answer.
        wait: The answer comes once this is set.
    """

    status: int = 200
    error: str = ""
    retry_after: int = 1
    lose_reply: bool = False
    wait: asyncio.Event | None = None


@dataclass
class Channel:
    """A channel, or a direct conversation with the app (`im`)."""

    id: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    messages: list[Json] = field(default_factory=list)
    team_id: str = "T1"
    name: str = ""


class FakeSlack:
    """One Slack, with one app, and the workspace `T1` where the app is installed with the token `xoxb-1`."""

    signing_secret = "8f742231b10e8888abcd99yyyzzz85a5"
    client_id = "111.222"
    client_secret = "client-secret"
    app_token = "xapp-1"
    bot_user_id = "UBOT"
    bot_id = "BBOT"

    def __init__(self, at: socket.socket | None = None) -> None:
        """
        Args:
            at: Where it listens, bound already; a free port of its own where it is None.
        """
        self._at = at
        self.url = ""
        self.judged_url = ""
        """Where adapters are to call it: through the judge of the specification, in tests that have one."""
        self.grants: dict[str, Grant] = {"xoxb-1": Grant("T1", ALL_SCOPES.split(","))}
        self.refreshes: dict[str, str] = {}
        """Refresh token -> team. One that was used is good for `grace` seconds more, as Slack has it."""
        self.grace = 60.0
        self.spent: dict[str, float] = {}
        """Until when a used refresh token is good."""
        self.teams = {"T1": "Acme"}
        self.users = {"U1": "Ada Lovelace", "U2": "Grace Hopper", "U3": "Linus", self.bot_user_id: "Support"}
        everybody = set(self.users)
        self.channels = {
            "C1": Channel("C1", members=set(everybody)),
            "C2": Channel("C2", members=set(everybody)),
            "D1": Channel("D1", "im", {"U1", self.bot_user_id}),
        }
        self.files: dict[str, Json] = {}
        self.contents: dict[str, bytes] = {}
        self.emoji = {"acme": "https://emoji.example/acme.png", "ticket2": "alias:ticket"}
        """The workspace's own: addresses of pictures, and other names of emoji that are there."""
        self.ephemerals: list[Json] = []
        self.replaced: list[Json] = []
        """What was sent to the addresses that come with clicks."""
        self.calls: list[tuple[str, Json]] = []
        self.deliveries: list[tuple[Json, int]] = []
        """What was delivered, and the status it was answered with; 0 for a connection that failed."""
        self.acks: list[float] = []
        """How long each delivery took to be answered, in seconds."""
        self.page_limit = 200
        self.repeats = 1
        self.held: list[tuple[Json, str]] | None = None
        """Events that are held back, each with its workspace, once this is a list: see `release`."""
        """How often each event is delivered, each time with another event id."""
        self.tells_app = True
        """Whether the app is told of what happens at all."""
        self.is_away = False
        """Every call is answered 503."""
        self._troubles: dict[str, deque[Trouble]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._codes: dict[str, tuple[str, bool]] = {}
        self._target = ""
        self._http: aiohttp.ClientSession | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._sockets: list[web.WebSocketResponse] = []
        self._is_connected = asyncio.Event()
        self._acked: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "FakeSlack":
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._unless_away])
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._call),
                web.post("/upload/{file}", self._upload),
                web.get("/files/{file}", self._download),
                web.post("/actions/{number}", self._respond),
                web.get("/oauth/v2/authorize", self._authorize),
                web.get("/socket", self._socket),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0) if self._at is None else web.SockSite(self._runner, self._at)
        await site.start()
        self.url = self.judged_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for connection in list(self._sockets):
            await connection.close()
        assert self._http is not None
        assert self._runner is not None
        await self._http.close()
        await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The base of the Web API."""
        return f"{self.url}/api/"

    def deliver_to(self, url: str) -> None:
        """Where the app takes events and clicks: the gateway's address."""
        self._target = url.rstrip("/")

    def next(self, method: str, times: int = 1, **trouble: Any) -> None:
        """Has the next `times` calls of a method fail, as a `Trouble` says."""
        self._troubles[method].extend(Trouble(**trouble) for _ in range(times))

    @property
    def planned(self) -> int:
        """How many calls are still to fail."""
        return sum(len(troubles) for troubles in self._troubles.values())

    def calm(self) -> None:
        """From now on no call fails."""
        self._troubles.clear()
        self.is_away = False

    def workspace(self, team_id: str, name: str = "Acme") -> str:
        """A further workspace where the app is installed; returns its token."""
        token = f"xoxb-{team_id}"
        self.teams[team_id] = name
        self.grants.setdefault(token, Grant(team_id, ALL_SCOPES.split(",")))
        return token

    def channel(self, team_id: str, id: str, name: str = "", kind: str = "channel") -> Channel:
        """A channel of a workspace, with the app in it; made on first sight."""
        if id not in self.channels:
            self.channels[id] = Channel(id, kind, {self.bot_user_id}, name=name, team_id=team_id)
        return self.channels[id]

    # What people do

    async def say(
        self,
        channel: str,
        user: str,
        text: str,
        thread: str | None = None,
        *,
        files: list[tuple[str, bytes]] | None = None,
        bot_id: str | None = None,
        quietly: bool = False,
        **more: Any,
    ) -> str:
        """Somebody writes a message; returns its timestamp. `quietly`: before the app was there to be told."""
        said: Json = {"type": "message", "user": user, "text": text, "ts": self._ts(), **more}
        if bot_id:
            said |= {"subtype": "bot_message", "bot_id": bot_id, "username": user}
            del said["user"]
        if thread:
            said["thread_ts"] = thread
        if files:
            said |= {"subtype": "file_share", "files": [self._new_file(name, data) for name, data in files]}
        self.channels[channel].messages.append(said)
        if not quietly:
            await self._tell_of(channel, said)
        return str(said["ts"])

    async def edit(self, channel: str, ts: str, text: str) -> None:
        """Somebody changes what they wrote."""
        said = self._message(channel, ts)
        before = dict(said)
        said |= {"text": text, "edited": {"user": said.get("user", ""), "ts": self._ts()}}
        await self._tell(self._changed(channel, said, before), self.channels[channel].team_id)

    async def unfurl(self, channel: str, ts: str) -> None:
        """Slack shows what is behind a link: an event like an edit, with the same text."""
        said = self._message(channel, ts)
        before = dict(said)
        said["attachments"] = [{"title": "A page", "fallback": "A page"}]
        await self._tell(self._changed(channel, said, before), self.channels[channel].team_id)

    async def delete(self, channel: str, ts: str) -> None:
        """Somebody deletes what they wrote."""
        before = self._message(channel, ts)
        where = self.channels[channel].messages
        event: Json
        if any(one.get("thread_ts") == ts and one["ts"] != ts for one in where):
            now = {
                "type": "message",
                "subtype": "tombstone",
                "ts": ts,
                "thread_ts": ts,
                "text": "This message was deleted.",
            }
            where[where.index(before)] = now
            event = self._changed(channel, now, before)
        else:
            where.remove(before)
            event = {
                "type": "message",
                "subtype": "message_deleted",
                "deleted_ts": ts,
                "previous_message": self._shown(before),
                "ts": self._ts(),
            }
        await self._tell({**event, **self._place(channel)}, self.channels[channel].team_id)

    async def react(self, channel: str, ts: str, user: str, emoji: str) -> None:
        """Somebody puts an emoji on a message."""
        item = {"type": "message", "channel": channel, "ts": ts}
        event = {"type": "reaction_added", "user": user, "reaction": emoji, "item": item, "event_ts": self._ts()}
        await self._tell(event, self.channels[channel].team_id)

    async def click(self, channel: str, ts: str, user: str, label: str, *, repeats: int = 1) -> list[int]:
        """Somebody clicks the button with that text; returns what the app answered."""
        payload = self.click_of(channel, ts, user, label)
        return [await self.deliver(payload) for _ in range(repeats)]

    def click_of(self, channel: str, ts: str, user: str, label: str) -> Json:
        """A click as it is delivered. Some people are slow: it may arrive when the button is gone."""
        shown = next((one for one in self.ephemerals if one["ts"] == ts), None)
        message = shown or self._message(channel, ts)
        button, block_id = self._button(message, label)
        container: Json = {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel,
            "is_ephemeral": shown is not None,
        }
        if message.get("thread_ts"):
            container["thread_ts"] = message["thread_ts"]
        team_id = self.channels[channel].team_id
        payload: Json = {
            "type": "block_actions",
            "api_app_id": "A1",
            "user": {"id": user, "username": self.users[user], "team_id": team_id},
            "team": {"id": team_id, "domain": self.teams[team_id].lower()},
            "enterprise": None,
            "is_enterprise_install": False,
            "container": container,
            "channel": {"id": channel, "name": channel.lower()},
            "trigger_id": f"{next(self._numbers)}.1",
            "response_url": f"{self.url}/actions/{next(self._numbers)}",
            "actions": [{**button, "block_id": block_id, "action_ts": self._ts()}],
        }
        if shown is None:
            payload["message"] = copy.deepcopy(self._shown(message))
        return payload

    async def uninstall(self, token: str = "xoxb-1") -> None:
        """Somebody removes the app from the workspace."""
        self.grants[token].revoked = "account_inactive"
        await self._tell({"type": "app_uninstalled"}, self.grants[token].team_id)
        await self._tell({"type": "tokens_revoked", "tokens": {"bot": [self.bot_user_id]}}, self.grants[token].team_id)

    # What can be seen

    def messages(self, channel: str, thread: str | None = None) -> list[Json]:
        """The messages of a channel, or of a thread with the one it hangs on, oldest first."""
        said = self.channels[channel].messages
        return said if thread is None else [one for one in said if thread in (one["ts"], one.get("thread_ts"))]

    def by_app(self, channel: str, thread: str | None = None) -> list[Json]:
        """What the app wrote there."""
        return [one for one in self.messages(channel, thread) if one.get("bot_id") == self.bot_id]

    def buttons(self, message: Json) -> list[str]:
        """The texts of the buttons of a message."""
        return [
            b["text"]["text"] for block in message.get("blocks", ()) for b in block.get("elements", ()) if "value" in b
        ]

    def words(self, message: Json) -> str:
        """What a message shows, without buttons."""
        return "\n".join(_words(block) for block in message.get("blocks") or [{"text": message.get("text", "")}])

    async def release(self, *order: int) -> None:
        """Delivers the events that were held back, one after the other, in that order; some twice, some never."""
        held, self.held = self.held or [], None
        for number in order:
            await self._tell(*held[number])
            await self.delivered()

    async def delivered(self) -> None:
        """Waits until the app has answered all that it was told."""
        while self._jobs:
            await asyncio.wait(list(self._jobs))

    async def connected(self) -> None:
        """Waits until the app listens through Socket Mode."""
        async with asyncio.timeout(20):
            await self._is_connected.wait()

    async def hang_up(self) -> None:
        """Slack ends the connection of Socket Mode, as it does every few hours."""
        self._is_connected.clear()
        for connection in list(self._sockets):
            await connection.send_json({"type": "disconnect", "reason": "refresh_requested"})
            await connection.close()

    # Deliveries

    async def deliver(self, body: Json, *, headers: dict[str, str] | None = None, path: str = "") -> int:
        """Delivers one body as Slack does, by HTTP or through Socket Mode, and returns the status of the answer."""
        if self._sockets:
            return await self._through_socket(body)
        is_click = body.get("type") == "block_actions"
        data = urlencode({"payload": json.dumps(body)}) if is_click else json.dumps(body)
        kind = "application/x-www-form-urlencoded" if is_click else "application/json"
        where = path or ("/slack/interactivity" if is_click else "/slack/events")
        signed = {**self.signed(data), "Content-Type": kind, **(headers or {})}
        assert self._http is not None
        begun = time.perf_counter()
        try:
            async with self._http.post(f"{self._target}{where}", data=data, headers=signed) as answer:
                await answer.read()
                status = answer.status
        except aiohttp.ClientError:
            status = 0
        self.acks.append(time.perf_counter() - begun)
        self.deliveries.append((body, status))
        return status

    def signed(self, data: str, at: float | None = None) -> dict[str, str]:
        """The headers that prove that a body comes from Slack."""
        stamp = str(int(time.time() if at is None else at))
        mac = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:{data}".encode(), hashlib.sha256)
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac.hexdigest()}"}

    def envelope(self, event: Json, team_id: str = "T1") -> Json:
        """An event as the Events API delivers it."""
        number = next(self._numbers)
        return {
            "type": "event_callback",
            "token": "verification-token",
            "team_id": team_id,
            "api_app_id": "A1",
            "event": event,
            "event_id": f"Ev{number}",
            "event_time": int(time.time()),
            "authorizations": [
                {"enterprise_id": None, "team_id": team_id, "user_id": self.bot_user_id, "is_bot": True}
            ],
            "is_ext_shared_channel": False,
        }

    async def _tell_of(self, channel: str, said: Json) -> None:
        """A message is an event of its own, and a mention a second one."""
        team_id = self.channels[channel].team_id
        await self._tell({**said, **self._place(channel), "event_ts": said["ts"]}, team_id)
        is_direct = self.channels[channel].kind == "im"
        if f"<@{self.bot_user_id}>" in str(said.get("text")) and not is_direct and not said.get("bot_id"):
            mention = {**said, "type": "app_mention", "channel": channel, "event_ts": said["ts"]}
            mention.pop("subtype", None)
            await self._tell(mention, team_id)

    async def _tell(self, event: Json, team_id: str) -> None:
        if not self.tells_app or not (self._target or self._sockets):
            return
        if self.held is not None:
            self.held.append((event, team_id))
            return
        for _ in range(self.repeats):
            job = asyncio.create_task(self._deliver_until_taken(self.envelope(event, team_id)))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
        await asyncio.sleep(0)

    async def _deliver_until_taken(self, body: Json) -> None:
        """Slack tries three times more: at once, after a minute, after five. Here the minutes are short."""
        for number, pause in enumerate((0.0, 0.05, 0.5, 1.0)):
            await asyncio.sleep(pause)
            retry = {"x-slack-retry-num": str(number), "x-slack-retry-reason": "http_error"} if number else {}
            if 200 <= await self.deliver(body, headers=retry) < 300:
                return

    async def _through_socket(self, body: Json) -> int:
        envelope_id = secrets.token_hex(8)
        kind = "interactive" if body.get("type") == "block_actions" else "events_api"
        begun = time.perf_counter()
        await self._sockets[-1].send_json(
            {
                "type": kind,
                "envelope_id": envelope_id,
                "payload": body,
                "accepts_response_payload": kind == "interactive",
            }
        )
        status = 0
        for _ in range(600):
            if envelope_id in self._acked:
                status = 200
                break
            await asyncio.sleep(0.005)
        self.acks.append(time.perf_counter() - begun)
        self.deliveries.append((body, status))
        return status

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}})
        self._sockets.append(socket)
        self._is_connected.set()
        try:
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT and frame.data.startswith("{"):
                    self._acked.add(json.loads(frame.data).get("envelope_id", ""))
        finally:
            self._sockets.remove(socket)
        return socket

    # The Web API

    @web.middleware
    async def _unless_away(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.is_away and request.path != "/socket":
            return web.Response(status=503, text="upstream connect error")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await self._arguments(request)
        if method == "oauth.v2.access" and request.headers.get("Authorization", "").startswith("Basic "):
            arguments["client_id"] = request.headers["Authorization"]  # either way is documented
        logged = {name: value for name, value in arguments.items() if name != "token"}
        self.calls.append((method, logged))
        trouble = self._troubles[method].popleft() if self._troubles[method] else Trouble()
        if trouble.status == 429:
            headers = {"Retry-After": str(trouble.retry_after)}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        if trouble.status >= 500:
            return web.json_response({"ok": False, "error": "internal_error"}, status=trouble.status)
        headers = {}
        try:
            if trouble.error:
                raise Refused(trouble.error)
            grant = self._grant(method, request, arguments)
            if grant is not None:
                headers["X-OAuth-Scopes"] = ",".join(grant.scopes)
            self._check_arguments(method, arguments)
            perform: Callable[..., Awaitable[Json]] = getattr(self, "_" + method.replace(".", "_"))
            answer = {"ok": True, **await perform(arguments, grant)}
        except Refused as refused:
            answer = refused.answer
        if trouble.lose_reply:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if trouble.wait is not None:
            await trouble.wait.wait()
        return web.json_response(answer, headers=headers)

    async def _arguments(self, request: web.Request) -> Json:
        found: Json = dict(request.query)
        if request.method == "GET" or not request.can_read_body:
            return found
        if request.content_type == "application/json":
            return {**found, **await request.json()}
        return {**found, **dict(await request.post())}

    def _grant(self, method: str, request: web.Request, arguments: Json) -> Grant | None:
        if method not in ARGUMENTS:
            raise Refused("unknown_method", req_method=method)
        if method == "oauth.v2.access":
            return None
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(arguments.get("token", ""))
        if method == "apps.connections.open":
            if token != self.app_token:
                raise Refused("not_allowed_token_type" if token.startswith("xoxb") else "invalid_auth")
            return None
        if not token:
            raise Refused("not_authed")
        grant = self.grants.get(token)
        if grant is None:
            raise Refused("invalid_auth")
        if grant.revoked:
            raise Refused(grant.revoked)
        if grant.expires_at <= time.time():
            raise Refused("token_expired")
        needed = ARGUMENTS[method][1]
        if needed and needed not in grant.scopes:
            raise Refused("missing_scope", needed=needed, provided=",".join(grant.scopes))
        return grant

    def _check_arguments(self, method: str, arguments: Json) -> None:
        unknown = set(arguments) - {"token", *ARGUMENTS[method][0].split()}
        if unknown:
            raise Refused("invalid_arg_name", response_metadata={"messages": [f"invalid arg: {n}" for n in unknown]})
        for name in ("ts", "thread_ts"):
            if name in arguments and (not isinstance(arguments[name], str) or "." not in arguments[name]):
                raise Refused("invalid_ts_latest" if name == "ts" else "invalid_thread_ts")

    async def _emoji_list(self, arguments: Json, grant: Grant) -> Json:
        return {"ok": True, "emoji": dict(self.emoji), "cache_ts": self._ts()}

    async def _auth_test(self, arguments: Json, grant: Grant) -> Json:
        team = grant.team_id
        names = {"url": f"https://{self.teams[team].lower()}.slack.com/", "team": self.teams[team], "user": "support"}
        return {
            **names,
            "team_id": team,
            "user_id": self.bot_user_id,
            "bot_id": self.bot_id,
            "is_enterprise_install": False,
        }

    async def _users_info(self, arguments: Json, grant: Grant) -> Json:
        user = str(arguments.get("user"))
        if user not in self.users:
            raise Refused("user_not_found")
        profile = {"display_name": "", "real_name": self.users[user]}
        return {"user": {"id": user, "team_id": grant.team_id, "name": self.users[user].lower(), "profile": profile}}

    async def _chat_postMessage(self, arguments: Json, grant: Grant) -> Json:
        channel = self._writable(arguments, grant)
        self._check_message(arguments, grant)
        thread = arguments.get("thread_ts")
        if thread and not any(one["ts"] == thread for one in channel.messages):
            raise Refused("cannot_reply_to_message")
        said = self._by_app(arguments)
        if thread:
            said["thread_ts"] = thread
        channel.messages.append(said)
        await self._tell_of(channel.id, said)
        return {"channel": channel.id, "ts": said["ts"], "message": self._shown(said)}

    async def _chat_postEphemeral(self, arguments: Json, grant: Grant) -> Json:
        channel = self._writable(arguments, grant)
        self._check_message(arguments, grant)
        if arguments.get("user") not in channel.members:
            raise Refused("user_not_in_channel")
        said = {**self._by_app(arguments), "to": arguments["user"], "channel": channel.id}
        if arguments.get("thread_ts"):
            said["thread_ts"] = arguments["thread_ts"]
        self.ephemerals.append(said)
        return {"message_ts": said["ts"]}

    async def _chat_update(self, arguments: Json, grant: Grant) -> Json:
        channel = self._writable(arguments, grant)
        said = self._own(channel, arguments, "cant_update_message")
        self._check_message(arguments, grant)
        before = dict(said)
        said["text"] = arguments.get("text", said["text"])
        said["edited"] = {"user": self.bot_user_id, "ts": self._ts()}
        for name in ("blocks", "metadata"):
            if name in arguments:
                said[name] = _parsed(arguments[name])
        await self._tell(self._changed(channel.id, said, before), channel.team_id)
        return {"channel": channel.id, "ts": said["ts"], "text": said["text"], "message": self._shown(said)}

    async def _chat_delete(self, arguments: Json, grant: Grant) -> Json:
        channel = self._writable(arguments, grant)
        said = self._own(channel, arguments, "cant_delete_message")
        channel.messages.remove(said)
        return {"channel": channel.id, "ts": said["ts"]}

    async def _conversations_history(self, arguments: Json, grant: Grant) -> Json:
        channel = self._readable(arguments, grant)
        top = [one for one in channel.messages if one.get("thread_ts") in (None, one["ts"])]
        return self._page(list(reversed(top)), arguments)

    async def _conversations_replies(self, arguments: Json, grant: Grant) -> Json:
        channel = self._readable(arguments, grant)
        ts = str(arguments.get("ts"))
        named = next((one for one in channel.messages if one["ts"] == ts), None)
        if named is None:
            raise Refused("thread_not_found")
        if named.get("thread_ts") not in (None, ts):
            return self._page([named], {**arguments, "oldest": "0", "latest": ""})  # of a reply: the reply alone
        return self._page(self.messages(channel.id, ts), arguments, always=ts)

    def _page(self, said: list[Json], arguments: Json, always: str = "") -> Json:
        oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9999999999")
        is_inclusive = str(arguments.get("inclusive", "")).lower() in ("1", "true")
        found = [
            one
            for one in said
            if one["ts"] == always
            or float(oldest) < float(one["ts"]) < float(latest)
            or (is_inclusive and one["ts"] in (oldest, latest))
        ]
        start = int(str(arguments.get("cursor") or "0").removeprefix("page-"))
        limit = min(int(arguments.get("limit") or 100), self.page_limit)
        page, more = found[start : start + limit], len(found) > start + limit
        with_metadata = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
        return {
            "messages": [self._shown(one, with_metadata=with_metadata) for one in page],
            "has_more": more,
            "response_metadata": {"next_cursor": f"page-{start + limit}" if more else ""},
        }

    async def _files_info(self, arguments: Json, grant: Grant) -> Json:
        file = self.files.get(str(arguments.get("file")))
        if file is None:
            raise Refused("file_not_found")
        return {"file": file}

    async def _files_delete(self, arguments: Json, grant: Grant) -> Json:
        number = str(arguments.get("file"))
        if self.files.pop(number, None) is None:
            raise Refused("file_not_found")
        for channel in self.channels.values():
            channel.messages[:] = [m for m in channel.messages if [f["id"] for f in m.get("files", ())] != [number]]
        return {}

    async def _files_getUploadURLExternal(self, arguments: Json, grant: Grant) -> Json:
        if not arguments.get("filename") or int(arguments.get("length") or 0) <= 0:
            raise Refused("invalid_arguments")
        file = self._new_file(str(arguments["filename"]), b"")
        file["expected"] = int(arguments["length"])
        return {"upload_url": f"{self.url}/upload/{file['id']}", "file_id": file["id"]}

    async def _files_completeUploadExternal(self, arguments: Json, grant: Grant) -> Json:
        wanted = _parsed(arguments.get("files"))
        for one in wanted:
            if one["id"] not in self.files:
                raise Refused("file_not_found")
            if len(self.contents[one["id"]]) != self.files[one["id"]].get("expected"):
                raise Refused("file_update_failed")
            self.files[one["id"]]["title"] = one.get("title", "")
        found = [self.files[one["id"]] for one in wanted]
        if arguments.get("channel_id"):
            channel = self._writable({"channel": arguments["channel_id"]}, grant)
            said = {**self._by_app({"text": ""}), "subtype": "file_share", "files": found, "user": self.bot_user_id}
            if arguments.get("thread_ts"):
                said["thread_ts"] = arguments["thread_ts"]
            channel.messages.append(said)
            await self._tell_of(channel.id, said)
        return {"files": found}

    async def _oauth_v2_access(self, arguments: Json, grant: Grant | None) -> Json:
        if arguments.get("client_id", "").startswith("Basic "):
            arguments["client_id"], _, arguments["client_secret"] = (
                base64.b64decode(arguments["client_id"].removeprefix("Basic ")).decode().partition(":")
            )
        if arguments.get("client_id") != self.client_id:
            raise Refused("invalid_client_id")
        if arguments.get("client_secret") != self.client_secret:
            raise Refused("bad_client_secret")
        if arguments.get("grant_type") == "refresh_token":
            refresh = str(arguments.get("refresh_token"))
            if refresh not in self.refreshes or self.spent.get(refresh, float("inf")) <= time.time():
                raise Refused("invalid_refresh_token")
            self.spent.setdefault(refresh, time.time() + self.grace)
            return self._granted(self.refreshes[refresh], rotates=True)
        team, rotates = self._codes.pop(str(arguments.get("code")), ("", False))
        if not team:
            raise Refused("invalid_code")
        return self._granted(team, rotates=rotates)

    async def _apps_connections_open(self, arguments: Json, grant: Grant | None) -> Json:
        return {"url": f"{self.url.replace('http', 'ws', 1)}/socket"}

    # OAuth

    def code_for(self, team_id: str, name: str = "Beta", *, rotates: bool = False) -> str:
        """The code that Slack gives the browser of somebody who installs the app in a workspace."""
        self.teams.setdefault(team_id, name)
        code = secrets.token_hex(8)
        self._codes[code] = (team_id, rotates)
        return code

    async def _authorize(self, request: web.Request) -> web.Response:
        """The page where people agree. Everybody agrees at once, to `T1`."""
        code = self.code_for("T1")
        query = urlencode({"code": code, "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{query}")

    def _granted(self, team_id: str, *, rotates: bool) -> Json:
        token, refresh = f"xoxb-{secrets.token_hex(8)}", f"xoxe-{secrets.token_hex(8)}"
        lives = 43_200 if rotates else 0
        self.grants[token] = Grant(team_id, ALL_SCOPES.split(","), time.time() + lives if lives else float("inf"))
        answer: Json = {
            "access_token": token,
            "token_type": "bot",
            "scope": ALL_SCOPES,
            "bot_user_id": self.bot_user_id,
            "app_id": "A1",
            "team": {"id": team_id, "name": self.teams[team_id]},
            "enterprise": None,
            "is_enterprise_install": False,
            "authed_user": {"id": "U1"},
        }
        if rotates:
            self.refreshes[refresh] = team_id
            ending = [one for one in self.grants.values() if one.team_id == team_id and one.expires_at != float("inf")]
            for one in sorted(ending, key=lambda one: one.expires_at)[:-2]:  # no more than two are good at a time
                one.revoked = one.revoked or "token_revoked"
            answer |= {"refresh_token": refresh, "expires_in": lives}
        return answer

    # Files, and the addresses that come with clicks

    async def _upload(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization"):
            return web.Response(status=400, text="no token here: the address is secret enough")
        self.contents[request.match_info["file"]] = await request.read()
        return web.Response(text="OK")

    async def _download(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.grants or self.grants[token].revoked:
            raise web.HTTPFound(f"{self.url}/signin")
        return web.Response(body=self.contents[request.match_info["file"]])

    async def _respond(self, request: web.Request) -> web.Response:
        self.replaced.append(await request.json())
        return web.json_response({"ok": True})

    def _new_file(self, name: str, data: bytes) -> Json:
        number = f"F{next(self._numbers)}"
        address = f"{self.url}/files/{number}"
        self.contents[number] = data
        self.files[number] = {
            "id": number,
            "name": name,
            "title": name,
            "mimetype": kind_of(name, "text/plain"),
            "size": len(data),
            "url_private": address,
            "url_private_download": address,
        }
        return self.files[number]

    # What is written and shown

    def _ts(self) -> str:
        return f"{time.time():.0f}.{next(self._numbers):06d}"

    def _place(self, channel: str) -> Json:
        return {"channel": channel, "channel_type": self.channels[channel].kind}

    def _changed(self, channel: str, now: Json, before: Json) -> Json:
        ts = self._ts()
        event = {"type": "message", "subtype": "message_changed", "hidden": True, "ts": ts, "event_ts": ts}
        return {**event, **self._place(channel), "message": self._shown(now), "previous_message": self._shown(before)}

    def _by_app(self, arguments: Json) -> Json:
        said: Json = {"type": "message", "bot_id": self.bot_id, "app_id": "A1", "text": arguments.get("text", "")}
        said["ts"] = self._ts()
        if arguments.get("username"):
            said |= {"subtype": "bot_message", "username": arguments["username"]}
        else:
            said["user"] = self.bot_user_id
        for name in ("blocks", "metadata"):
            if name in arguments:
                said[name] = _parsed(arguments[name])
        return said

    def _shown(self, said: Json, *, with_metadata: bool = False) -> Json:
        shown = {name: value for name, value in said.items() if name != "metadata" or with_metadata}
        if "metadata" in said and not with_metadata:
            shown["metadata"] = {"event_type": said["metadata"]["event_type"]}
        for where in self.channels.values():
            if said in where.messages:
                replies = [one for one in where.messages if one.get("thread_ts") == said["ts"] and one is not said]
                if replies:
                    shown |= {"thread_ts": said["ts"], "reply_count": len(replies), "latest_reply": replies[-1]["ts"]}
        return shown

    def _message(self, channel: str, ts: str) -> Json:
        return next(one for one in self.channels[channel].messages if one["ts"] == ts)

    def _button(self, message: Json, label: str) -> tuple[Json, str]:
        for block in message.get("blocks", ()):
            for element in block.get("elements", ()):
                if element.get("type") == "button" and label in (element["text"]["text"], element.get("value")):
                    return element, block.get("block_id", "")
        raise AssertionError(f"there is no button {label!r}, only {self.buttons(message)}")

    def _readable(self, arguments: Json, grant: Grant) -> Channel:
        channel = self.channels.get(str(arguments.get("channel")))
        if channel is None or channel.team_id != grant.team_id:
            raise Refused("channel_not_found")
        if self.bot_user_id not in channel.members:
            raise Refused("not_in_channel")
        return channel

    def _writable(self, arguments: Json, grant: Grant) -> Channel:
        channel = self._readable(arguments, grant)
        if channel.is_archived:
            raise Refused("is_archived")
        return channel

    def _own(self, channel: Channel, arguments: Json, error: str) -> Json:
        said = next((one for one in channel.messages if one["ts"] == arguments.get("ts")), None)
        if said is None:
            raise Refused("message_not_found")
        if said.get("bot_id") != self.bot_id:
            raise Refused(error)
        return said

    def _check_message(self, arguments: Json, grant: Grant) -> None:
        text, blocks = str(arguments.get("text") or ""), _parsed(arguments.get("blocks"))
        if not text and not blocks and not arguments.get("attachments"):
            raise Refused("no_text")
        if len(text) > 40_000:
            raise Refused("msg_too_long")
        if blocks is not None and (wrong := problems(blocks)):
            raise Refused("invalid_blocks", response_metadata={"messages": [f"[ERROR] {one}" for one in wrong]})
        if blocks and too_long(blocks):
            raise Refused("msg_blocks_too_long")
        if arguments.get("username") and "chat:write.customize" not in grant.scopes:
            raise Refused("missing_scope", needed="chat:write.customize", provided=",".join(grant.scopes))
        metadata = _parsed(arguments.get("metadata"))
        if metadata is not None and not (
            isinstance(metadata, dict)
            and isinstance(metadata.get("event_type"), str)
            and isinstance(metadata.get("event_payload"), dict)
        ):
            raise Refused("invalid_metadata_format")


def _parsed(value: Any) -> Any:
    """Blocks and metadata may come as JSON in a form."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise Refused("invalid_blocks_format") from None


def _words(block: Json) -> str:
    if block.get("type") in ("context",):
        return " ".join(_words(element) for element in block["elements"])
    text = block.get("text", "")
    return str(text.get("text", "")) if isinstance(text, dict) else str(text)
