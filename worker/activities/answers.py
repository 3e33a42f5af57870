"""Answers and summaries: a model is paid once for each, however often the activity is tried."""

from dataclasses import dataclass

from temporalio import activity

from gateways.wire import Call
from runllm.bridge.messages import AssistantChatMessage
from runllm.bridge.surfaces import AdminConsole, ChatWidget, surface_key
from runllm.errors import UsageError
from runllm.operations import Answer, StreamAnswer, Summarize
from store import messages
from worker.activities.contents import content_of
from worker.activities.context import Context, Hub
from worker.activities.conversations import asked, assistant_message, conversation
from worker.activities.handover import or_handed_over, record_answer
from worker.activities.ledger import close_entry, open_entry
from worker.activities.memory import shortened, summary_of
from worker.activities.posting import post_once
from worker.answering.protocol import ModelAnswer, Question, nobody

SEARCHING = "Searching the documentation…"
WRITING = "Writing…"


class AnswerActivities:
    """What an agent asks its model for, apart from choosing tags."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Answer.name)
    async def answer(self, call: Call[Answer]) -> AssistantChatMessage:
        """One retrieval, one model call."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Answer.name)
            row = await messages.by_key(db, entry.effect.key)
            agent_id, question = await asked(db, call.session_id, call.operation.question)
        if row is None:

            async def ask() -> ModelAnswer:
                brief = await shortened(self._context, call.session_id, question)
                found = await self._context.retriever.find(agent_id, question)
                return await self._context.model.answer(brief, found, nobody)

            answer = await or_handed_over(self._context, call, ask)
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
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, name, to)
            row = await messages.by_key(db, entry.effect.key)
            agent_id, question = await asked(db, call.session_id, call.operation.question)
        if row is None:
            # On our own surfaces a message's remote id is its effect's key, so browsers know the answer beforehand.
            stream = _Stream(self._context.hub, surface_key(to), entry.effect.key, entry.attempt)
            answer = await self._streamed(call, stream, agent_id, question)
            row = await record_answer(self._context.store, call.session_id, entry.effect.key, answer)
        if not entry.is_done:
            await post_once(self._context, entry, to, content_of(row), {"chat_id": row.id})
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

    async def _streamed(
        self, call: Call[StreamAnswer], stream: "_Stream", agent_id: int, question: Question
    ) -> ModelAnswer:
        async def ask() -> ModelAnswer:
            stream.stage(SEARCHING)
            brief = await shortened(self._context, call.session_id, question)
            found = await self._context.retriever.find(agent_id, question)
            stream.stage(WRITING)
            return await self._context.model.answer(brief, found, stream.emit)

        try:
            return await or_handed_over(self._context, call, ask)
        finally:
            stream.stage("")


@dataclass
class _Stream:
    """Shows one attempt at an answer while it is made."""

    hub: Hub
    surface_key: str
    message: str
    attempt: int
    offset: int = 0

    def stage(self, text: str) -> None:
        self.hub.stage(self.surface_key, text)

    async def emit(self, text: str) -> None:
        await self.hub.push(self.surface_key, self.message, self.attempt, self.offset, text)
        self.offset += len(text.encode("utf-16-le")) // 2
