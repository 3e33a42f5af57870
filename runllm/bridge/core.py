"""What a handler is given."""

from typing import Any

from pydantic import BaseModel, PrivateAttr

from runllm.bridge.messages import UserChatMessage
from runllm.bridge.surfaces import AnySurface
from runllm.bridge.triggers import AnyTrigger


class Conversation(BaseModel):
    """The conversation that an event belongs to.

    Attributes:
        new_message: The message that brought the event about; None where nobody wrote one.
        surface: Where it was written.
        tags: The tags on the conversation. `Agent.tag` and `Agent.apply_tag` keep the list up to date.
    """

    new_message: UserChatMessage | None = None
    surface: AnySurface
    tags: list[str] = []

    _session_id: int = PrivateAttr(default=0)

    def __init__(self, *, session_id: int = 0, **fields: Any) -> None:
        super().__init__(**fields)
        self._session_id = session_id

    @property
    def session_id(self) -> int:
        """The number of the session: the durable execution of this conversation."""
        return self._session_id


class Event(BaseModel):
    """What brought a handler to run.

    Attributes:
        conversation: The conversation it happened in.
        trigger: The trigger that fired.
        timed_out: The handler runs because `listen(timeout=...)` passed in silence.
    """

    conversation: Conversation
    trigger: AnyTrigger
    timed_out: bool = False
