"""Keeps the way to an answer warm while somebody writes.

What has not run for a while is slow: its memory has left the processor's caches, and a host that is shared may have
taken the pages away meanwhile. `python -m benchmarks.rested`: a question's vector takes 1.5 ms where the last one was
made just before, and 23 ms after 300 ms of rest. So while somebody writes, questions that nobody asked are looked up,
for all who write together: then nobody's question is the first one in a while.
"""

import asyncio
import logging
import time

from worker.answering.protocol import Question, Retriever

log = logging.getLogger(__name__)

EVERY = 0.25
"""Seconds between two, or longer: see `SHARE`."""

SHARE = 0.05
"""The part of the time that is given to it, at most: in a large knowledge base a search takes longer."""

LASTS = 2.0
"""Seconds from when somebody was last heard to write. A widget says so twice a second."""

_QUESTIONS = 50
"""So many different ones: what is asked for the first time takes all of the way."""


class Warmth:
    """Looks questions up that nobody asked. Needs a running event loop."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._agent_id = 0
        self._until = 0.0
        self._number = 0
        self._job: asyncio.Task[None] | None = None

    def somebody_writes(self, agent_id: int) -> None:
        """A message to this agent may come soon."""
        self._agent_id = agent_id
        self._until = time.monotonic() + LASTS
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._go_on(), name="warmth")

    def message_came(self) -> None:
        """What is real goes first. Whoever else still writes will say so again."""
        self._until = 0.0

    async def close(self) -> None:
        """Ends it."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    async def _go_on(self) -> None:
        while (began := time.monotonic()) < self._until:
            self._number = (self._number + 1) % _QUESTIONS
            question = Question(text=f"How is this to be done? ({self._number})")
            try:
                await self._retriever.find(self._agent_id, question)
            except Exception as error:
                log.info("Nothing could be looked up while somebody wrote: %s", error)
            took = time.monotonic() - began
            await asyncio.sleep(max(EVERY, took / SHARE - took))
