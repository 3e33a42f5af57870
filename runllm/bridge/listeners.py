"""Where a published workflow listens for new conversations."""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from runllm.bridge.triggers import AnyTrigger, Mention, TicketComment, Trigger


class ListenerType(StrEnum):
    """The kinds of listeners.

    Attributes:
        SLACK_THREAD: Slack channels and threads.
        WIDGET: Chat widgets on web pages.
        DISCORD_THREAD: Discord channels and threads.
        ADMIN_CONSOLE: The engine's own admin console.
        ZENDESK_TICKET: Zendesk tickets.
    """

    SLACK_THREAD = "slack_thread"
    WIDGET = "widget"
    DISCORD_THREAD = "discord_thread"
    ADMIN_CONSOLE = "admin_console"
    ZENDESK_TICKET = "zendesk_ticket"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Triggers: TypeAlias = AnyTrigger | list[AnyTrigger]


def as_list(triggers: Trigger | list[Trigger] | None) -> list[Trigger]:
    """One trigger, several or none, as a list."""
    if triggers is None:
        return []
    return list(triggers) if isinstance(triggers, list) else [triggers]


class SlackChannel(_Frozen):
    """A Slack channel to listen in.

    Attributes:
        channel_id: The channel, like `C0123456789`.
        trigger: What wakes the workflow there; the listener's `default_trigger` where it is None.
    """

    channel_id: str
    trigger: Triggers | None = None


class SlackListener(_Frozen):
    """Listens in a Slack workspace.

    Attributes:
        type: Always `SLACK_THREAD`.
        team_id: The workspace, like `T0123456789`.
        channels: The channels to listen in; all that the bot is a member of where it is empty or None.
        default_trigger: What wakes the workflow in a channel without a trigger of its own: a mention.
    """

    type: Literal[ListenerType.SLACK_THREAD] = ListenerType.SLACK_THREAD
    team_id: str
    channels: list[SlackChannel] | None = None
    default_trigger: Triggers = Mention()


class WidgetListener(_Frozen):
    """Listens to the chat widgets of a web site.

    Attributes:
        type: Always `WIDGET`.
        domain: The site's host, like `example.com`; `*.example.com` for its subdomains.
    """

    type: Literal[ListenerType.WIDGET] = ListenerType.WIDGET
    domain: str


class DiscordChannel(_Frozen):
    """A Discord channel to listen in.

    Attributes:
        channel_id: The channel, like `123456789012345678`.
        trigger: What wakes the workflow there; the listener's `default_trigger` where it is None.
    """

    channel_id: str
    trigger: Triggers | None = None


class DiscordListener(_Frozen):
    """Listens in a Discord server.

    Attributes:
        type: Always `DISCORD_THREAD`.
        guild_id: The server, like `123456789012345678`.
        channels: The channels to listen in; all that the bot can read where it is empty or None.
        default_trigger: What wakes the workflow in a channel without a trigger of its own: a mention.
    """

    type: Literal[ListenerType.DISCORD_THREAD] = ListenerType.DISCORD_THREAD
    guild_id: str
    channels: list[DiscordChannel] | None = None
    default_trigger: Triggers = Mention()


class AdminConsoleListener(_Frozen):
    """Listens to the conversations that people start in the admin console.

    Attributes:
        type: Always `ADMIN_CONSOLE`.
        agent_id: The agent's number, as in the console's address `/agent/123/overview`.
    """

    type: Literal[ListenerType.ADMIN_CONSOLE] = ListenerType.ADMIN_CONSOLE
    agent_id: int


def _short_name(value: object) -> object:
    """`company` of `company.zendesk.com`: both are what people call an account."""
    return value.strip().lower().removesuffix(".zendesk.com") if isinstance(value, str) else value


class ZendeskListener(_Frozen):
    """Listens to the tickets of a Zendesk account: a customer's public comment on one starts a conversation.

    Internal notes and comments of the support team start none; once it has begun, they are events like others.

    Attributes:
        type: Always `ZENDESK_TICKET`.
        subdomain: `company` of `company.zendesk.com`.
        tags: Only tickets that carry one of these tags; all tickets where it is empty or None.
        default_trigger: What wakes the workflow on such a ticket: a comment.
    """

    type: Literal[ListenerType.ZENDESK_TICKET] = ListenerType.ZENDESK_TICKET
    subdomain: Annotated[str, BeforeValidator(_short_name)]
    tags: list[str] | None = None
    default_trigger: Triggers = TicketComment()


Listener: TypeAlias = Union[  # noqa: UP007 - the documented form of the alias
    SlackListener, WidgetListener, DiscordListener, AdminConsoleListener, ZendeskListener
]
"""Any place where a published workflow can listen."""

AnyListener: TypeAlias = Annotated[Listener, Field(discriminator="type")]
"""`Listener` as a field of a model: told apart by `type`."""
