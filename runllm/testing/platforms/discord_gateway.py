"""The gateway of the Discord that tests talk to: a WebSocket that counts, compresses, forgets and hangs up.

https://discord.com/developers/docs/events/gateway
"""

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from runllm.testing.platforms.discord_shapes import Json

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
BAD_TOKEN, NOT_AUTHENTICATED, TIMED_OUT, DISALLOWED_INTENTS = 4004, 4003, 4009, 4014

GUILDS, GUILD_MESSAGES, GUILD_REACTIONS, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 10, 1 << 15
_PRIVILEGED = {MESSAGE_CONTENT: 1 << 18 | 1 << 19}
"""Each privileged intent, and the flags of an application that has it."""

_NEEDS = {
    "GUILD_CREATE": GUILDS,
    "CHANNEL_CREATE": GUILDS,
    "CHANNEL_DELETE": GUILDS,
    "THREAD_CREATE": GUILDS,
    "THREAD_UPDATE": GUILDS,
    "THREAD_DELETE": GUILDS,
    "MESSAGE_CREATE": GUILD_MESSAGES,
    "MESSAGE_UPDATE": GUILD_MESSAGES,
    "MESSAGE_DELETE": GUILD_MESSAGES,
    "MESSAGE_DELETE_BULK": GUILD_MESSAGES,
    "MESSAGE_REACTION_ADD": GUILD_REACTIONS,
    "INTERACTION_CREATE": 0,
}


@dataclass
class Session:
    """One session of a bot: what it was sent, so that it can be resumed."""

    id: str
    intents: int
    sent: list[Json] = field(default_factory=list)
    socket: "Socket | None" = None

    @property
    def sequence(self) -> int:
        """The number of what was sent last."""
        return len(self.sent)


class Socket:
    """One connection, with its compression."""

    def __init__(self, socket: web.WebSocketResponse, *, compresses: bool) -> None:
        self.socket = socket
        self.heartbeats = 0
        self._zlib = zlib.compressobj() if compresses else None
        self._turn = asyncio.Lock()

    async def send(self, op: int, data: Any = None, event: str | None = None, sequence: int | None = None) -> None:
        """Sends one payload; nothing where the connection is over."""
        text = json.dumps({"op": op, "d": data, "s": sequence, "t": event})
        async with self._turn:
            if self.socket.closed:
                return
            if self._zlib is None:
                await self.socket.send_str(text)
            else:
                await self.socket.send_bytes(self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH))

    def cut(self) -> None:
        """Ends the connection without a word."""
        transport = self.socket._req.transport if self.socket._req is not None else None
        if transport is not None:
            transport.abort()


class Gateway:
    """Serves the WebSocket, and tells sessions what happens."""

    def __init__(self, token: str, hello: Callable[[], tuple[Json, list[Json], int]]) -> None:
        """
        Args:
            hello: The data of READY, that of each GUILD_CREATE, and the application's flags.
        """
        self.token = token
        self.url = ""
        self.is_down = False
        self.heartbeat_seconds = 41.25
        self.identified: list[Json] = []
        """Every IDENTIFY: Discord allows a thousand a day."""
        self.resumed = 0
        self._hello = hello
        self._numbers = count(1)
        self.sessions: dict[str, Session] = {}
        self._connected = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether a bot has a session and a connection."""
        return self._connected.is_set()

    async def until_connected(self, seconds: float = 20) -> None:
        """Waits until a bot has a session and a connection."""
        async with asyncio.timeout(seconds):
            await self._connected.wait()

    async def tell(self, event: str, data: Json) -> None:
        """Sends a dispatch to every session that wants it; those without a connection get it when they resume."""
        for session in list(self.sessions.values()):
            needs = _NEEDS[event]
            if needs == 0 or session.intents & needs:
                await self._dispatch(session, event, data)

    # Misbehaving

    def drop(self) -> None:
        """Cuts every connection; sessions stay, and can be resumed."""
        for session in self.sessions.values():
            if session.socket is not None:
                session.socket.cut()
                session.socket = None
        self._connected.clear()

    def lose(self) -> None:
        """Cuts every connection and forgets the sessions: what happens before the next IDENTIFY nobody is told."""
        self.drop()
        self.sessions.clear()

    async def ask_to_reconnect(self) -> None:
        """Sends opcode 7, as before a restart of a server of theirs."""
        self._connected.clear()
        for session in list(self.sessions.values()):
            if session.socket is not None:
                await session.socket.send(RECONNECT)

    async def invalidate(self) -> None:
        """Sends opcode 9: the session is over and cannot be resumed."""
        self._connected.clear()
        for session in list(self.sessions.values()):
            self.sessions.pop(session.id)
            if session.socket is not None:
                await session.socket.send(INVALID_SESSION, False)

    # Serving

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket; on the address of READY's `resume_gateway_url` too."""
        if self.is_down:
            return web.Response(status=503)
        if request.query.get("v") != "10" or request.query.get("encoding") != "json":
            return web.Response(status=400)
        plain = web.WebSocketResponse(compress=False, max_msg_size=4096)
        await plain.prepare(request)
        socket = Socket(plain, compresses=request.query.get("compress") == "zlib-stream")
        watching = asyncio.create_task(self._watch(socket))
        session: Session | None = None
        await socket.send(HELLO, {"heartbeat_interval": int(self.heartbeat_seconds * 1000)})
        try:
            async for frame in plain:
                if frame.type is not WSMsgType.TEXT:
                    continue
                said = json.loads(frame.data)
                match said["op"]:
                    case op if op == HEARTBEAT:
                        socket.heartbeats += 1
                        await socket.send(ACK)
                    case op if op == IDENTIFY and session is None:
                        session = await self._identify(socket, said["d"])
                    case op if op == RESUME and session is None:
                        session = await self._resume(socket, said["d"])
                    case _ if session is None:
                        await plain.close(code=NOT_AUTHENTICATED)
        finally:
            watching.cancel()
            if session is not None and session.socket is socket:
                session.socket = None
                self._connected.clear()
                if plain.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY):
                    self.sessions.pop(session.id, None)  # who says goodbye like that does not come back
        return plain

    async def _watch(self, socket: Socket) -> None:
        """Hangs up on clients that have died without saying so."""
        seen = -1
        while socket.heartbeats > seen:
            seen = socket.heartbeats
            await asyncio.sleep(self.heartbeat_seconds * 1.5)
        await socket.socket.close(code=TIMED_OUT)

    async def _identify(self, socket: Socket, data: Json) -> Session | None:
        ready, guilds, flags = self._hello()
        if data["token"] != self.token:
            await socket.socket.close(code=BAD_TOKEN)
            return None
        self.identified.append(data)
        for intent, needed in _PRIVILEGED.items():
            if data["intents"] & intent and not flags & needed:
                await socket.socket.close(code=DISALLOWED_INTENTS)
                return None
        session = Session(id=f"session{next(self._numbers)}", intents=data["intents"], socket=socket)
        self.sessions[session.id] = session
        own = {"session_id": session.id, "resume_gateway_url": f"{self.url}/resume"}
        await self._dispatch(session, "READY", {**ready, **own})
        for guild in guilds:
            await self._dispatch(session, "GUILD_CREATE", guild)
        self._connected.set()
        return session

    async def _resume(self, socket: Socket, data: Json) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None or data["token"] != self.token or data["seq"] > session.sequence:
            await socket.send(INVALID_SESSION, False)
            return None
        self.resumed += 1
        missed = session.sent[data["seq"] :]
        for one in missed:
            await socket.send(DISPATCH, one["d"], one["t"], one["s"])
        session.socket = socket
        await self._dispatch(session, "RESUMED", {"_trace": []})
        self._connected.set()
        return session

    async def _dispatch(self, session: Session, event: str, data: Json) -> None:
        frame = {"d": json.loads(json.dumps(data)), "t": event, "s": session.sequence + 1}
        session.sent.append(frame)
        if session.socket is not None:
            await session.socket.send(DISPATCH, frame["d"], event, frame["s"])
