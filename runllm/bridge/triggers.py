"""What has to happen on a surface for a handler to run, and the one rule that decides it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field, field_validator

from runllm.bridge.emoji_names import USUAL
from runllm.bridge.surfaces import ChatSurface, SurfaceType


class TriggerType(StrEnum):
    """The kinds of triggers.

    Attributes:
        MENTION: Somebody mentions the bot.
        EMOJI: Somebody reacts with an emoji.
        ALL_MESSAGES: Somebody writes a message.
        TICKET_COMMENT: Somebody comments on a ticket.
        TICKET_STATUS: Somebody sets the status of a ticket.
    """

    MENTION = "mention"
    EMOJI = "emoji"
    ALL_MESSAGES = "all_messages"
    TICKET_COMMENT = "ticket_comment"
    TICKET_STATUS = "ticket_status"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mention(_Frozen):
    """Runs the handler when a message mentions the bot.

    Attributes:
        from_bots: Other bots may wake the handler too. False unless told otherwise.
    """

    type: Literal[TriggerType.MENTION] = TriggerType.MENTION
    from_bots: bool = False


class Emoji(_Frozen):
    """Runs the handler when somebody reacts to the last message of a thread.

    Attributes:
        exclude_replies: Reactions to replies of a thread do not count. True unless told otherwise.
        shortcode: The emoji's name without colons, like `ticket`.
    """

    type: Literal[TriggerType.EMOJI] = TriggerType.EMOJI
    exclude_replies: bool = True
    shortcode: str

    @field_validator("shortcode")
    @classmethod
    def _bare(cls, value: str) -> str:
        """`:ticket:`, as people type it, is the same emoji as `ticket`."""
        bare = value.strip().strip(":")
        if not bare:
            raise ValueError("an emoji is named like 'ticket'")
        return bare


class AllMessages(_Frozen):
    """Runs the handler for every message of a person, whatever it says.

    Attributes:
        from_bots: Messages of other bots count too. False unless told otherwise. Bots that only answer each other are
            stopped after a while.
    """

    type: Literal[TriggerType.ALL_MESSAGES] = TriggerType.ALL_MESSAGES
    from_bots: bool = False


class TicketComment(_Frozen):
    """Runs the handler for every comment on a ticket, of the customer or of a support agent.

    Attributes:
        from_bots: Comments of other programs count too. False unless told otherwise.
    """

    type: Literal[TriggerType.TICKET_COMMENT] = TriggerType.TICKET_COMMENT
    from_bots: bool = False


class TicketStatus(_Frozen):
    """Runs the handler when a ticket gets a status: when the support team has solved it, say. Nobody wrote then.

    Attributes:
        statuses: The statuses that count: `new`, `open`, `pending`, `on-hold`, `solved`, `closed`.
        comments: Comments on the ticket count, too. False unless told otherwise.
        from_bots: Comments of other programs count too. False unless told otherwise.
    """

    type: Literal[TriggerType.TICKET_STATUS] = TriggerType.TICKET_STATUS
    statuses: list[Literal["new", "open", "pending", "on-hold", "solved", "closed"]] = ["solved", "closed"]
    comments: bool = False
    from_bots: bool = False


Trigger: TypeAlias = Union[  # noqa: UP007 - the documented form
    Mention, Emoji, AllMessages, TicketComment, TicketStatus
]
"""Any condition that can wake a handler."""

AnyTrigger: TypeAlias = Annotated[Trigger, Field(discriminator="type")]
"""`Trigger` as a field of a model: told apart by `type`."""


class Happening(_Frozen):
    """What a trigger looks at: the facts of one inbound event, without its text.

    Attributes:
        surface: The kind of surface it happened on.
        is_message: A new message or ticket comment, as opposed to a reaction or a change of status.
        is_mention: The message mentions the bot.
        emoji: The shortcode of a reaction; None for messages.
        emoji_aliases: Other shortcodes of the same emoji: `+1` is `thumbsup` too.
        is_reply: The message, or the one reacted to, is a reply inside a thread.
        is_last: The message reacted to is the last one of its thread.
        is_from_bot: A program wrote the message, or reacted: it wakes only triggers that say `from_bots=True`.
        status: What a ticket's status has become; None where something else happened.
    """

    surface: SurfaceType
    is_message: bool = True
    is_mention: bool = False
    emoji: str | None = None
    emoji_aliases: list[str] = []
    is_reply: bool = False
    is_last: bool = True
    is_from_bot: bool = False
    status: str | None = None


def fires(trigger: Trigger, what: Happening) -> bool:
    """Whether `trigger` wakes a handler for `what`. Routing and the session both ask here."""
    if what.is_from_bot and (isinstance(trigger, Emoji) or not trigger.from_bots):
        return False
    match trigger:
        case AllMessages():
            return what.is_message
        case Mention():
            return what.is_message and what.is_mention
        case TicketComment():
            return what.is_message and what.surface is SurfaceType.ZENDESK_TICKET
        case TicketStatus(statuses=statuses, comments=comments):
            is_comment = what.is_message and what.surface is SurfaceType.ZENDESK_TICKET
            return what.status in statuses or (comments and is_comment)
        case Emoji(shortcode=shortcode, exclude_replies=exclude_replies):
            is_it = any(is_emoji(given, shortcode) for given in (what.emoji, *what.emoji_aliases))
            return is_it and what.is_last and not (exclude_replies and what.is_reply)


def is_emoji(given: str | None, shortcode: str) -> bool:
    """Whether an emoji is the one with that shortcode, under whichever of its names."""
    return given is not None and USUAL.get(given, given) == USUAL.get(shortcode, shortcode)


def first_that_fires(triggers: Sequence[Trigger], what: Happening) -> Trigger | None:
    """The first of `triggers` that wakes a handler for `what`."""
    return next((trigger for trigger in triggers if fires(trigger, what)), None)


def default_trigger(surface: ChatSurface) -> Trigger:
    """What `Agent.listen` listens for where it is not told."""
    return TicketComment() if surface.type is SurfaceType.ZENDESK_TICKET else AllMessages()
