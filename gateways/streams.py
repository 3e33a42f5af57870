"""Streams of server-sent events. Durable events come from the store in order, the rest from the hub."""

import asyncio
import json
import logging
from typing import Any

from aiohttp import web

from gateways.hub import Delta, Hub, Poke, Stage, Subscription, units
from gateways.refusals import RefusedError
from gateways.shown import shown_after
from store import messages
from store.engine import Store

log = logging.getLogger(__name__)

HEARTBEAT = 15.0
LOOK_EVERY = 1.0
_LIFETIME = 3600.0
_WRITE_PATIENCE = 20.0
_PAGE = 100
_KEYS_A_QUERY = 500

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class Stream:
    """One client's stream of one surface."""

    def __init__(self, store: Store, hub: Hub, surface_key: str, user: str | None, after: int) -> None:
        self._store = store
        self._hub = hub
        self._key = surface_key
        self._user = user
        self._seq = after
        self._response = web.StreamResponse(headers=_HEADERS)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Streams until the client leaves, falls behind, or the gateway stops. The client resumes."""
        await self._response.prepare(request)
        subscription = self._hub.subscribe(self._key)  # before the first look, so that nothing falls in between
        try:
            async with asyncio.timeout(_LIFETIME):
                await self._catch_up()
                await self._join_draft()
                await self._send("ready", {"seq": self._seq}, str(self._seq))
                while not subscription.lagging:
                    await self._follow(subscription)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()  # a reader that has stopped reading would hold up a graceful end
        finally:
            self._hub.unsubscribe(subscription)
        return self._response

    async def _follow(self, subscription: Subscription) -> None:
        match await subscription.next(HEARTBEAT):
            case Poke():
                await self._catch_up()
            case Delta() as delta:
                await self._send_delta(delta.message, delta.attempt, delta.offset, delta.text)
            case Stage(text=text):
                await self._send("stage", {"text": text})
            case None:
                await self._write(b": still here\n\n")

    async def _catch_up(self) -> None:
        """Sends the durable events that the client has not seen."""
        while True:
            async with self._store.read() as db:
                page = await shown_after(db, self._key, self._seq, self._user, _PAGE)
            for shown in page:
                self._seq = shown.posting.seq
                self._hub.finish_draft(self._key, shown.posting.remote_id)
                await self._send("message", shown.as_event(), str(self._seq))
            if len(page) < _PAGE:
                return

    async def _join_draft(self) -> None:
        """Sends an answer in the making from its start: what the client has of it may be of an earlier attempt."""
        draft = self._hub.draft(self._key)
        if draft is not None:
            text = draft.data.decode("utf-16-le", "replace")
            await self._send_delta(draft.message, draft.attempt, 0, text)

    async def _send_delta(self, message: str, attempt: int, offset: int, text: str) -> None:
        data = {"message": message, "attempt": attempt, "offset": offset, "text": text}
        await self._send("delta", data, f"{self._seq}.{offset + units(text)}")

    async def _send(self, event: str, data: dict[str, Any], event_id: str | None = None) -> None:
        head = f"id: {event_id}\n" if event_id is not None else ""
        await self._write(f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(_WRITE_PATIENCE):
            await self._response.write(data)


def resume_after(request: web.Request) -> int:
    """The `seq` that a client has seen last. An offset behind it only tells apart pieces of one answer."""
    text = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
    seq = text.partition(".")[0]
    if not (seq.isascii() and seq.isdecimal() and len(seq) < 10):
        raise RefusedError(400, "bad_event_id", f"Last-Event-ID is {text[:40]!r}. Send the id of the last event seen.")
    return int(seq)


class Lookout:
    """Looks into the store for all open streams at once, so that a lost poke costs a second and nothing else."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._heads: dict[str, int] = {}

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except Exception:
                log.exception("looking for changes failed; the next look follows")

    async def look(self) -> None:
        """Pokes the surfaces that have changed since the last look. A new one counts as changed."""
        keys = self._hub.watched()
        before, self._heads = self._heads, {}
        for first in range(0, len(keys), _KEYS_A_QUERY):
            async with self._store.read() as db:
                self._heads |= await messages.heads(db, keys[first : first + _KEYS_A_QUERY])
        for key, head in self._heads.items():
            if before.get(key) != head:
                self._hub.poke(key)
