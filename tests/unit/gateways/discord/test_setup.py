"""Connecting a server: what is wrong is said in words, with what to do."""

import pytest

from gateways.connecting import Checked
from gateways.discord.setup import NEEDED, SETUP, check
from gateways.platforms import DiscordSettings, PlatformSettings
from gateways.settings import GatewaySettings
from runllm.errors import NotConnected, Unavailable, UsageError
from runllm.testing.platforms import discord_shapes as shapes
from runllm.testing.platforms.discord import FakeDiscord
from tests.unit.cli.terminal import Terminal, terminal
from tests.unit.gateways.conftest import SECRET, Gateway
from tests.unit.gateways.test_api_lookups import caller

__all__ = ["terminal"]

pytestmark = pytest.mark.contract


async def looked(fake: FakeDiscord, where: DiscordSettings, guild: str = "", token: str = "") -> Checked:
    given = {"token": token or fake.token, **({"guild_id": guild} if guild else {})}
    return await check(PlatformSettings(discord=where), given)


def bad(looked: Checked) -> str:
    return "\n".join(one.text for one in looked.findings if one.verdict == "bad")


async def test_a_bot_with_all_it_needs_is_sound(fake: FakeDiscord, settings_of_discord: DiscordSettings) -> None:
    guild = fake.guild("Acme")
    fake.channel(guild)
    found = await looked(fake, settings_of_discord)
    assert (found.external_id, found.name, found.is_sound) == (guild, "Acme", True)


@pytest.mark.parametrize("name", NEEDED)
async def test_each_missing_permission_is_named_with_the_invitation(
    fake: FakeDiscord, settings_of_discord: DiscordSettings, name: str
) -> None:
    guild = fake.guild("Acme", shapes.ALL & ~NEEDED[name])
    said = bad(await looked(fake, settings_of_discord, guild))
    assert f"lacks in the server: {name}." in said
    assert f"client_id={fake.application_id}&scope=bot&permissions=" in said
    assert f"guild_id={guild}" in said


async def test_a_channel_that_takes_rights_away_is_named(
    fake: FakeDiscord, settings_of_discord: DiscordSettings
) -> None:
    guild = fake.guild("Acme")
    fake.forbid(fake.channel(guild, "private"), shapes.VIEW | shapes.SEND_IN_THREADS)
    fake.channel(guild, "help")
    notes = [one.text for one in (await looked(fake, settings_of_discord)).findings if one.verdict == "note"]
    assert notes == ["In some channels the bot may do less: #private (View Channels, Send Messages in Threads)."]


async def test_a_missing_intent_and_a_diverted_click_are_said(
    fake: FakeDiscord, settings_of_discord: DiscordSettings
) -> None:
    fake.guild("Acme")
    fake.flags, fake.interactions_endpoint = 0, "https://elsewhere.example/clicks"
    said = bad(await looked(fake, settings_of_discord))
    assert "switch on Message Content Intent" in said
    assert "Interactions Endpoint URL" in said


async def test_a_bot_that_was_not_invited_gets_its_invitation(
    fake: FakeDiscord, settings_of_discord: DiscordSettings
) -> None:
    with pytest.raises(NotConnected, match=r"in no server yet.*https://discord\.com/oauth2/authorize\?client_id="):
        await looked(fake, settings_of_discord)
    with pytest.raises(NotConnected, match=r"not in the server 42.*guild_id=42"):
        await looked(fake, settings_of_discord, "42")


async def test_of_several_servers_one_has_to_be_named(fake: FakeDiscord, settings_of_discord: DiscordSettings) -> None:
    one, other = fake.guild("Acme"), fake.guild("Other")
    with pytest.raises(UsageError, match=rf"Acme \({one}\), Other \({other}\)"):
        await looked(fake, settings_of_discord)
    assert (await looked(fake, settings_of_discord, other)).name == "Other"


async def test_what_is_no_token_or_no_server_is_refused(
    fake: FakeDiscord, settings_of_discord: DiscordSettings
) -> None:
    fake.guild("Acme")
    with pytest.raises(NotConnected, match="refuses the bot's token") as refused:
        await looked(fake, settings_of_discord, token="wrong-one")
    assert "wrong-one" not in str(refused.value)
    with pytest.raises(UsageError, match="server's number"):
        await looked(fake, settings_of_discord, "Acme")
    with pytest.raises(UsageError, match="token is missing"):
        await check(PlatformSettings(discord=settings_of_discord), {})
    fake.next("GET", "/applications/@me", status=500)
    with pytest.raises(Unavailable):
        await looked(fake, settings_of_discord)


async def test_only_the_token_is_kept(fake: FakeDiscord, settings_of_discord: DiscordSettings) -> None:
    guild, where = fake.guild("Acme"), PlatformSettings(discord=settings_of_discord)
    given = {"token": f" {fake.token} ", "guild_id": guild}
    assert SETUP.install is not None
    assert await SETUP.install(where, given, await check(where, given)) == {"token": fake.token}


@pytest.fixture
async def settings(settings: GatewaySettings, settings_of_discord: DiscordSettings) -> GatewaySettings:
    """A gateway that knows the stand-in."""
    where = PlatformSettings(discord=settings_of_discord)
    return settings.model_copy(update={"platforms": where})


async def test_the_command_connects_and_the_gateway_listens(
    fake: FakeDiscord, terminal: Terminal, gateway: Gateway
) -> None:
    guild = fake.guild("Acme")
    said = await terminal.run("connect", "discord", "--token", fake.token)
    assert said.stdout.startswith(f"Discord is connected: Acme ({guild}).")
    assert fake.token not in said.stdout
    await fake.gateway.until_connected()
    api = await caller(gateway)
    assert [one["name"] for one in (await api.call("GET", "installations"))["installations"]] == ["Acme"]
    assert SECRET not in said.stdout
