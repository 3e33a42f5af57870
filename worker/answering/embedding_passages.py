"""Gives passages their vectors: as a step of indexing, and from time to time for whatever still lacks one."""

import asyncio
import logging
from collections.abc import Callable

import numpy as np
from temporalio import activity

from store import vectors
from store.engine import Store
from store.vectors import Lacking, NewVector
from worker.answering.embedding import Chosen, Embedder
from worker.answering.indexing import EMBED, Embedded
from worker.answering.vectors import as_literal, encode

log = logging.getLogger(__name__)

BATCH = 32
"""Passages whose vectors are written together: about half a second's work, which a killed worker repeats."""

LOOKS_EVERY = 20.0
_AT_ONCE = 1_000


def as_text(passage: Lacking) -> str:
    """What is embedded of a passage: its title and headings are half of what it is about."""
    heading = " › ".join(one for one in (passage.title, passage.heading_path) if one)
    return f"{heading}\n{passage.text}" if heading else passage.text


class PassageEmbedding:
    """Embeds what lacks a vector. Any number of processes may do so at once; a passage gets one vector."""

    def __init__(self, store: Store, chosen: Chosen) -> None:
        self._store = store
        self._chosen = chosen
        self._with_numbers: bool | None = None
        self._one_batch_at_a_time = asyncio.Lock()

    async def record(self) -> None:
        """Says in the record how passages are found from now on."""
        name = self._chosen.embedder.name if self._chosen.embedder else ""
        async with self._store.begin() as db:
            await vectors.record_embedder(db, name, self._chosen.note)

    async def covered(self, source_id: int) -> tuple[int, int]:
        """How many passages a source has, and how many of them have a vector; without an embedder, none are wanted."""
        if self._chosen.embedder is None:
            return 0, 0
        async with self._store.read() as db:
            return await vectors.covered(db, self._chosen.embedder.name, source_id)

    @activity.defn(name=EMBED)
    async def embed_source(self, source_id: int) -> Embedded:
        """Gives some of a source's passages their vectors; what is there already costs nothing."""
        done = await self.embed(_AT_ONCE, source_id, activity.heartbeat)
        passages, embedded = await self.covered(source_id)
        return Embedded(embedded=embedded, passages=passages, is_last=done < _AT_ONCE)

    async def embed(
        self, most: int, source_id: int | None = None, beat: Callable[[int], None] = lambda done: None
    ) -> int:
        """Embeds up to `most` passages, of one source or of all; returns how many there were."""
        embedder = self._chosen.embedder
        done = after = 0
        while embedder is not None and done < most:
            async with self._one_batch_at_a_time:
                async with self._store.read() as db:
                    wanted = min(BATCH, most - done)
                    some = await vectors.lacking(db, embedder.name, wanted, source_id=source_id, after=after)
                if not some:
                    break
                await self._embed(embedder, some)
            done, after = done + len(some), some[-1].id
            beat(done)
        return done

    async def run(self) -> None:
        """Embeds what lacks a vector, until cancelled: what was indexed without an embedder, and learned facts."""
        while self._chosen.embedder is not None:
            try:
                if done := await self.embed(10_000):
                    log.info("%d passages got their vectors", done)
            except Exception as error:
                log.warning("Passages could not be embedded; they are found by their words until then: %s", error)
            await asyncio.sleep(LOOKS_EVERY)

    async def _embed(self, embedder: Embedder, passages: list[Lacking]) -> None:
        made = await embedder.embed([as_text(passage) for passage in passages])
        if self._with_numbers is None:
            self._with_numbers = await vectors.prepare(self._store, embedder.name, made.shape[1])
        new = [
            NewVector(passage=passage, vector=encode(vector), numbers=as_literal(vector) if self._with_numbers else "")
            for passage, vector in zip(passages, np.asarray(made, np.float32), strict=True)
        ]
        async with self._store.begin() as db:
            await vectors.put(db, embedder.name, new, with_numbers=self._with_numbers)
