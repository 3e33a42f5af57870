"""What every platform can do for a session, and who does it.

An adapter turns one effect into one call of a platform. Temporal owns retries: an adapter tries once, and before it
tries again it looks for what an earlier try left behind. `effect.earlier` says whether there was one.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import ChatSurface, DiscordThread, SlackThread, SurfaceType, ZendeskTicket
from runllm.operations import ButtonWait, Frozen


class Effect(Frozen):
    """One change of a platform.

    Attributes:
        key: `{session_id}:{effect_no}`; unique in the ledger and, where the platform can hold it, there.
        session_id: Whose effect it is.
        earlier: An earlier attempt started and nobody knows how it ended: look before you send.
    """

    key: str
    session_id: int
    earlier: bool = False


class Content(Frozen):
    """A message as a platform is to show it. `chat_id` is its row in the record."""

    chat_id: int
    text: str
    author: MessageType = MessageType.ASSISTANT
    author_name: str | None = None
    category: AnswerCategory | None = None
    sources: list[Source] = []
    attachments: list[dict[str, Any]] = []
    prefix: str | None = None
    ephemeral: bool = False
    enable_feedback: bool = True
    blocks: list[dict[str, Any]] = []
    wait: ButtonWait | None = None


class SurfaceAdapter(Protocol):
    """One platform's outbound side.

    All methods raise `NotConnected`, `RateLimited`, `Unavailable` or `Rejected`.
    """

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Shows a message once, and returns the platform's identifier of it."""
        ...

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Replaces a message that this engine posted."""
        ...

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Removes a message that this engine posted."""
        ...

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Disables the buttons of a message and shows `note` in their place: who clicked what, or that time is up."""
        ...


class ThreadOpener(Protocol):
    """A platform on which the agent can open threads or tickets."""

    async def open_slack_thread(self, effect: Effect, team_id: str, channel_id: str) -> SlackThread:
        """Opens a thread in a Slack channel."""
        ...

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        """Opens a thread in a Discord channel."""
        ...

    async def open_ticket(
        self, effect: Effect, domain: str | None, title: str, description: str, tags: Sequence[str]
    ) -> ZendeskTicket:
        """Opens a Zendesk ticket."""
        ...

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        """Adds tags to a ticket and sets its status."""
        ...


Adapters = dict[SurfaceType, SurfaceAdapter]
