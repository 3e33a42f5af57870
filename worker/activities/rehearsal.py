"""Keeps the way to an answer warm while somebody writes.

What has not run for a while is slow: its memory has left the processor's caches, and on many rented machines the host
has taken the pages away meanwhile. Measured on such a machine, a question's vector takes 1.6 ms where the last one was
made just before, and 29 ms after 300 ms of rest. Nobody's question is the first one for long if it is asked beforehand:
while somebody writes, a question that nobody asked is looked up five times a second, for all who write together.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from worker.answering.protocol import Question, Retriever

log = logging.getLogger(__name__)

EVERY = 0.2
"""Seconds. Each time takes some 10 ms of one processor."""

LASTS = 2.0
"""Seconds after the last word of somebody who writes; a widget says so twice a second."""

_QUESTIONS = 50
"""So many are asked in turn: what is asked the first time takes all of the way."""


class Rehearsal:
    """Looks questions up that nobody asked. Needs a running event loop."""

    def __init__(self, retriever: Retriever, is_busy: Callable[[], bool]) -> None:
        """
        Args:
            is_busy: Whether real questions are being looked up: they keep it warm, and go first.
        """
        self._retriever = retriever
        self._is_busy = is_busy
        self._agent_id = 0
        self._until = 0.0
        self._number = 0
        self._job: asyncio.Task[None] | None = None

    def somebody_writes(self, agent_id: int) -> None:
        """A message to this agent may come soon."""
        self._agent_id = agent_id
        self._until = time.monotonic() + LASTS
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._go_on(), name="rehearsal")

    async def close(self) -> None:
        """Ends it."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    async def _go_on(self) -> None:
        while time.monotonic() < self._until:
            if not self._is_busy():
                self._number = (self._number + 1) % _QUESTIONS
                try:
                    await self._retriever.find(
                        self._agent_id, Question(text=f"How is this to be done? ({self._number})")
                    )
                except Exception as error:
                    log.info("Nothing could be looked up while somebody wrote: %s", error)
            await asyncio.sleep(EVERY)
