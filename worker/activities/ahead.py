"""Looks passages up before a session asks for them.

A message is on its way through Temporal for a while. The gateway tells a worker of it meanwhile, and most messages are
questions: when the session asks for an answer, what the knowledge base has on it is there. Nothing rests on it. Whoever
asks something else, or in another light, or late, is given what is found then.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from gateways.hub import Said
from runllm.operations import MessageRef
from store.engine import Store
from worker.activities.conversations import asked
from worker.answering.protocol import MOST_PASSAGES, Found, Question, Retriever

log = logging.getLogger(__name__)

_GOOD_FOR = 5.0
"""Seconds. A turn takes less, and a knowledge base changes seldom."""

_AT_ONCE = 4
"""Who waits for an answer goes before those who may come to wait: of more messages none is looked up ahead."""

_IN_VAIN = 3
"""So many in a row that nobody asked for: the agent's workflows do something else with messages just now."""


@dataclass(frozen=True)
class _Look:
    """What one message asks, and what is found on it."""

    agent_id: int
    question: Question
    found: asyncio.Task[Found]
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self.began > _GOOD_FOR


class Ahead:
    """A retriever that may have looked already. Needs a running event loop."""

    def __init__(self, retriever: Retriever, store: Store) -> None:
        self._retriever = retriever
        self._store = store
        self._looks: deque[_Look] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._in_vain: Counter[int] = Counter()

    async def find(self, agent_id: int, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for `question`, as they are now or were a moment ago."""
        self._in_vain[agent_id] = 0  # somebody does ask
        for look in self._looks:
            if limit == MOST_PASSAGES and (look.agent_id, look.question) == (agent_id, question) and not look.is_over:
                self._looks.remove(look)
                with suppress(Exception):  # it fails in the same way once more, where somebody minds
                    return await asyncio.shield(look.found)
                break
        return await self._retriever.find(agent_id, question, limit)

    async def expect_more(self, question: Question) -> None:
        """Gets ready for the question that may come after this one in the same conversation."""
        await self._retriever.expect_more(question)

    async def listen(self, news: AsyncIterator[Said]) -> None:
        """Looks up what people write, until cancelled."""
        async for said in news:
            self._forget()
            if len(self._under_way) < _AT_ONCE:
                job = asyncio.create_task(self._look_up(said), name=f"look up message {said.chat_id}")
                self._under_way.add(job)
                job.add_done_callback(self._under_way.discard)

    async def _look_up(self, said: Said) -> None:
        try:
            async with self._store.read() as db:
                agent_id, question = await asked(db, said.session_id, MessageRef(chat_id=said.chat_id))
            if self._in_vain[agent_id] >= _IN_VAIN:
                return
            found = asyncio.create_task(self._retriever.find(agent_id, question))
            self._looks.append(_Look(agent_id, question, found))
            await found
        except Exception as error:
            log.info("Message %d was not looked up ahead: %s", said.chat_id, error)

    def _forget(self) -> None:
        while self._looks and self._looks[0].is_over:
            self._in_vain[self._looks.popleft().agent_id] += 1
