"""What a language model's service is asked, and what it says: the same for every provider.

A provider knows how its service wants this written, how it streams, and how it says no. It knows nothing of questions,
passages or personal data: `worker.answering.language` makes the requests and reads the replies.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

from runllm.errors import ModelError
from runllm.operations import Frozen, ToolCall, ToolSpec

Take = Callable[[str], Awaitable[None]]
"""Takes the next piece of a reply's text, as the service sends it."""


class ModelBusy(ModelError):
    """The service cannot answer now; the same request may succeed later.

    Attributes:
        retry_after: Seconds that the service asks for; None where it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """The service refused for good, for example for a wrong key: the same request would be refused again."""


class Output(Frozen):
    """What a tool gave for one call."""

    call_id: str
    text: str
    is_error: bool = False


class Said(Frozen):
    """One message to the service.

    Attributes:
        is_stable: All up to here will be sent again in the next request, so the service may cache it.
    """

    role: Literal["user", "assistant"]
    text: str = ""
    calls: Sequence[ToolCall] = ()
    outputs: Sequence[Output] = ()
    is_stable: bool = False


class Request(Frozen):
    """What to complete.

    Attributes:
        schema_: What the text of the reply has to be: JSON that fits this schema.
        must_answer: No tool may be used any more.
    """

    system: str
    messages: Sequence[Said]
    schema_: dict[str, Any]
    tools: Sequence[ToolSpec] = ()
    must_answer: bool = False
    max_tokens: int = 2000


class Spent(Frozen):
    """The tokens of one request."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Reply(Frozen):
    """What the service said.

    Attributes:
        text: JSON; cut off where `stop` is `length`, free of form where it is `refused`.
        calls: The tools it wants to use before it answers.
    """

    text: str
    calls: Sequence[ToolCall] = ()
    stop: Literal["end", "tools", "length", "refused"] = "end"
    spent: Spent


class Provider(Protocol):
    """A model behind a service."""

    name: str
    """The model's name, as the service knows it."""

    async def complete(self, request: Request, take: Take) -> Reply:
        """Sends a request and streams the reply's text to `take`. Notes what was spent, also when it fails.

        Raises:
            ModelBusy: Trying again may help.
            ModelRefused: It will not.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
