"""`runllm connect zendesk` in a terminal, with a real gateway and the stand-in behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.settings import GatewaySettings
from runllm.testing.platforms.zendesk import ZendeskStandIn
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import empty_record, gateway, store, temporal
from tests.unit.gateways.conftest import settings as plain_settings

__all__ = ["empty_record", "gateway", "plain_settings", "store", "temporal", "terminal"]

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-zendesk.md"


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start()
    fake.account("acme")
    yield fake
    await fake.stop()


@pytest.fixture
def settings(plain_settings: GatewaySettings, zendesk: ZendeskStandIn) -> GatewaySettings:
    ours = ZendeskSettings(
        url=zendesk.url_template, sweep_every=0, client_id="engine", client_secret=SecretStr("secret-of-the-client")
    )
    platforms = PlatformSettings(public_url="https://support.example.com", zendesk=ours)
    return plain_settings.model_copy(update={"platforms": platforms})


CONNECT = ["connect", "zendesk", "--subdomain", "acme", "--email", "bot@engine.example"]


async def test_one_command_connects_an_account_and_prints_what_the_page_shows(
    terminal: Terminal, zendesk: ZendeskStandIn
) -> None:
    acme = zendesk.account("acme")
    terminal.environ["ZENDESK_API_TOKEN"] = acme.api_token
    said = await terminal.run(*CONNECT)
    assert fits(said)
    shown = "\n".join(line.rstrip() for line in said.stdout.strip().splitlines())
    assert shown in PAGE.read_text(encoding="utf-8")
    assert acme.api_token not in said.stdout
    assert (len(acme.webhooks), len(acme.triggers)) == (1, 1)
    again = await terminal.run(*CONNECT)
    assert "The webhook and its trigger" not in again.stdout
    assert (len(acme.webhooks), len(acme.triggers)) == (1, 1)
    listed = await terminal.run("connect", "list", "--check")
    assert "The webhook and its trigger are in place." in listed.stdout


async def test_oauth_connects_as_well(terminal: Terminal, zendesk: ZendeskStandIn) -> None:
    terminal.environ["ZENDESK_OAUTH_TOKEN"] = zendesk.account("acme").oauth_token
    assert "Zendesk is connected: acme.zendesk.com" in (await terminal.run(*CONNECT[:4])).stdout


async def test_a_link_to_sign_in_on_is_printed(terminal: Terminal, zendesk: ZendeskStandIn) -> None:
    said = await terminal.run("connect", "zendesk", "--subdomain", "acme", "--sign-in")
    (link,) = [line.strip() for line in said.stdout.splitlines() if "https://" in line]
    assert link.startswith("https://support.example.com/zendesk/sign_in?link=")
    assert "within ten minutes" in said.stdout
    made = await terminal.json("connect", "zendesk", "--subdomain", "acme", "--sign-in")
    assert made["url"].startswith("https://support.example.com/zendesk/sign_in?link=")
    assert zendesk.calls == [], "nothing was asked of Zendesk yet"


async def test_without_an_oauth_client_nobody_signs_in(
    terminal: Terminal, zendesk: ZendeskStandIn, settings: GatewaySettings
) -> None:
    bare = settings.platforms.zendesk.model_copy(update={"client_id": ""})
    platforms = settings.platforms.model_copy(update={"zendesk": bare})
    deps = terminal.gateway.services
    object.__setattr__(deps, "settings", deps.settings.model_copy(update={"platforms": platforms}))
    said = await terminal.refused("connect", "zendesk", "--subdomain", "acme", "--sign-in")
    assert "RUNLLM_ZENDESK_CLIENT_ID" in said
    assert "https://support.example.com/zendesk/oauth_redirect" in said


async def test_wrong_credentials_are_refused_in_a_sentence(terminal: Terminal, zendesk: ZendeskStandIn) -> None:
    terminal.environ["ZENDESK_API_TOKEN"] = "wrong"
    assert "acme.zendesk.com does not accept these credentials" in await terminal.refused(*CONNECT)
    nowhere = ["connect", "zendesk", "--subdomain", "nowhere", "--email", "a@b.example"]
    assert "There is no Zendesk account at nowhere.zendesk.com" in await terminal.refused(*nowhere)


async def test_who_is_no_administrator_is_connected_and_told(terminal: Terminal, zendesk: ZendeskStandIn) -> None:
    acme = zendesk.account("acme")
    acme.users[acme.bot_id]["role"] = "agent"
    terminal.environ["ZENDESK_API_TOKEN"] = acme.api_token
    said = " ".join((await terminal.run(*CONNECT, code=1)).stdout.split())
    assert "is no administrator" in said
    assert acme.webhooks == {}
