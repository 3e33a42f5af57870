"""Chats, turn by turn: every turn of the model and every use of a tool is written down as soon as it is done.

The session drives (see worker/session/chatting.py). Whatever is killed in between, what was paid for is in the record.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from gateways.wire import Call, ContinueChat, ToolsDue, UseTool
from runllm.bridge.messages import AssistantChatMessage
from runllm.errors import UsageError
from runllm.operations import Chat, MessageRef, ToolCall, ToolSpec
from store import chats, documents, effects, messages
from store.models import ChatRow
from worker.activities.context import Context
from worker.activities.conversations import asked, assistant_message
from worker.activities.handover import or_handed_over, record_answer
from worker.activities.ledger import account, open_entry
from worker.activities.memory import shortened
from worker.answering.protocol import (
    ModelAnswer,
    Passage,
    Question,
    RetrieverOf,
    Round,
    Talk,
    ToolGave,
    ToolsWanted,
    nobody,
)

MOST_TURNS = 12
"""So many turns may want tools; then the model has to answer with what it has."""

LONGEST_DOCUMENT = 20_000
"""Characters of a document that a model gets to read."""

_FOUND = 8


class ChatActivities:
    """The turns of a model that reasons, and the engine's own tools."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Chat.name)
    async def chat(self, call: Call[Chat]) -> AssistantChatMessage | ToolsDue:
        """The first turn."""
        operation = call.operation
        async with self._context.store.begin() as db:
            await open_entry(db, call, Chat.name)
            question = operation.question.model_dump(mode="json")
            tools = [tool.model_dump(mode="json") for tool in operation.tools]
            await chats.begin(db, call.key, call.session_id, question, tools)
        return await self._turn(call, call.key, 0)

    @activity.defn(name="answers.chat_turn")
    async def chat_turn(self, call: Call[ContinueChat]) -> AssistantChatMessage | ToolsDue:
        """A later turn, with what the customer's tools gave."""
        operation = call.operation
        async with self._context.store.begin() as db:
            await account(db, call)
            await _chat(db, call, operation.chat)
            outputs = {
                one.call_id: ToolGave(call_id=one.call_id, text=one.text, is_error=one.is_error).model_dump(mode="json")
                for one in operation.outputs
            }
            await chats.gave(db, operation.chat, operation.turn - 1, outputs)
        return await self._turn(call, operation.chat, operation.turn)

    @activity.defn(name="answers.chat_tool")
    async def chat_tool(self, call: Call[UseTool]) -> None:
        """One use of one of the engine's own tools. What it gives is in the record, not in the history."""
        operation = call.operation
        async with self._context.store.begin() as db:
            await account(db, call)
            chat = await _chat(db, call, operation.chat)
            agent_id, question = await asked(db, call.session_id, MessageRef.model_validate(chat.question))
            turns = await chats.turns(db, operation.chat)
        rounds = [_round(turn) for turn in turns]
        wanted = next((one for one in rounds[operation.turn].calls if one.id == operation.call_id), None)
        if wanted is None or operation.call_id in turns[operation.turn].gave:
            return
        gave = await use(self._context, wanted, agent_id, question, rounds)
        async with self._context.store.begin() as db:
            outputs = {wanted.id: gave.model_dump(mode="json")}
            await chats.gave(db, operation.chat, operation.turn, outputs)

    async def _turn(self, call: Call[Any], key: str, number: int) -> AssistantChatMessage | ToolsDue:
        """One turn of the model, if it was not paid for yet."""
        async with self._context.store.begin() as db:
            chat = await _chat(db, call, key)
            row = await messages.by_key(db, key)
            agent_id, question = await asked(db, call.session_id, MessageRef.model_validate(chat.question))
            rounds = [_round(turn) for turn in await chats.turns(db, key)]
        tools = [ToolSpec.model_validate(tool) for tool in chat.tools]
        if row is not None:
            return assistant_message(row)
        if number < len(rounds):
            return _due(key, number, rounds[number].calls, tools)

        async def ask() -> ModelAnswer | ToolsWanted:
            brief = await shortened(self._context, call.session_id, question)
            talk = Talk(question=brief, tools=tools, rounds=rounds, must_answer=number >= MOST_TURNS)
            return await self._context.model.chat(talk, RetrieverOf(agent_id, self._context.retriever), nobody)

        said = await or_handed_over(self._context, call, ask)
        if isinstance(said, ModelAnswer):
            row = await record_answer(self._context.store, call.session_id, key, said)
            async with self._context.store.begin() as db:
                await effects.finish(db, key, result={"chat_id": row.id})
            return assistant_message(row)
        async with self._context.store.begin() as db:
            await chats.said(db, key, number, said.model_dump(mode="json"))
        return _due(key, number, said.calls, tools)


async def use(context: Context, call: ToolCall, agent_id: int, question: Question, rounds: Sequence[Round]) -> ToolGave:
    """What one of the engine's own tools gives."""
    match call.name, call.arguments:
        case "search", {"query": str(query)} if query.strip():
            looked_for = question.model_copy(update={"text": query, "history": ()})
            found = await context.retriever.find(agent_id, looked_for, _FOUND)
            text = "" if found.passages else "Nothing was found. Try other words, or one part of the question."
            return ToolGave(call_id=call.id, text=text, passages=found.passages)
        case "open_document", {"document": int(document)}:
            return await _opened(context, call.id, document, agent_id, rounds)
        case ("search" | "open_document") as name, _:
            return ToolGave(call_id=call.id, text=f"{name} does not take these arguments.", is_error=True)
        case name, _:
            return ToolGave(call_id=call.id, text=f"There is no tool {name!r:.80}.", is_error=True)


async def _opened(context: Context, call_id: str, document: int, agent_id: int, rounds: Sequence[Round]) -> ToolGave:
    """A document that a search of this chat found: so nothing is opened that this chat may not see."""
    seen = [passage for one in rounds for gave in one.outputs for passage in gave.passages]
    known = next((passage for passage in seen if passage.document_id == document), None)
    if known is None:
        return ToolGave(call_id=call_id, text="No search of this chat found that document.", is_error=True)
    async with context.store.read() as db:
        rows = await documents.passages_of(db, agent_id, document)
    page = (known.url or "").partition("#")[0]
    passages: list[Passage] = []
    for row in rows:
        if sum(len(passage.text) for passage in passages) + len(row.text) > LONGEST_DOCUMENT:
            break
        passages.append(
            Passage(
                id=row.id,
                document_id=document,
                title=row.title,
                heading_path=row.heading_path,
                url=f"{page}#{row.anchor}" if page and row.anchor else page or None,
                text=row.text,
            )
        )
    text = "" if passages else "The document is gone."
    return ToolGave(call_id=call_id, text=text, is_error=not passages, passages=passages)


async def reason(context: Context, agent_id: int, question: Question) -> ModelAnswer:
    """A whole chat at once, with the engine's own tools: for what is only evaluated, and may be done again."""
    rounds: list[Round] = []
    while True:
        talk = Talk(question=question, rounds=rounds, must_answer=len(rounds) >= MOST_TURNS)
        said = await context.model.chat(talk, RetrieverOf(agent_id, context.retriever), nobody)
        if isinstance(said, ModelAnswer):
            return said
        outputs = [await use(context, call, agent_id, question, rounds) for call in said.calls]
        rounds.append(Round(text=said.text, calls=said.calls, outputs=outputs))


async def _chat(db: AsyncSession, call: Call[Any], key: str) -> ChatRow:
    """The chat of that key: of this session, and of no other."""
    chat = await chats.get(db, key)
    if chat is None or chat.session_id != call.session_id:
        raise UsageError(f"Session {call.session_id} has no chat {key}")
    return chat


def _round(turn: chats.Turn) -> Round:
    said = ToolsWanted.model_validate(turn.said)
    outputs = [
        ToolGave.model_validate(turn.gave[call.id])
        if call.id in turn.gave
        else ToolGave(call_id=call.id, text="It gave nothing.", is_error=True)
        for call in said.calls
    ]
    return Round(text=said.text, calls=said.calls, outputs=outputs)


def _due(key: str, number: int, calls: Sequence[ToolCall], tools: Sequence[ToolSpec]) -> ToolsDue:
    """What the session has to see to: arguments only for tools that run where it runs."""
    theirs = {tool.name for tool in tools}
    shown = [call if call.name in theirs else ToolCall(id=call.id, name=call.name) for call in calls]
    return ToolsDue(chat=key, turn=number, calls=shown)
