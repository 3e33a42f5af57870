"""What an agent may ask for: one frozen model an operation, and the runtime that carries them out.

An operation is what crosses from a handler to the activity that performs it. It holds references
(`chat_id`, surface) rather than texts, so that a text enters the history of a session once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.messages import AssistantChatMessage, ChatMessage
from runllm.bridge.surfaces import AnySurface, ChatSurface, DiscordThread, SlackThread, ZendeskTicket
from runllm.bridge.triggers import Trigger

if TYPE_CHECKING:
    from runllm.decorators import TaskWrapper
    from runllm.tools import ToolWrapper

R = TypeVar("R")
T = TypeVar("T")


class Frozen(BaseModel):
    """A value that crosses a process: it never changes, and unknown fields from newer code are ignored."""

    model_config = ConfigDict(frozen=True)


class MessageRef(Frozen):
    """A message, by `chat_id` where the record holds its text, with the text where it does not.

    With both, the text replaces that of the recorded message, whose category and sources stay.
    """

    chat_id: int | None = None
    text: str | None = None

    @classmethod
    def of(cls, message: ChatMessage) -> "MessageRef":
        """The shortest reference to `message`."""
        if isinstance(message, str):
            return cls(text=message)
        unchanged = message.chat_id is not None and message._recorded == message.text
        return cls(chat_id=message.chat_id, text=None if unchanged else message.text)


class Operation(Frozen, Generic[R]):
    """Something an agent asks for; `R` is what it gets.

    `name` is the name of the activity that performs it, and what the Web UI shows.
    """

    name: ClassVar[str]


class ToolSpec(Frozen):
    """A tool as a model is told of it.

    Attributes:
        parameters: What it takes, as a JSON schema of an object.
    """

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(Frozen):
    """A tool that a model wants to use; `id` tells two calls of one turn apart."""

    id: str = ""
    name: str
    arguments: dict[str, Any] = {}


class Answer(Operation[AssistantChatMessage]):
    """Answer a question from the knowledge base; nothing is sent."""

    name = "answers.answer"
    question: MessageRef


class Chat(Operation[AssistantChatMessage]):
    """Answer a question with several rounds of searching and reasoning; nothing is sent."""

    name = "answers.chat"
    question: MessageRef
    tools: list[ToolSpec] = []


class StreamAnswer(Operation[AssistantChatMessage]):
    """Answer a question on a widget or console while the answer is being made."""

    name = "answers.stream_answer"
    question: MessageRef
    to: AnySurface


class Summarize(Operation[str]):
    """Put the conversation into a few sentences that fit the description of a ticket."""

    name = "answers.summarize"


class Learn(Operation[str]):
    """Take facts from what people other than the asker stated; the result says which."""

    name = "learning.learn"


class Categorized(Frozen):
    """The category chosen, and all tags on the conversation afterwards."""

    category: str
    tags: list[str]


class Categorize(Operation[Categorized]):
    """Choose one of several categories."""

    name = "tagging.categorize"
    categories: dict[str, str]
    default: str
    guidelines: str | None = None
    apply_as_tag: bool = False
    examples: dict[str, list[str]] = {}
    """Messages that belong to a category, of those that have some."""


class Tagged(Frozen):
    """The tags that are new, and all tags on the conversation afterwards."""

    applied: list[str]
    tags: list[str]


class Tag(Operation[Tagged]):
    """Apply those of several tags that fit and are not applied yet."""

    name = "tagging.tag"
    options: dict[str, str]
    guidelines: str | None = None
    examples: dict[str, list[str]] = {}
    """Messages that a tag fits, of those that have some."""


class ApplyTag(Operation[Tagged]):
    """Apply one tag."""

    name = "tagging.apply_tag"
    tag: str


class CreateSlackThread(Operation[SlackThread]):
    """Open a Slack thread; with `reuse`, the one this session already has in that channel."""

    name = "surfaces.create_slack_thread"
    team_id: str
    channel_id: str
    reuse: bool = False


class CreateDiscordThread(Operation[DiscordThread]):
    """Open a Discord thread; with `reuse`, the one this session already has in that channel."""

    name = "surfaces.create_discord_thread"
    guild_id: str
    channel_id: str
    reuse: bool = False


class CreateZendeskTicket(Operation[ZendeskTicket]):
    """Open a Zendesk ticket about the conversation."""

    name = "surfaces.create_zendesk_ticket"
    tags: list[str] | None = None
    title: str | None = None
    description: str | None = None
    domain: str | None = None
    follow_up_of: ZendeskTicket | None = None


class UpdateZendeskTicket(Operation[None]):
    """Add tags to a Zendesk ticket and set its status."""

    name = "surfaces.update_zendesk_ticket"
    to: ZendeskTicket
    tags: list[str]
    status: str


class ButtonWait(Frozen):
    """The wait that the buttons of a message belong to.

    `wait_id` travels in each button's value, so that a click finds its wait, and only that one.
    """

    wait_id: int
    allowed_users: list[str] | None = None


class Posted(Frozen):
    """What a platform said of the message it took: its identifier there."""

    remote_id: str


class PostMessage(Operation[Posted]):
    """Send a message to a surface."""

    name = "surfaces.post_message"
    to: AnySurface
    message: MessageRef
    ephemeral: bool = False
    prefix: str | None = None
    enable_feedback: bool = True
    blocks: list[dict[str, Any]] | None = None
    wait: ButtonWait | None = None
    is_internal: bool = False


class SyncConversation(Operation[None]):
    """Copy all messages of the conversation to another surface."""

    name = "surfaces.sync_conversation"
    to: AnySurface


class Runtime(Protocol):
    """Carries out what an agent asks for: the session engine in production, `runllm.testing` in tests."""

    def perform(self, operation: Operation[R]) -> R:
        """Performs `operation` and returns its result.

        Raises:
            SurfaceError: The platform did not take it.
            ModelError: The model could not answer.
        """
        ...

    def chat(self, question: MessageRef, tools: "list[ToolWrapper] | None") -> AssistantChatMessage:
        """Answers with several rounds of searching and of using tools; all of the workflow's where `tools` is None."""
        ...

    def post_and_wait(
        self, message: PostMessage, *, timeout: timedelta | None, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        """Sends a message with buttons and parks the handler until one is clicked; None when time is up."""
        ...

    def listen(
        self,
        on: list[ChatSurface],
        handler: "TaskWrapper",
        triggers: list[Trigger] | None,
        timeout: timedelta | None,
        on_timeout: "TaskWrapper | None",
    ) -> NoReturn:
        """Makes `handler` the current handler, and leaves the one that is running."""
        ...

    def terminate(self, keep_in_sync: list[ChatSurface] | None) -> NoReturn:
        """Ends the session, and leaves the handler that is running."""
        ...

    def now(self) -> datetime:
        """The time, in UTC, the same on every replay."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Lets `duration` pass durably."""
        ...

    def step(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Runs `function` once, outside the sandbox, and remembers its result."""
        ...
