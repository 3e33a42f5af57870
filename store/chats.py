"""Chats under way: what a model said and what its tools gave, turn by turn, so that nothing is paid for twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import ChatRow, ChatStepRow
from store.rows import find, insert_missing, insert_new


@dataclass(frozen=True)
class Turn:
    """What the model said in one turn, and what each call gave by its id."""

    said: dict[str, Any]
    gave: dict[str, dict[str, Any]] = field(default_factory=dict)


async def begin(
    db: AsyncSession, key: str, session_id: int, question: dict[str, Any], tools: Sequence[dict[str, Any]]
) -> None:
    """Writes down what a chat is about. The same `key` again changes nothing."""
    await insert_new(db, ChatRow, key=key, session_id=session_id, question=question, tools=list(tools))


async def get(db: AsyncSession, key: str) -> ChatRow | None:
    """The chat of that effect."""
    return await find(db, ChatRow, ChatRow.key == key)


async def said(db: AsyncSession, key: str, turn: int, content: dict[str, Any]) -> None:
    """Writes down what the model said in a turn. The first that was written stays."""
    await insert_new(db, ChatStepRow, chat_key=key, turn=turn, call_id="", content=content)


async def gave(db: AsyncSession, key: str, turn: int, outputs: dict[str, dict[str, Any]]) -> None:
    """Writes down what tools gave, by the ids of the calls. The first that was written stays."""
    rows = [{"chat_key": key, "turn": turn, "call_id": call, "content": content} for call, content in outputs.items()]
    await insert_missing(db, ChatStepRow, rows)


async def turns(db: AsyncSession, key: str) -> list[Turn]:
    """All that was said and given in a chat, in order."""
    query = select(ChatStepRow).where(ChatStepRow.chat_key == key).order_by(ChatStepRow.turn, ChatStepRow.call_id)
    found: list[Turn] = []
    for step in await db.scalars(query):
        if step.call_id:
            found[step.turn].gave[step.call_id] = step.content
        else:  # the empty id comes first in each turn
            found.append(Turn(step.content))
    return found
