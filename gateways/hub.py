"""Where what is happening right now passes through: answers in the making, and word that a surface has changed.

Nothing here is a record. What is lost costs a second: streams also look into the store.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from runllm.bridge.surfaces import AnySurface
from runllm.operations import Frozen

MAX_BATCH = 200
_QUEUE = 256
_MAX_DRAFTS = 2000
_DRAFT_LIVES = 60.0
_SOON = 0.05


class Delta(Frozen):
    """The next piece of an answer in the making. A new attempt starts at offset 0 again.

    `offset` counts as browsers do, in UTF-16 units.

    `message` is the remote id that the finished message will have on the surface.
    """

    kind: Literal["delta"] = "delta"
    surface_key: str
    message: str
    attempt: int = 1
    offset: int
    text: str


class Stage(Frozen):
    """What the agent is doing, in a few words for the person who waits; no text means nothing any more."""

    kind: Literal["stage"] = "stage"
    surface_key: str
    text: str = ""


class Poke(Frozen):
    """What a surface shows has changed: read the store."""

    kind: Literal["poke"] = "poke"
    surface_key: str


class Said(Frozen):
    """Somebody writes a message where answers appear as they are made. In a moment it is on record, or was refused.

    Attributes:
        event_id: Names it: the same twice is the same message.
        session_id: Its session; 0 where it seems to be the first message of one.
        workflow: The published workflow of its session.
        shown: The counter of the session's postings before it: who has read the conversation since need not again.
            None as long as nothing was read for the message: it will be told of once more, with what is known then.
    """

    kind: Literal["said"] = "said"
    event_id: str
    session_id: int
    agent_id: int
    workflow: str
    text: str
    surface: AnySurface
    shown: int | None


class Writing(Frozen):
    """Somebody writes, and has sent nothing yet: a message to this agent may come soon. Its text is not known."""

    kind: Literal["writing"] = "writing"
    agent_id: int


News: TypeAlias = Said | Writing
"""Anything that a worker hears of what people do."""

NEWS: TypeAdapter[News] = TypeAdapter(News)


Pulse: TypeAlias = Annotated[Delta | Stage | Poke, Field(discriminator="kind")]
"""Anything that passes through the hub."""

PULSES: TypeAdapter[list[Pulse]] = TypeAdapter(Annotated[list[Pulse], Field(max_length=MAX_BATCH)])


def units(text: str) -> int:
    """The length of a text as browsers count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Draft(Frozen):
    """An answer as far as it has been made."""

    message: str
    attempt: int
    grown_at: float
    data: bytes
    """The text in UTF-16, little end first: pieces say where they belong in its units."""


class Subscription:
    """One open stream's view of the hub. `lagging` once it has not kept up: close it, its client resumes."""

    def __init__(self, surface_key: str) -> None:
        self.surface_key = surface_key
        self.lagging = False
        self._queue: asyncio.Queue[Pulse | None] = asyncio.Queue(_QUEUE)

    async def next(self, patience: float) -> Pulse | None:
        """The next pulse; None when nothing came for `patience` seconds or the stream is to end."""
        if self.lagging:
            return None
        try:
            return await asyncio.wait_for(self._queue.get(), patience)
        except TimeoutError:
            return None

    def put(self, pulse: Pulse) -> None:
        """Passes a pulse on, or gives the stream up when too many are waiting."""
        try:
            self._queue.put_nowait(pulse)
        except asyncio.QueueFull:
            self.lagging = True

    def end(self) -> None:
        """Makes the stream end, also one that is waiting."""
        self.lagging = True
        if not self._queue.full():
            self._queue.put_nowait(None)


class Listening:
    """A worker that wants to know at once what people write. One that does not keep up misses some of it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[News | None] = asyncio.Queue(_QUEUE)

    async def next(self, patience: float) -> News | None:
        """What came next; None when that was nothing for `patience` seconds."""
        try:
            return await asyncio.wait_for(self._queue.get(), patience)
        except TimeoutError:
            return None

    def put(self, news: News | None) -> None:
        """Passes it on, unless too much is waiting."""
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(news)


class Hub:
    """Hands pulses to the open streams of this process, and to a worker what people write."""

    def __init__(self) -> None:
        self._workers: set[Listening] = set()
        self._open: dict[str, set[Subscription]] = defaultdict(set)
        self._drafts: dict[str, Draft] = {}
        self.is_closing = False

    def subscribe(self, surface_key: str) -> Subscription:
        """Opens a view of one surface. Give it back with `unsubscribe`."""
        subscription = Subscription(surface_key)
        if self.is_closing:
            subscription.end()
        self._open[surface_key].add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Closes a view."""
        views = self._open[subscription.surface_key]
        views.discard(subscription)
        if not views:
            del self._open[subscription.surface_key]

    def publish(self, pulse: Pulse) -> None:
        """Hands a pulse to everybody who watches its surface."""
        if isinstance(pulse, Delta):
            self._extend_draft(pulse)
        for subscription in tuple(self._open.get(pulse.surface_key, ())):
            subscription.put(pulse)

    def poke(self, surface_key: str) -> None:
        """Says that a surface has changed."""
        self.publish(Poke(surface_key=surface_key))

    def poke_soon(self, surface_key: str) -> None:
        """The same for what people wrote themselves: it is on their screens, and the answer to it goes first."""
        asyncio.get_running_loop().call_later(_SOON, self.poke, surface_key)

    @contextmanager
    def listening(self) -> Iterator[Listening]:
        """A worker listens to what people write, for as long as the block lasts."""
        worker = Listening()
        self._workers.add(worker)
        try:
            yield worker
        finally:
            self._workers.discard(worker)

    def say(self, news: News) -> None:
        """Tells the worker that listens. Of several nobody knows which one will be asked: then none is told."""
        if len(self._workers) == 1:
            for worker in self._workers:
                worker.put(news)

    def draft(self, surface_key: str) -> Draft | None:
        """The answer that is being made for a surface, for streams that join in its middle."""
        draft = self._drafts.get(surface_key)
        return draft if draft is not None and time.monotonic() - draft.grown_at < _DRAFT_LIVES else None

    def finish_draft(self, surface_key: str, message: str) -> None:
        """Forgets a draft: the record has the message now."""
        draft = self._drafts.get(surface_key)
        if draft is not None and draft.message == message:
            del self._drafts[surface_key]

    def watched(self) -> list[str]:
        """Keys of all surfaces that somebody watches."""
        return list(self._open)

    def count(self, surface_key: str) -> int:
        """How many streams watch a surface."""
        return len(self._open.get(surface_key, ()))

    def close(self) -> None:
        """Ends all streams: the process stops."""
        self.is_closing = True
        for worker in self._workers:
            worker.put(None)
        for views in list(self._open.values()):
            for subscription in tuple(views):
                subscription.end()

    def _extend_draft(self, delta: Delta) -> None:
        draft = self._drafts.pop(delta.surface_key, None)
        before = b""
        if draft is not None and draft.message == delta.message:
            if draft.attempt > delta.attempt:  # a late piece of an attempt that was given up
                self._drafts[delta.surface_key] = draft
                return
            before = draft.data if draft.attempt == delta.attempt else b""
        if len(before) >= 2 * delta.offset:
            data = before[: 2 * delta.offset] + delta.text.encode("utf-16-le", "surrogatepass")
            self._drafts[delta.surface_key] = Draft(
                message=delta.message, attempt=delta.attempt, data=data, grown_at=time.monotonic()
            )
        while len(self._drafts) > _MAX_DRAFTS:
            del self._drafts[next(iter(self._drafts))]
