"""Connecting an account: what is tried, what is made there, and what is said."""

import json

import pytest

from gateways.connecting import Checked
from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.zendesk import setup
from runllm.errors import NotConnected, Unavailable, UsageError
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn

PUBLIC = "https://engine.example"


@pytest.fixture
def platforms(zendesk: ZendeskStandIn) -> PlatformSettings:
    return PlatformSettings(public_url=PUBLIC, zendesk=ZendeskSettings(url=zendesk.url_template))


def given(account: ZendeskAccount) -> dict[str, str]:
    return {"subdomain": "acme.zendesk.com", "email": account.email, "api_token": account.api_token}


def verdicts(checked: Checked) -> list[str]:
    return [finding.verdict for finding in checked.findings]


async def test_webhook_and_trigger_are_made_once_and_put_right(
    zendesk: ZendeskStandIn, platforms: PlatformSettings
) -> None:
    acme = zendesk.account("acme")
    checked = await setup.check(platforms, given(acme))
    assert (checked.external_id, checked.name, checked.is_sound) == ("acme", "acme.zendesk.com", True)
    kept = await setup.install(platforms, given(acme), checked)
    assert await setup.install(platforms, given(acme), checked) == kept
    ((id, hook),) = acme.webhooks.items()
    ((number, trigger),) = acme.triggers.items()
    assert hook["endpoint"] == f"{PUBLIC}/zendesk/acme/webhook"
    assert (kept["webhook_id"], kept["trigger_id"], kept["signing_secret"]) == (id, number, acme.secret_of(id))
    assert kept["bot_user_id"] == acme.bot_id
    looked = await setup.check(platforms, kept)
    assert looked.findings[-1].text == "The webhook and its trigger are in place."

    hook["status"], trigger["active"], trigger["actions"] = "inactive", False, trigger["actions"]
    assert "switched off" in (await setup.check(platforms, kept)).findings[-1].text
    assert await setup.install(platforms, given(acme), checked) == kept
    assert (hook["status"], trigger["active"]) == ("active", True)
    assert (await setup.check(platforms, kept)).is_sound


async def test_what_was_broken_in_zendesk_is_found(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    kept = await setup.install(platforms, given(acme), await setup.check(platforms, given(acme)))
    ((number, trigger),) = acme.triggers.items()
    trigger["conditions"] = {"all": [], "any": []}
    assert "trigger" in (await setup.check(platforms, kept)).findings[-1].text
    del acme.triggers[number]
    assert "trigger" in (await setup.check(platforms, kept)).findings[-1].text
    acme.webhooks.clear()
    assert "is gone" in (await setup.check(platforms, kept)).findings[-1].text


async def test_a_condition_that_somebody_added_stays(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    kept = await setup.install(platforms, given(acme), await setup.check(platforms, given(acme)))
    (trigger,) = acme.triggers.values()
    only = {"field": "current_tags", "operator": "includes", "value": "ask-bot"}
    trigger["conditions"] = {**trigger["conditions"], "all": [only]}
    assert (await setup.check(platforms, kept)).is_sound
    await setup.install(platforms, given(acme), Checked(external_id="acme"))
    assert trigger["conditions"]["all"] == [only]


async def test_other_peoples_webhooks_and_triggers_stay(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    for n in range(150):  # two pages
        acme.webhooks[f"other{n}"] = {
            "id": f"other{n}",
            "name": "x",
            "endpoint": "https://x.example",
            "status": "active",
        }
        acme.triggers[-n] = {"id": -n, "title": "x", "actions": [{"field": "tags", "value": "x"}], "conditions": {}}
    before = json.dumps([acme.webhooks, acme.triggers])
    kept = await setup.install(platforms, given(acme), Checked(external_id="acme"))
    assert await setup.install(platforms, given(acme), Checked(external_id="acme")) == kept
    acme.webhooks.pop(str(kept["webhook_id"]))
    acme.triggers.pop(int(kept["trigger_id"]))
    assert json.dumps([acme.webhooks, acme.triggers]) == before


async def test_oauth_does_as_well(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    checked = await setup.check(platforms, {"subdomain": "acme", "oauth_token": acme.oauth_token})
    assert checked.is_sound
    assert zendesk.calls[-1].headers["Authorization"].startswith("Bearer ")


async def test_an_agent_may_write_and_is_told_that_it_hears_nothing(
    zendesk: ZendeskStandIn, platforms: PlatformSettings
) -> None:
    acme = zendesk.account("acme")
    acme.users[acme.bot_id]["role"] = "agent"
    checked = await setup.check(platforms, given(acme))
    assert verdicts(checked) == ["good", "bad", "note"]
    assert "no administrator" in checked.findings[1].text
    kept = await setup.install(platforms, given(acme), checked)
    assert (kept["webhook_id"], kept["bot_user_id"], len(str(kept["mark"]))) == ("", acme.bot_id, 8)


@pytest.mark.parametrize(
    ("public_url", "verdict", "text"),
    [
        (PUBLIC, "note", "https://engine.example/zendesk/acme/webhook"),
        ("http://engine.example", "bad", "not encrypted"),
    ],
)
async def test_an_address_that_zendesk_should_not_use_is_named(
    zendesk: ZendeskStandIn, platforms: PlatformSettings, public_url: str, verdict: str, text: str
) -> None:
    acme = zendesk.account("acme")
    checked = await setup.check(platforms.model_copy(update={"public_url": public_url}), given(acme))
    assert checked.findings[1].verdict == verdict
    assert text in checked.findings[1].text


@pytest.mark.parametrize(
    ("credentials", "error", "why"),
    [
        ({}, UsageError, "subdomain is missing"),
        ({"subdomain": "acme/../x"}, UsageError, "'acme/../x' is no name of an account"),
        ({"subdomain": "acme"}, UsageError, "an oauth_token, or the email"),
        ({"subdomain": "acme", "email": "a@b.example"}, UsageError, "an oauth_token, or the email"),
        ({"subdomain": "acme", "oauth_token": "x", "password": "y"}, UsageError, "takes no password"),
        ({"subdomain": "acme", "oauth_token": "wrong"}, NotConnected, "does not accept these"),
    ],
    ids=str,
)
async def test_credentials_that_are_no_good_say_why(
    zendesk: ZendeskStandIn, platforms: PlatformSettings, credentials: dict[str, str], error: type[Exception], why: str
) -> None:
    zendesk.account("acme")
    with pytest.raises(error, match=why):
        await setup.check(platforms, credentials)


async def test_a_customers_credentials_are_refused(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    acme.users[acme.bot_id]["role"] = "end-user"
    with pytest.raises(NotConnected, match="an agent's"):
        await setup.check(platforms, given(acme))


async def test_zendesk_that_does_not_answer_is_no_verdict(zendesk: ZendeskStandIn, platforms: PlatformSettings) -> None:
    acme = zendesk.account("acme")
    zendesk.next("GET", "users/me", status=503, times=9)
    with pytest.raises(Unavailable):
        await setup.check(platforms, given(acme))
