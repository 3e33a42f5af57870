"""The registry of adapters, and what platforms say that are not connected."""

import re

import pytest

from gateways.adapter import Content, Effect
from gateways.adapters import ADAPTERS, adapters, openers
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings
from runllm.bridge.surfaces import (
    ChatSurface,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.errors import NotConnected
from store.engine import Store
from store.sealing import Seal

EFFECT = Effect(key="1:1", session_id=1)
CONTENT = Content(chat_id=1, text="x")
FOREIGN: list[tuple[ChatSurface, str, str]] = [
    (SlackThread(config=SlackThreadConfig(bot_conn_token="x", team_id="T1", channel="C1")), "'T1'", "slack"),
    (ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7")), "'acme'", "zendesk"),
    (DiscordThread(config=DiscordThreadConfig(guild_id="9", channel_id="8", thread_id="7")), "'9'", "discord"),
]


class Silent:
    def poke(self, surface_key: str) -> None:
        """Nobody listens."""


def test_every_kind_of_surface_has_an_adapter() -> None:
    assert set(ADAPTERS) == set(SurfaceType)


@pytest.mark.parametrize(("surface", "names", "command"), FOREIGN)
async def test_a_platform_that_is_not_connected_says_which_and_how(
    store: Store, surface: ChatSurface, names: str, command: str
) -> None:
    adapter = adapters(Outlets(store, Silent(), Seal("x"), PlatformSettings()))[surface.type]
    sentence = rf"{re.escape(names)} is not connected.*runllm connect {command}"
    with pytest.raises(NotConnected, match=sentence):
        await adapter.post(EFFECT, surface, CONTENT)
    with pytest.raises(NotConnected, match=sentence):
        await adapter.edit(EFFECT, surface, "1", CONTENT)
    with pytest.raises(NotConnected, match=sentence):
        await adapter.delete(EFFECT, surface, "1")
    with pytest.raises(NotConnected, match=sentence):
        await adapter.settle_buttons(surface, "1", CONTENT, "over")


async def test_so_does_who_opens_threads_and_tickets(store: Store) -> None:
    by_kind = openers(Outlets(store, Silent(), Seal("x"), PlatformSettings()))
    with pytest.raises(NotConnected, match=r"'T2'.*runllm connect slack"):
        await by_kind.slack.open_slack_thread(EFFECT, "T2", "C")
    with pytest.raises(NotConnected, match=r"'5'.*runllm connect discord"):
        await by_kind.discord.open_discord_thread(EFFECT, "5", "C")
    opener = by_kind.zendesk
    with pytest.raises(NotConnected, match=r"'acme' is not connected.*runllm connect zendesk"):
        await opener.open_ticket(EFFECT, "acme.zendesk.com", "t", "d", [])
    with pytest.raises(NotConnected, match=r"No Zendesk account is connected.*runllm connect zendesk"):
        await opener.open_ticket(EFFECT, None, "t", "d", [])
    with pytest.raises(NotConnected, match=r"'acme'"):
        await opener.update_ticket(EFFECT, FOREIGN[1][0], [], "solved")  # type: ignore[arg-type]
