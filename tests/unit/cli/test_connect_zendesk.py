"""`runllm connect zendesk` in a terminal, with a real gateway and the stand-in behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
    platforms = PlatformSettings(
        public_url="https://support.example.com", zendesk=ZendeskSettings(url=zendesk.url_template, sweep_every=0)
    )
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
