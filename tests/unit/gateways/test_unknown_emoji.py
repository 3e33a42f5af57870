"""An emoji that does not exist is said to whoever publishes a listener for it, where the platform can tell."""

from typing import Any

import pytest
from pydantic import SecretStr

from gateways import server
from gateways.connecting import Setup
from gateways.discord.setup import emoji as discord_emoji
from gateways.outlets import Outlets
from gateways.platforms import DiscordSettings, PlatformSettings, SlackSettings
from gateways.slack.setup import emoji as slack_emoji
from runllm.bridge.emoji_names import STANDARD
from runllm.bridge.listeners import DiscordListener, Listener, SlackChannel, SlackListener
from runllm.bridge.triggers import Emoji, Mention, is_emoji
from runllm.errors import Unavailable
from runllm.testing.platforms.discord import FakeDiscord
from runllm.testing.platforms.slack import ALL_SCOPES, FakeSlack
from store import agents, installations
from store.engine import Store
from store.sealing import Seal
from tests.unit.gateways.conftest import SECRET, Gateway, bundle
from tests.unit.gateways.discord.conftest import fake, settings_of_discord
from tests.unit.gateways.slack.conftest import connect, slack, slack_settings
from tests.unit.gateways.test_api import Client, api

__all__ = ["api", "fake", "settings_of_discord", "slack", "slack_settings"]

pytestmark = pytest.mark.contract


class Workspace:
    """A platform that says which emoji it has, or that it cannot say."""

    def __init__(self, platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: frozenset[str] | None = STANDARD | {"acme"}
        self.problem: Exception | None = None
        self.asked: list[str] = []
        was = server.SETUPS[platform]
        monkeypatch.setitem(server.SETUPS, platform, Setup(was.check, was.install, emoji=self.emoji))

    async def emoji(self, outlets: Outlets, external_id: str) -> frozenset[str] | None:
        self.asked.append(external_id)
        if self.problem is not None:
            raise self.problem
        return self.names


def waiting_for(platform: str, *shortcodes: str) -> Listener:
    triggers: list[Any] = [Mention(), *(Emoji(shortcode=one) for one in shortcodes)]
    if platform == "discord":
        return DiscordListener(guild_id="1575166201649168560", default_trigger=triggers)
    channels = [SlackChannel(channel_id="C1", trigger=triggers)]
    return SlackListener(team_id="T1", channels=channels)


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_a_listener_for_an_emoji_that_is_not_there_is_refused_with_the_names_that_are_like_it(
    platform: str, monkeypatch: pytest.MonkeyPatch, gateway: Gateway, api: Client
) -> None:
    workspace = Workspace(platform, monkeypatch)
    refused = await api.publish(bundle("reactions", waiting_for(platform, "ticket", "eys")), 422)
    assert refused["error"]["code"] == "unknown_emoji"
    assert "'eys'" in refused["error"]["message"]
    assert '"eyes"' in refused["error"]["message"]
    listed = await api.get("workflows")
    assert "reactions" not in [one["name"] for one in listed["workflows"]], "something was taken in"
    for shortcode in ("eyes", "acme", ":poop:", "thumbsup", "woman-raising-hand"):
        await api.publish(bundle("reactions", waiting_for(platform, shortcode)))
    assert len(workspace.asked) == 6


@pytest.mark.parametrize("names_or_problem", [None, Unavailable("Slack cannot answer now.")])
async def test_where_the_platform_cannot_say_the_listener_passes(
    names_or_problem: Any, monkeypatch: pytest.MonkeyPatch, gateway: Gateway, api: Client
) -> None:
    workspace = Workspace("slack", monkeypatch)
    workspace.names, workspace.problem = None, names_or_problem
    await api.publish(bundle("reactions", waiting_for("slack", "eys")))
    assert workspace.asked == ["T1"]


async def test_nobody_is_asked_where_no_emoji_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, gateway: Gateway, api: Client
) -> None:
    workspace = Workspace("slack", monkeypatch)
    await api.publish(bundle("reactions", waiting_for("slack")))
    assert workspace.asked == []


async def test_slack_tells_the_workspaces_own_emoji_to_whom_it_allows(
    store: Store, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    outlets = Outlets(store, None, Seal(SECRET), PlatformSettings(slack=slack_settings))  # type: ignore[arg-type]
    assert await slack_emoji(outlets, "T1") is None, "it is not connected"
    await connect(store, slack_settings)
    names = await slack_emoji(outlets, "T1")
    assert names is not None
    assert {"eyes", "acme", "ticket2"} <= names
    assert "eys" not in names
    few = [scope for scope in ALL_SCOPES.split(",") if scope != "emoji:read"]
    await connect(store, slack_settings, scopes=few, bot_token=SecretStr("xoxb-1"))
    calls = len(slack.calls)
    assert await slack_emoji(outlets, "T1") is None, "nobody allowed it"
    assert len(slack.calls) == calls


async def test_discord_tells_a_servers_own_emoji(
    store: Store, fake: FakeDiscord, settings_of_discord: DiscordSettings
) -> None:
    guild = fake.guild("Acme", emoji=["raised"])
    outlets = Outlets(store, None, Seal(SECRET), PlatformSettings(discord=settings_of_discord))  # type: ignore[arg-type]
    assert await discord_emoji(outlets, guild) is None, "it is not connected"
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db, outlets.seal, agent_id=agent.id, platform="discord", external_id=guild, name="Acme",
            credentials={"token": fake.token},
        )  # fmt: skip
    names = await discord_emoji(outlets, guild)
    assert names is not None
    assert {"raised", "+1", "thumbsup", "ticket"} <= names
    assert "eys" not in names


@pytest.mark.parametrize(("told", "waited_for"), [("hankey", "poop"), ("+1", "thumbsup"), ("squirrel", "shipit")])
def test_slack_tells_one_name_of_an_emoji_and_any_of_its_names_will_do(told: str, waited_for: str) -> None:
    assert is_emoji(told, waited_for)
    assert not is_emoji(told, "eyes")
