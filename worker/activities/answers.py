"""Answers and summaries: a model is paid once for each, however often the activity is tried."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio import activity

from gateways.wire import Call
from runllm.bridge.messages import AssistantChatMessage, MessageType
from runllm.bridge.surfaces import AdminConsole, ChatWidget, surface_key
from runllm.errors import UsageError
from runllm.operations import Answer, Chat, StreamAnswer, Summarize
from store import messages
from store.models import Message
from worker.activities.contents import content_of
from worker.activities.context import Context, Hub
from worker.activities.conversations import asked, assistant_message, conversation
from worker.activities.ledger import Entry, close_entry, open_entry
from worker.activities.posting import post_once
from worker.answering.protocol import Found, ModelAnswer, Question, nobody

SEARCHING = "Searching the documentation…"
WRITING = "Writing…"

Asking = Callable[[int, Question], Awaitable[ModelAnswer]]


class AnswerActivities:
    """What an agent asks its model for, apart from choosing tags."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Answer.name)
    async def answer(self, call: Call[Answer]) -> AssistantChatMessage:
        """One retrieval, one model call."""

        async def ask(agent_id: int, question: Question) -> ModelAnswer:
            found = await self._context.retriever.find(agent_id, question)
            return await self._context.model.answer(question, found, nobody)

        return await self._answered_once(call, Answer.name, ask)

    @activity.defn(name=Chat.name)
    async def chat(self, call: Call[Chat]) -> AssistantChatMessage:
        """As many retrievals as the model asks for."""

        async def ask(agent_id: int, question: Question) -> ModelAnswer:
            return await self._context.model.chat(question, _Bound(self._context, agent_id), nobody)

        return await self._answered_once(call, Chat.name, ask)

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
            row = await self._recorded(entry, await self._streamed(stream, agent_id, question))
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
        summary = await self._context.model.summarize(said.turns)
        async with self._context.store.begin() as db:
            await close_entry(db, entry, {"summary": summary})
        return summary

    async def _answered_once(self, call: Call[Answer] | Call[Chat], name: str, ask: Asking) -> AssistantChatMessage:
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, name)
            row = await messages.by_key(db, entry.effect.key)
            agent_id, question = await asked(db, call.session_id, call.operation.question)
        if row is None:
            row = await self._recorded(entry, await ask(agent_id, question), close=True)
        return assistant_message(row)

    async def _streamed(self, stream: "_Stream", agent_id: int, question: Question) -> ModelAnswer:
        try:
            stream.stage(SEARCHING)
            found = await self._context.retriever.find(agent_id, question)
            stream.stage(WRITING)
            return await self._context.model.answer(question, found, stream.emit)
        finally:
            stream.stage("")

    async def _recorded(self, entry: Entry, answer: ModelAnswer, *, close: bool = False) -> Message:
        """Writes the answer down under the effect's key, so that no retry asks the model again."""
        async with self._context.store.begin() as db:
            row = await messages.add(
                db,
                session_id=entry.effect.session_id,
                author=MessageType.ASSISTANT,
                text=answer.text,
                category=answer.category,
                sources=[source.model_dump(mode="json") for source in answer.sources],
                key=entry.effect.key,
                model=answer.model,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
            )
            if close:
                await close_entry(db, entry, {"chat_id": row.id})
        return row


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


@dataclass(frozen=True)
class _Bound:
    """The knowledge base of one agent."""

    context: Context
    agent_id: int

    async def find(self, question: Question, limit: int = 8) -> Found:
        return await self.context.retriever.find(self.agent_id, question, limit)
