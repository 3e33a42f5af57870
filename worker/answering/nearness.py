"""Which passages are near a question in meaning: from vectors in memory, or from pgvector's index.

In memory an agent's vectors follow the record within seconds, and the agents that nobody has asked for longest make
room for others. A knowledge base that does not fit is searched by words alone, and only what that finds is judged by
meaning.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from store import vectors
from store.engine import Store
from worker.answering.embedding import Embedder
from worker.answering.vectors import Floats, VectorIndex, as_literal, decode

log = logging.getLogger(__name__)

MOST_IN_MEMORY = 600_000
"""Vectors, of all agents together: 280 MB."""

FOLLOWS_AFTER = 5.0
_CHUNK = 10_000


@dataclass
class _Agent:
    """What is in memory of one agent."""

    index: VectorIndex = field(default_factory=VectorIndex)
    stamp: vectors.Stamp = field(default_factory=lambda: vectors.Stamp(count=0, last=0))
    hidden: list[int] = field(default_factory=list)
    """Sources that only colleagues may see. A passage that became one meanwhile is kept back by who loads its text."""
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Nearness:
    """The vectors of all agents."""

    def __init__(self, store: Store, embedder: Embedder, most: int = MOST_IN_MEMORY) -> None:
        self._store = store
        self._embedder = embedder
        self._most = most
        self._agents: OrderedDict[int, _Agent] = OrderedDict()
        self._searched_by_database: bool | None = None
        self._preparing = asyncio.Lock()

    @property
    def bytes(self) -> int:
        """How much memory the vectors take."""
        return sum(agent.index.bytes for agent in self._agents.values())

    async def nearest(self, agent_id: int, question: Floats, limit: int, *, internal: bool) -> list[int]:
        """The passages nearest to each row of `question`, together."""
        if await self._by_database(question.shape[1]):
            async with self._store.read() as db:
                width, name = question.shape[1], self._embedder.name
                found = [
                    await vectors.nearest(db, agent_id, name, as_literal(one), width, limit, internal=internal)
                    for one in question
                ]
        else:
            agent = await self._followed(agent_id)
            index, hidden = agent.index, [] if internal else agent.hidden
            if not len(index):
                return []
            found = [index.nearest(one, limit, hidden) for one in question]
        return list(dict.fromkeys(passage for near in found for passage in near))

    async def cosines(self, agent_id: int, question: Floats, passages: Sequence[int]) -> Floats:
        """The cosine of each row of `question` with each passage; NaN where a passage has no vector."""
        index = self._agents[agent_id].index if agent_id in self._agents else None
        if index is not None and len(index):
            return index.cosines(question, passages)
        async with self._store.read() as db:
            kept = await vectors.of_passages(db, self._embedder.name, passages)
        made = np.full((len(question), len(passages)), np.nan, np.float32)
        there = [place for place, passage in enumerate(passages) if passage in kept]
        if there:
            numbers, scales = decode([kept[passages[place]] for place in there])
            made[:, there] = (question @ numbers.astype(np.float32).T) * scales
        return made

    async def _by_database(self, width: int) -> bool:
        if self._searched_by_database is None:
            async with self._preparing:
                if self._searched_by_database is None:
                    self._searched_by_database = await vectors.prepare(self._store, self._embedder.name, width)
        return self._searched_by_database

    async def _followed(self, agent_id: int) -> _Agent:
        agent = self._agents.setdefault(agent_id, _Agent())
        self._agents.move_to_end(agent_id)
        if time.monotonic() < agent.until:
            return agent
        async with agent.lock:
            if time.monotonic() >= agent.until:
                await self._follow(agent_id, agent)
                agent.until = time.monotonic() + FOLLOWS_AFTER
        self._make_room(agent_id)
        return agent

    async def _follow(self, agent_id: int, agent: _Agent) -> None:
        name = self._embedder.name
        async with self._store.read() as db:
            stamp = await vectors.stamp(db, agent_id, name)
            agent.hidden = list(await vectors.internal_sources(db, agent_id))
            if stamp == agent.stamp:
                return
            if stamp.count > self._most:
                if len(agent.index) or not agent.stamp.count:
                    log.warning(
                        "Agent %d has %d passages, more than the %d whose vectors are kept in memory: they are "
                        "searched by their words. PostgreSQL with pgvector searches them by their meaning too",
                        agent_id, stamp.count, self._most,
                    )  # fmt: skip
                agent.index, agent.stamp = VectorIndex(), stamp
                return
            last, more = agent.stamp.last if len(agent.index) else 0, []
            while batch := await vectors.after(db, agent_id, name, last, _CHUNK):
                more.append(batch)
                last = batch[-1].id
            index = agent.index.with_more(more)
            if len(index) != stamp.count:
                index = index.only(await vectors.numbers_of(db, agent_id, name))
        agent.index, agent.stamp = index, vectors.Stamp(count=len(index), last=last)

    def _make_room(self, asking: int) -> None:
        while sum(len(one.index) for one in self._agents.values()) > self._most:
            oldest = next(iter(self._agents))
            if oldest == asking:
                return
            del self._agents[oldest]
