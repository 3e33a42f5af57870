"""Places where the messages of a conversation appear."""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field

from runllm.bridge.messages import ChatMessage as ChatMessage


class SurfaceType(StrEnum):
    """The kinds of places where a conversation can happen.

    Attributes:
        CHAT_WIDGET: The chat widget on a web page.
        SLACK_THREAD: A thread in a Slack channel.
        ZENDESK_TICKET: A Zendesk ticket.
        DISCORD_THREAD: A thread in a Discord channel.
        ADMIN_CONSOLE: The engine's own admin console.
    """

    CHAT_WIDGET = "chat_widget"
    SLACK_THREAD = "slack_thread"
    ZENDESK_TICKET = "zendesk_ticket"
    DISCORD_THREAD = "discord_thread"
    ADMIN_CONSOLE = "admin_console"


class _Config(BaseModel):
    model_config = ConfigDict(validate_assignment=True)


class ChatWidgetConfig(_Config):
    """Which widget conversation, and what page it is on.

    Attributes:
        convo_identifier: UUID of the conversation.
        chat_user_id: UUID that the visitor's browser made; nobody has verified it.
        context: What the page said about itself: `page_title`, `page_content`, `url`. Untrusted input.
    """

    convo_identifier: str
    chat_user_id: str | None = None
    context: dict[str, Any] | None = None


class SlackThreadConfig(_Config):
    """Which Slack thread.

    Attributes:
        bot_conn_token: An opaque reference to the installation. Only the Slack adapter can turn it into a token.
        team_id: The workspace, like `T0123456789`.
        channel: The channel, like `C0123456789`.
        thread_ts: Timestamp of the thread's first message; None until the thread exists.
        chat_ts: Timestamp of a message that the next send replaces; cleared by that send.
        last_ts: Timestamp of what was last sent through this object. `config.chat_ts = config.last_ts` makes the next
            send replace it.
        workspace_url: The workspace's address, like `https://acme.slack.com/`; None where it is not known.
    """

    bot_conn_token: str
    team_id: str
    channel: str
    thread_ts: str | None = None
    chat_ts: str | None = None
    last_ts: str | None = None
    workspace_url: str | None = None

    # What was sent last, and where the workspace is on the web, do not make it another thread.
    def __eq__(self, other: object) -> bool:
        return _place(self) == _place(other) if isinstance(other, SlackThreadConfig) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _place(config: SlackThreadConfig) -> dict[str, Any]:
    return config.model_dump(exclude={"last_ts", "workspace_url"})


class ZendeskTicketConfig(_Config):
    """Which Zendesk ticket.

    Attributes:
        subdomain: `company` of `company.zendesk.com`.
        id: The ticket's number, as text.
    """

    subdomain: str
    id: str


class DiscordThreadConfig(_Config):
    """Which Discord thread.

    Attributes:
        guild_id: The server.
        channel_id: The channel that the thread belongs to.
        thread_id: The thread.
    """

    guild_id: str
    channel_id: str
    thread_id: str


class AdminConsoleConfig(_Config):
    """Which admin console conversation.

    Attributes:
        agent_id: The agent's number, as in the console's address `/agent/123/overview`.
        convo_identifier: UUID of the conversation: one console holds many.
    """

    agent_id: int
    convo_identifier: str = ""


class ChatWidget(BaseModel):
    """A conversation in the chat widget of a web page.

    Attributes:
        type: Always `CHAT_WIDGET`.
        config: Which conversation, and the page's context.
    """

    type: Literal[SurfaceType.CHAT_WIDGET] = SurfaceType.CHAT_WIDGET
    config: ChatWidgetConfig


class SlackThread(BaseModel):
    """A thread in a Slack channel.

    Attributes:
        type: Always `SLACK_THREAD`.
        config: Which thread.
    """

    type: Literal[SurfaceType.SLACK_THREAD] = SurfaceType.SLACK_THREAD
    config: SlackThreadConfig

    def link(self) -> str:
        """Permanent address of the thread; of the channel while the thread has no message yet.

        Where the workspace's address is not known, it is that in Slack's web client.
        """
        config = self.config
        if config.workspace_url:
            archive = f"{config.workspace_url.rstrip('/')}/archives/{config.channel}"
            return archive if config.thread_ts is None else f"{archive}/p{config.thread_ts.replace('.', '')}"
        channel = f"https://app.slack.com/client/{config.team_id}/{config.channel}"
        return channel if config.thread_ts is None else f"{channel}/thread/{config.channel}-{config.thread_ts}"


class ZendeskTicket(BaseModel):
    """A Zendesk ticket.

    Attributes:
        type: Always `ZENDESK_TICKET`.
        config: Which ticket.
    """

    type: Literal[SurfaceType.ZENDESK_TICKET] = SurfaceType.ZENDESK_TICKET
    config: ZendeskTicketConfig

    @property
    def id(self) -> str:
        """The ticket's number, as text."""
        return self.config.id

    @property
    def ticket_id(self) -> str:
        """The same as `id`."""
        return self.config.id

    @property
    def subdomain(self) -> str:
        """`company` of `company.zendesk.com`."""
        return self.config.subdomain


class DiscordThread(BaseModel):
    """A thread in a Discord channel.

    Attributes:
        type: Always `DISCORD_THREAD`.
        config: Which thread.
    """

    type: Literal[SurfaceType.DISCORD_THREAD] = SurfaceType.DISCORD_THREAD
    config: DiscordThreadConfig


class AdminConsole(BaseModel):
    """A conversation with the agent in the admin console.

    Attributes:
        type: Always `ADMIN_CONSOLE`.
        config: Which agent, and which conversation.
    """

    type: Literal[SurfaceType.ADMIN_CONSOLE] = SurfaceType.ADMIN_CONSOLE
    config: AdminConsoleConfig


ChatSurface: TypeAlias = Union[  # noqa: UP007 - the documented form of the alias
    SlackThread, ZendeskTicket, ChatWidget, DiscordThread, AdminConsole
]
"""Any place where the messages of a conversation appear."""

AnySurface: TypeAlias = Annotated[ChatSurface, Field(discriminator="type")]
"""`ChatSurface` as a field of a model: told apart by `type`."""


def surface_key(surface: ChatSurface) -> str:
    """The name of a place in the record: two surfaces with the same key are the same place."""
    match surface:
        case ChatWidget(config=config):
            return f"widget:{config.convo_identifier}"
        case SlackThread(config=config):
            return f"slack:{config.team_id}:{config.channel}:{config.thread_ts or ''}"
        case ZendeskTicket(config=config):
            return f"zendesk:{config.subdomain}:{config.id}"
        case DiscordThread(config=config):
            return f"discord:{config.guild_id}:{config.thread_id}"
        case AdminConsole(config=config):
            return f"console:{config.agent_id}:{config.convo_identifier}"
