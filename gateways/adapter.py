"""What every platform can do for a session, and who does it.

Inbound, a platform turns what it received into an `Inbound`. Outbound, an adapter turns one effect into one call of a
platform. Temporal owns retries: an adapter tries once, and before it tries again it looks for what an earlier try left
behind. `effect.earlier` says whether there was one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import Field

from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import AnySurface, ChatSurface, DiscordThread, SlackThread, SurfaceType, ZendeskTicket
from runllm.bridge.triggers import Happening
from runllm.operations import ButtonWait, Frozen


class Earlier(Frozen):
    """A message that was said in a thread before the agent was summoned into it.

    Attributes:
        remote_id: The platform's identifier of the message.
        text, user, author_name, attachments: As in `Inbound`.
        at: When it was written, in UTC; None where the platform does not say.
        is_from_bot, is_from_staff, is_internal: As in `Inbound`.
    """

    remote_id: str
    text: str
    user: str | None = None
    author_name: str | None = None
    attachments: list[dict[str, Any]] = []
    at: datetime | None = None
    is_from_bot: bool = False
    is_from_staff: bool = False
    is_internal: bool = False


class Inbound(Frozen):
    """One verified event of a platform, in our words: what `gateways.routing` takes in.

    Attributes:
        kind: What happened.
        dedupe_key: Names what the platform means by "the same event": the second one with it changes nothing.
        surface: Where it happened.
        happening: What triggers look at; None for clicks, which need none.
        remote_id: The platform's identifier of the message that is new, edited, deleted or reacted to.
        text: What a message says, also after an edit; the new status, for `status`.
        user: Who did it, in the platform's terms.
        author_name: The name the platform shows for them.
        origin: Origin of the web page, for widgets: what `WidgetListener.domain` is compared with.
        attachments: Files, one dictionary each: `name`, `mimetype`, `size` in bytes, `url` where anybody may fetch it,
            and what only the platform's own adapter understands, under `platform` and `ref`. No tokens.
        wait_id, button_id: The click, for `button`.
        is_helpful, comment: The opinion, for `feedback`; `remote_id` is the message that it is about.
        place_tags: Tags that the platform has on the place, for tickets: what `ZendeskListener.tags` is compared with.
        is_from_bot: A program wrote it: another bot, or an integration. It wakes no handler, unless a trigger says
            `from_bots=True`; a mirror repeats it.
        is_from_staff: The platform says that a member of the support team wrote it.
        is_internal: Only the support team may see it: it is never shown where customers are.
        changed_at: When an edit was made, by the platform's clock, where it says so: the later one of two edits counts,
            whichever comes first.
        earlier: What was said in the thread before this message, oldest first: recorded with it, once, and no event. A
            reaction brings the message that it is about as the last of them. Left out where the surface has its
            session already.
    """

    kind: Literal["message", "reaction", "edit", "delete", "button", "feedback", "status"]
    dedupe_key: str
    surface: AnySurface
    happening: Happening | None = None
    remote_id: str = ""
    text: str = ""
    user: str | None = None
    author_name: str | None = None
    attachments: list[dict[str, Any]] = []
    origin: str | None = None
    wait_id: int = 0
    button_id: str = ""
    is_helpful: bool | None = None
    comment: str = ""
    place_tags: list[str] = []
    is_from_bot: bool = False
    is_from_staff: bool = False
    is_internal: bool = False
    changed_at: datetime | None = None
    earlier: list[Earlier] = []

    @property
    def event_id(self) -> str:
        """A short name of it, the same wherever it comes again."""
        return hashlib.sha256(self.dedupe_key.encode()).hexdigest()[:16]

    @property
    def is_ours(self) -> bool:
        """It happened on a surface that the engine itself shows: no platform has a copy of it."""
        return self.surface.type in (SurfaceType.CHAT_WIDGET, SurfaceType.ADMIN_CONSOLE)


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


class File(Frozen):
    """A file with its content, to be shown with a message."""

    name: str
    mimetype: str = "application/octet-stream"
    data: bytes = Field(repr=False)


class Content(Frozen):
    """A message as a platform is to show it. `chat_id` is its row in the record.

    Attributes:
        attachments: The message's files as they came in, without their content: nothing has to be sent for them.
        files: Files to send with the message. What could not be read of another platform is a line of the text already.
            An edit brings none: the files stay as they were.
    """

    chat_id: int
    text: str
    author: MessageType = MessageType.ASSISTANT
    author_name: str | None = None
    category: AnswerCategory | None = None
    sources: list[Source] = []
    attachments: list[dict[str, Any]] = []
    files: list[File] = []
    prefix: str | None = None
    ephemeral: bool = False
    enable_feedback: bool = True
    blocks: list[dict[str, Any]] = []
    wait: ButtonWait | None = None
    is_internal: bool = False
    """For the support team only: a platform that cannot hide it from customers refuses it."""


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

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file that came in on this platform, for posting it on another one.

        Raises:
            Rejected: It is gone, too large, or not this platform's.
        """
        ...


class Requester(Frozen):
    """The person whom a ticket is for.

    Attributes:
        user: Who it is, in the terms of the platform where they asked.
        name: The name that platform shows.
        email: Their address, where the platform vouches for it.
    """

    user: str
    name: str
    email: str | None = None


class SlackOpener(Protocol):
    """Who opens Slack threads."""

    async def open_slack_thread(self, effect: Effect, team_id: str, channel_id: str) -> SlackThread:
        """Opens a thread in a Slack channel."""
        ...


class DiscordOpener(Protocol):
    """Who opens Discord threads."""

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        """Opens a thread in a Discord channel."""
        ...


class TicketOpener(Protocol):
    """Who opens Zendesk tickets, and changes their status."""

    async def open_ticket(
        self,
        effect: Effect,
        domain: str | None,
        title: str,
        description: str,
        tags: Sequence[str],
        requester: Requester | None = None,
        follow_up_of: ZendeskTicket | None = None,
    ) -> ZendeskTicket:
        """Opens a Zendesk ticket, for `requester` where the conversation tells who asks; Markdown in, once."""
        ...

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        """Adds tags to a ticket and sets its status."""
        ...


@dataclass(frozen=True)
class Openers:
    """The platforms on which the agent can open threads or tickets."""

    slack: SlackOpener
    discord: DiscordOpener
    zendesk: TicketOpener


Adapters = dict[SurfaceType, SurfaceAdapter]
