"""Looks passages up before a session asks for them.

A message is written down, and then on its way through Temporal, for a while. The gateway tells a worker of it
meanwhile, and most messages are questions: when the session asks for an answer, what the knowledge base has on it is
there. Nothing rests on it. Whoever asks something else, or in another light, or late, is given what is found then.

The gateway tells of a message twice. As it comes, what it seems to ask is looked up: that costs nobody anything. Once
its session is known, so is what it asks; nearly always that was just it, and only now the model may be asked.
"""

import asyncio
import logging
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from gateways.hub import News, Said, Writing
from store.engine import Store
from worker.activities.conversations import Before, before
from worker.activities.foresight import Foresight
from worker.activities.warmth import Warmth
from worker.answering.protocol import MOST_PASSAGES, Emit, Found, ModelAnswer, Question, Retriever

log = logging.getLogger(__name__)

_GOOD_FOR = 5.0
"""Seconds. A turn takes less, and a knowledge base changes seldom."""

_AT_ONCE = 4
"""Who waits for an answer goes before those who may come to wait: of more messages none is looked up ahead."""

_REMEMBERED = 500
"""So many conversations are remembered."""

_IN_VAIN = 3
"""So many in a row that nobody asked for: the agent's workflows do something else with messages just now."""


@dataclass(frozen=True)
class _Look:
    """What one message asks, and what is found on it."""

    event_id: str
    agent_id: int
    question: Question
    found: asyncio.Task[Found]
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self.began > _GOOD_FOR

    def asks(self, agent_id: int, question: Question) -> bool:
        """Whether this is what it asks, and not too long ago."""
        return (self.agent_id, self.question) == (agent_id, question) and not self.is_over


class Ahead:
    """A retriever that may have looked already, and who may have asked the model. Needs a running event loop."""

    def __init__(self, retriever: Retriever, foresight: Foresight, store: Store) -> None:
        self._retriever = retriever
        self._foresight = foresight
        self._store = store
        self._conversations: OrderedDict[int, Before | None] = OrderedDict()
        self._looks: deque[_Look] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._in_vain: Counter[int] = Counter()
        self._warmth = Warmth(retriever)

    async def find(self, agent_id: int, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for `question`, as they are now or were a moment ago."""
        self._in_vain[agent_id] = 0  # somebody does ask
        look = self._taken(agent_id, question) if limit == MOST_PASSAGES else None
        if look is not None:
            with suppress(Exception):  # it fails in the same way once more, where somebody minds
                return await asyncio.shield(look.found)
        return await self._retriever.find(agent_id, question, limit)

    async def expect_more(self, question: Question) -> None:
        """Gets ready for the question that may come after this one in the same conversation."""
        await self._retriever.expect_more(question)

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """See `Model.answer`."""
        return await self._foresight.answer(question, found, emit)

    async def read_on(self, session_id: int) -> None:
        """Reads a conversation that was heard of, so that nobody has to once its next message has come."""
        if session_id in self._conversations:
            async with self._store.read() as db:
                self._conversations[session_id] = await before(db, session_id)

    async def listen(self, news: AsyncIterator[News]) -> None:
        """Looks up what people write, until cancelled."""
        try:
            async for one in news:
                self._forget()
                if isinstance(one, Writing):
                    if self._in_vain[one.agent_id] < _IN_VAIN:
                        self._warmth.somebody_writes(one.agent_id)
                    continue
                self._warmth.message_came()
                if len(self._under_way) < _AT_ONCE or any(look.event_id == one.event_id for look in self._looks):
                    job = asyncio.create_task(self._look_up(one), name=f"look up {one.event_id}")
                    self._under_way.add(job)
                    job.add_done_callback(self._under_way.discard)
        finally:
            await self._warmth.close()

    async def _look_up(self, said: Said) -> None:
        try:
            conversation = await self._before(said)
            if conversation is None:
                return
            question = conversation.asked(said.text, said.surface)
            if self._in_vain[said.agent_id] >= _IN_VAIN:
                return
            begun = self._taken(said.agent_id, question)
            found = asyncio.create_task(self._found(said, question, begun))
            self._looks.append(_Look(said.event_id, said.agent_id, question, found))
            await found
        except Exception as error:
            log.info("A message of session %d was not looked up ahead: %s", said.session_id, error)

    async def _found(self, said: Said, question: Question, begun: _Look | None) -> Found:
        """What is found, once it is expected that a session will ask for it: whoever waits for it comes after that."""
        found = await (begun.found if begun else self._retriever.find(said.agent_id, question))
        if said.shown is not None:
            await self._foresight.expect(said, question, found)
        return found

    def _taken(self, agent_id: int, question: Question) -> _Look | None:
        """What was looked up for it; it is given once."""
        look = next((one for one in self._looks if one.asks(agent_id, question)), None)
        if look is not None:
            self._looks.remove(look)
        return look

    async def _before(self, said: Said) -> Before | None:
        """The conversation before a message: from memory, where nothing was shown since it was read; None if unsure."""
        none = Before((), (said.surface,), 0)
        if said.shown is None:
            return self._conversations.get(said.session_id) if said.session_id else none
        known = self._conversations.pop(said.session_id, None)
        self._conversations[said.session_id] = None
        while len(self._conversations) > _REMEMBERED:
            self._conversations.popitem(last=False)
        if said.shown == 0:
            return none
        if known is None or known.shown != said.shown:
            async with self._store.read() as db:
                known = await before(db, said.session_id)
        return known if known.shown == said.shown else None

    def _forget(self) -> None:
        while self._looks and self._looks[0].is_over:
            self._in_vain[self._looks.popleft().agent_id] += 1
