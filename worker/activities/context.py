"""What activities work with. Built once, in `__main__`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateways.adapter import Adapters, Openers, SurfaceAdapter
from runllm.bridge.surfaces import ChatSurface, SurfaceType
from runllm.errors import NotConnected
from store.engine import Store
from worker.answering.model_settings import HANDOVER, Caps, Price
from worker.answering.protocol import Emit, Found, Model, ModelAnswer, Question, Retriever

APOLOGY = "Sorry, something went wrong on our side, and your message may not have been dealt with. It is on record."
"""What people are told where a handler failed on their message, unless the installation says something else."""

_HOW_TO_CONNECT = {
    SurfaceType.SLACK_THREAD: "Slack",
    SurfaceType.ZENDESK_TICKET: "Zendesk",
    SurfaceType.DISCORD_THREAD: "Discord",
    SurfaceType.CHAT_WIDGET: "The chat widget",
    SurfaceType.ADMIN_CONSOLE: "The admin console",
}


class Hub(Protocol):
    """Shows what is being done right now. Some of it may be lost; it never fails and never waits."""

    async def push(self, surface_key: str, message: str, attempt: int, offset: int, text: str) -> None:
        """Shows the next piece of the message that will have the remote id `message`.

        `offset` counts as browsers do, in UTF-16 units.
        """
        ...

    def stage(self, surface_key: str, text: str) -> None:
        """Shows what the agent is doing; empty for nothing any more."""
        ...


class Ahead(Protocol):
    """Does beforehand what sessions are about to ask for."""

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """See `Model.answer`: the model may have been asked already."""
        ...

    async def read_on(self, session_id: int) -> None:
        """Reads a conversation, so that nobody has to once its next message has come."""
        ...


@dataclass(frozen=True)
class Context:
    """The record, the platforms, the hub, the model and the knowledge base.

    Attributes:
        ahead: Who may have done already what a session asks for; None where nobody does before it is time.
        handover: What a customer is told when no model answers.
        apology: What people are told where a handler failed on their message; empty for nothing.
        caps: What models may cost.
        prices: What tokens cost, where this installation knows better.
    """

    store: Store
    adapters: Adapters
    openers: Openers
    hub: Hub
    model: Model
    retriever: Retriever
    ahead: Ahead | None = None
    handover: str = HANDOVER
    apology: str = APOLOGY
    caps: Caps = field(default_factory=Caps)
    prices: Mapping[str, Price] = field(default_factory=dict)

    def adapter(self, surface: ChatSurface) -> SurfaceAdapter:
        """Who posts to `surface`.

        Raises:
            NotConnected: Nobody does.
        """
        adapter = self.adapters.get(surface.type)
        if adapter is None:
            raise _not_connected(surface.type)
        return adapter


def _not_connected(kind: SurfaceType) -> NotConnected:
    return NotConnected(f"{_HOW_TO_CONNECT[kind]} is not connected to this engine. Connect it first: runllm connect")
