"""Who posts where: one row for each kind of surface. A new platform is a new row."""

from collections.abc import Callable

from gateways.adapter import Adapters, Openers, SurfaceAdapter
from gateways.console.outbound import AdminConsoleAdapter
from gateways.discord.outbound import DiscordAdapter
from gateways.outlets import Outlets
from gateways.slack.outbound import SlackAdapter
from gateways.widget.outbound import ChatWidgetAdapter
from gateways.zendesk.outbound import ZendeskAdapter
from runllm.bridge.surfaces import SurfaceType


def slack_adapter(outlets: Outlets) -> SlackAdapter:
    """Slack, with what it is told of by the environment."""
    return SlackAdapter(outlets.store, outlets.seal, outlets.settings.slack)


def zendesk_adapter(outlets: Outlets) -> ZendeskAdapter:
    """Zendesk, with what it is told of by the environment."""
    return ZendeskAdapter(outlets.store, outlets.seal, outlets.settings.zendesk)


def discord_adapter(outlets: Outlets) -> DiscordAdapter:
    """Discord, with what it is told of by the environment."""
    return DiscordAdapter(outlets.store, outlets.seal, outlets.settings.discord)


ADAPTERS: dict[SurfaceType, Callable[[Outlets], SurfaceAdapter]] = {
    SurfaceType.CHAT_WIDGET: lambda o: ChatWidgetAdapter(o.store, o.hub),
    SurfaceType.ADMIN_CONSOLE: lambda o: AdminConsoleAdapter(o.store, o.hub),
    SurfaceType.SLACK_THREAD: slack_adapter,
    SurfaceType.ZENDESK_TICKET: zendesk_adapter,
    SurfaceType.DISCORD_THREAD: discord_adapter,
}


def adapters(outlets: Outlets) -> Adapters:
    """An adapter for every kind of surface."""
    return {kind: make(outlets) for kind, make in ADAPTERS.items()}


def openers(outlets: Outlets) -> Openers:
    """Who opens threads and tickets."""
    return Openers(slack=slack_adapter(outlets), discord=discord_adapter(outlets), zendesk=zendesk_adapter(outlets))
