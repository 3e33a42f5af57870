"""Who posts where: one row for each kind of surface. A new platform is a new row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateways.adapter import Adapters, Effect, SurfaceAdapter, ThreadOpener
from gateways.console.outbound import AdminConsoleAdapter
from gateways.discord.outbound import DiscordAdapter
from gateways.recorded import Pokes
from gateways.slack.outbound import SlackAdapter
from gateways.widget.outbound import ChatWidgetAdapter
from gateways.zendesk.outbound import ZendeskAdapter
from runllm.bridge.surfaces import DiscordThread, SlackThread, SurfaceType, ZendeskTicket
from store.engine import Store

ADAPTERS: dict[SurfaceType, Callable[[Store, Pokes], SurfaceAdapter]] = {
    SurfaceType.CHAT_WIDGET: ChatWidgetAdapter,
    SurfaceType.ADMIN_CONSOLE: AdminConsoleAdapter,
    SurfaceType.SLACK_THREAD: lambda store, hub: SlackAdapter(),
    SurfaceType.ZENDESK_TICKET: lambda store, hub: ZendeskAdapter(),
    SurfaceType.DISCORD_THREAD: lambda store, hub: DiscordAdapter(),
}


def adapters(store: Store, hub: Pokes) -> Adapters:
    """An adapter for every kind of surface."""
    return {kind: make(store, hub) for kind, make in ADAPTERS.items()}


def openers() -> dict[SurfaceType, ThreadOpener]:
    """Who opens threads and tickets, by their kind."""
    opener = _Opener(SlackAdapter(), DiscordAdapter(), ZendeskAdapter())
    return {
        SurfaceType.SLACK_THREAD: opener,
        SurfaceType.DISCORD_THREAD: opener,
        SurfaceType.ZENDESK_TICKET: opener,
    }


@dataclass(frozen=True)
class _Opener:
    """Sends each request to the platform it is for."""

    slack: SlackAdapter
    discord: DiscordAdapter
    zendesk: ZendeskAdapter

    async def open_slack_thread(self, effect: Effect, team_id: str, channel_id: str) -> SlackThread:
        return await self.slack.open_slack_thread(effect, team_id, channel_id)

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        return await self.discord.open_discord_thread(effect, guild_id, channel_id)

    async def open_ticket(
        self, effect: Effect, domain: str | None, title: str, description: str, tags: Sequence[str]
    ) -> ZendeskTicket:
        return await self.zendesk.open_ticket(effect, domain, title, description, tags)

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        await self.zendesk.update_ticket(effect, to, tags, status)
