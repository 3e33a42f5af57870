"""Answers and summaries: a model is paid once for each, however often the activity is tried."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import activity

from gateways.wire import Call
from runllm.bridge.messages import AssistantChatMessage
from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, surface_key
from runllm.errors import UsageError
from runllm.operations import Answer, StreamAnswer, Summarize
from store import messages
from store.models import Message
from worker.activities.contents import content_of
from worker.activities.context import Context, Hub
from worker.activities.conversations import asked, assistant_message, conversation
from worker.activities.handover import or_handed_over, record_answer
from worker.activities.ledger import Entry, close_entry, open_entry
from worker.activities.memory import shortened, summary_of
from worker.activities.posting import post_once
from worker.answering.protocol import Emit, Found, ModelAnswer, Question, nobody

SEARCHING = "Searching the documentation…"
WRITING = "Writing…"

WORTH_SHOWING = 0.1
"""Seconds. What is over sooner nobody could read, and showing it would keep the answer waiting."""

T = TypeVar("T")
LookedUp = tuple[Question, Found]
Stage = Callable[[str], None]


class AnswerActivities:
    """What an agent asks its model for, apart from choosing tags."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._later: set[asyncio.Task[None]] = set()

    @activity.defn(name=Answer.name)
    async def answer(self, call: Call[Answer]) -> AssistantChatMessage:
        """One retrieval, one model call."""
        async with _meanwhile(self._looked_up(call)) as looked_up:
            entry, row = await self._opened(call, Answer.name)
            if row is None:
                answer = await or_handed_over(self._context, call, lambda: self._asked(call, looked_up, nobody))
                row = await record_answer(self._context.store, call.session_id, entry.effect.key, answer, close=entry)
        return assistant_message(row)

    @activity.defn(name=StreamAnswer.name)
    async def stream_answer(self, call: Call[StreamAnswer]) -> AssistantChatMessage:
        """Shows the answer while it is being made, then posts it: the posted one is the record."""
        to, name = call.operation.to, StreamAnswer.name
        if not isinstance(to, ChatWidget | AdminConsole):
            raise UsageError(
                f"Answers can be streamed to a chat widget or an admin console, not to a {to.type}. "
                "Use agent.answer(...) and send the result"
            )
        async with _meanwhile(self._looked_up(call)) as looked_up:
            entry, row = await self._opened(call, name, to)
            if row is None:
                # On our own surfaces a message's remote id is its effect's key: browsers know the answer beforehand.
                stream = _Stream(self._context.hub, surface_key(to), entry.effect.key, entry.attempt)
                answer = await self._streamed(call, stream, looked_up)
                row = await record_answer(self._context.store, call.session_id, entry.effect.key, answer)
        if not entry.is_done:
            await post_once(self._context, entry, to, content_of(row), {"chat_id": row.id})
        if self._context.ahead is not None:
            self._afterwards(self._context.ahead.read_on(call.session_id))
        return assistant_message(row)

    @activity.defn(name=Summarize.name)
    async def summarize(self, call: Call[Summarize]) -> str:
        """The conversation in a few sentences."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Summarize.name)
            said = await conversation(db, call.session_id)
        if entry.is_done:
            return str(entry.result["summary"])
        summary = await summary_of(self._context, call.session_id, said)
        async with self._context.store.begin() as db:
            await close_entry(db, entry, {"summary": summary})
        return summary

    async def _opened(self, call: Call[Any], name: str, to: ChatSurface | None = None) -> tuple[Entry, Message | None]:
        """The effect in the ledger, and the answer that an earlier attempt was given."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, name, to)
            return entry, await messages.by_key(db, entry.effect.key) if entry.attempt > 1 else None

    async def _looked_up(self, call: Call[Answer] | Call[StreamAnswer]) -> LookedUp:
        """The question, and what the knowledge base has on it. It only reads, so nobody has to be told of it before."""
        async with self._context.store.read() as db:
            agent_id, question = await asked(db, call.session_id, call.operation.question)
        return question, await self._context.retriever.find(agent_id, question)

    async def _asked(
        self, call: Call[Any], looked_up: Awaitable[LookedUp], emit: Emit, stage: Stage = lambda text: None
    ) -> ModelAnswer:
        """What the model says to the question, given what was found."""
        question, found = await looked_up
        brief = await shortened(self._context, call.session_id, question)
        stage(WRITING)
        answer = await (self._context.ahead or self._context.model).answer(brief, found, emit)
        self._afterwards(self._context.retriever.expect_more(question))
        return answer

    def _afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Does `work` while nobody waits for it."""
        job = asyncio.create_task(work)
        self._later.add(job)
        job.add_done_callback(self._later.discard)

    async def _streamed(
        self, call: Call[StreamAnswer], stream: "_Stream", looked_up: Awaitable[LookedUp]
    ) -> ModelAnswer:
        stream.stage(SEARCHING)
        try:
            return await or_handed_over(
                self._context, call, lambda: self._asked(call, looked_up, stream.emit, stream.stage)
            )
        finally:
            stream.stage("")


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[Awaitable[T]]:
    """Does `work` beside the block. Whether or not that waits for the result, it has ended when the block has."""
    job = asyncio.create_task(work)
    try:
        yield job
    finally:
        await asyncio.gather(job, return_exceptions=True)


@dataclass
class _Stream:
    """Shows one attempt at an answer while it is made."""

    hub: Hub
    surface_key: str
    message: str
    attempt: int
    offset: int = 0
    _next: asyncio.TimerHandle | None = None
    _shown: str = ""

    def stage(self, text: str) -> None:
        """Shows what is being done, once it has taken a moment; empty takes it away."""
        self._nothing_more()
        if text:
            self._next = asyncio.get_running_loop().call_later(WORTH_SHOWING, self._show, text)
        elif self._shown:
            self._show("")

    def _nothing_more(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _show(self, text: str) -> None:
        self._shown = text
        self.hub.stage(self.surface_key, text)

    async def emit(self, text: str) -> None:
        self._nothing_more()  # the answer itself shows what is being done
        await self.hub.push(self.surface_key, self.message, self.attempt, self.offset, text)
        self.offset += len(text.encode("utf-16-le")) // 2
