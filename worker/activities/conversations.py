"""A conversation as a model is shown it, and as a ticket shows it: loaded from the record by the session's number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, MessageType, Source
from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, surface_key
from runllm.errors import UsageError
from runllm.operations import MessageRef
from store import messages, sessions
from store.messages import Said
from store.models import Message
from worker.answering.protocol import Question, Turn


@dataclass(frozen=True)
class Conversation:
    """What was said in a session, oldest first, and whose knowledge base answers it. Each turn has its message."""

    agent_id: int
    turns: Sequence[Turn]
    chat_ids: Sequence[int] = ()


async def conversation(db: AsyncSession, session_id: int) -> Conversation:
    """All that was said and shown, without what only the support team may see: it may be told to anybody."""
    said = [row for row in await messages.said(db, session_id) if not row.is_internal]
    agent_id, asker = await _whose(db, session_id)
    return Conversation(agent_id, _turns(said, asker), [row.id for row in said])


async def asked(db: AsyncSession, session_id: int, ref: MessageRef) -> tuple[int, Question]:
    """The agent that is asked, and what."""
    shown = await messages.said(db, session_id, until_chat_id=ref.chat_id)
    row: Said | Message | None = next((one for one in shown if one.id == ref.chat_id), None)
    if row is None and ref.chat_id is not None:  # it is shown nowhere, or it was deleted
        row = await recorded(db, session_id, ref.chat_id)
    text = ref.text if ref.text is not None else row.text if row else ""
    if row is None or not row.is_internal:  # an answer may go anywhere; one to the support team stays there
        shown = [one for one in shown if not one.is_internal]
    agent_id, asker = await _whose(db, session_id)
    history = _turns(shown, asker, but=ref.chat_id)
    surfaces = await sessions.surfaces_of(db, session_id)
    question = Question(text=text, history=history, page=_page(surfaces), audience=_audience(surfaces))
    return agent_id, question


@dataclass(frozen=True)
class Before:
    """A conversation up to the message that comes next.

    Attributes:
        shown: What the counter of its postings is: while that stays the same, all this does.
    """

    turns: Sequence[Turn]
    surfaces: Sequence[ChatSurface]
    shown: int

    def asked(self, text: str, surface: ChatSurface) -> Question:
        """What `asked` will find once a message with that text has come from there."""
        surfaces = self.surfaces
        if isinstance(surface, ChatWidget) and surface.config.context:  # the page may be another one
            key = surface_key(surface)
            surfaces = [surface if surface_key(one) == key else one for one in surfaces]
        return Question(text=text, history=list(self.turns), page=_page(surfaces), audience=_audience(surfaces))


async def before(db: AsyncSession, session_id: int) -> Before:
    """The conversation as it is now."""
    session = await sessions.get(db, session_id)
    return Before(
        turns=(await conversation(db, session_id)).turns,
        surfaces=await sessions.surfaces_of(db, session_id),
        shown=session.last_seq if session else 0,
    )


async def recorded(db: AsyncSession, session_id: int, chat_id: int) -> Message:
    """A message of this session.

    Raises:
        UsageError: The session has no such message: another one's is nobody's business here.
    """
    row = await messages.get(db, chat_id)
    if row is None or row.session_id != session_id:
        raise UsageError(
            f"Session {session_id} has no message {chat_id}. Pass a message of this conversation, or plain text"
        )
    return row


def assistant_message(row: Message) -> AssistantChatMessage:
    """A recorded answer as handlers get it."""
    return AssistantChatMessage(
        text=row.text,
        chat_id=row.id,
        category=AnswerCategory(row.category) if row.category else None,
        sources=[Source.model_validate(source) for source in row.sources],
    )


def as_text(turns: Sequence[Turn]) -> str:
    """The conversation for people to read: in the description of a ticket."""
    return "\n\n".join(f"{speaker(turn)}: {turn.text.strip()}" for turn in turns)


def speaker(turn: Turn) -> str:
    """What to call the one who wrote it."""
    return turn.author_name or ("Assistant" if turn.author == "assistant" else "User")


def _turns(rows: Sequence[Said], asker: str | None, but: int | None = None) -> list[Turn]:
    """Turns of messages, without the message `but`.

    `asker` is who wrote the first message. Where the platform does not say who wrote one, it counts as the asker's:
    then nothing is learned from it.
    """
    return [
        Turn(
            author="user" if row.author == MessageType.USER else "assistant",
            text=row.text,
            author_name=row.author_name,
            chat_id=row.id,
            is_asker=row.author == MessageType.USER and (row.author_id is None or row.author_id == asker),
        )
        for row in rows
        if row.id != but
    ]


async def _whose(db: AsyncSession, session_id: int) -> tuple[int, str | None]:
    """The agent of a session, and who asked first."""
    whose = await messages.agent_and_asker(db, session_id)
    if whose is None:
        raise UsageError(f"There is no session {session_id} in the record. Check that RUNLLM_DATABASE_URL is right")
    return whose


def _audience(surfaces: Sequence[ChatSurface]) -> Literal["public", "internal"]:
    """Who reads the answer: colleagues alone only where every place of the conversation is an admin console."""
    return "internal" if surfaces and all(isinstance(one, AdminConsole) for one in surfaces) else "public"


def _page(surfaces: Sequence[ChatSurface]) -> dict[str, str]:
    """What the widget's page said of itself."""
    for surface in surfaces:
        if isinstance(surface, ChatWidget):
            context: dict[str, Any] = surface.config.context or {}
            return {key: value for key, value in context.items() if isinstance(value, str)}
    return {}
