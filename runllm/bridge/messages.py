"""What people and the agent say."""

from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar, Union

from pydantic import BaseModel, ConfigDict, PrivateAttr


class MessageType(StrEnum):
    """Who wrote a message.

    Attributes:
        ASSISTANT: The agent.
        USER: A person.
    """

    ASSISTANT = "assistant"
    USER = "user"


class AnswerCategory(StrEnum):
    """How good the agent thinks its own answer is.

    Attributes:
        IRRELEVANT: The question has nothing to do with what the agent knows about.
        UNANSWERED: On topic, but nothing in the knowledge base answers it.
        LOW_CONFIDENCE: There is an answer, and a person should have a look at it.
        ANSWERED: The answer is relevant and supported by its sources.
    """

    IRRELEVANT = "irrelevant"
    UNANSWERED = "unanswered"
    LOW_CONFIDENCE = "low_confidence"
    ANSWERED = "answered"


class Source(BaseModel):
    """One passage of the knowledge base that an answer rests on.

    Attributes:
        title: Title of the document, with the headings above the passage.
        url: Where a person can read it; None for documents without an address.
        quote: The words of the passage that were used.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    url: str | None = None
    quote: str = ""


class _RecordedText(BaseModel):
    """Remembers the text that the record holds under `chat_id`.

    An unchanged message travels through history as its `chat_id`; only a text that was changed
    in the handler travels again.
    """

    _recorded: str | None = PrivateAttr(default=None)

    # What the record holds is no part of the message. Being mutable, messages stay unhashable, like every such model.
    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, type(self)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class AssistantChatMessage(_RecordedText):
    """A message that the agent wrote.

    Attributes:
        text: What it says, in Markdown. `content` is an alias.
        chat_id: Identifier of the message in the record.
        category: How good the agent thinks the answer is; None where no answer was asked for.
        sources: The passages the answer rests on, best first.
    """

    type: Literal[MessageType.ASSISTANT] = MessageType.ASSISTANT
    text: str
    chat_id: int
    category: AnswerCategory | None = None
    sources: list[Source] = []

    @property
    def content(self) -> str:
        """The same as `text`."""
        return self.text


class UserChatMessage(_RecordedText):
    """A message that a person wrote.

    Attributes:
        text: What it says.
        chat_id: Identifier of the message in the record, once it has one.
        user_identifier: Who wrote it, in the platform's terms. Chat widget: a UUID that the browser made.
            Slack: `<team_id>:<user_id>`. Discord: the user id.
        attachments: Files that came with it, one dictionary a file.
        author_name: The name the platform shows, where it gives one.
        is_internal: Only the support team can see it, like an internal comment of a ticket. Do not answer it where
            customers are.
        is_from_staff: A member of the support team wrote it.
    """

    type: Literal[MessageType.USER] = MessageType.USER
    text: str
    chat_id: int | None = None
    user_identifier: str | None = None
    attachments: list[dict[str, Any]] | None = None
    author_name: str | None = None
    is_internal: bool = False
    is_from_staff: bool = False


M = TypeVar("M", AssistantChatMessage, UserChatMessage)


def recorded(message: M) -> M:
    """Marks a message as it is in the record. Runtimes call it for what they hand to a handler."""
    message._recorded = message.text
    return message


# typing.Union, not `|`: the documented form of the alias, and what older editors display.
ChatMessage: TypeAlias = Union[str, AssistantChatMessage, UserChatMessage]  # noqa: UP007
"""Anything that can be sent: plain text, an answer of the agent, a person's message."""
