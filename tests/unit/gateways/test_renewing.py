"""Tokens that end by themselves, renewed by processes that are killed, stopped or hindered at the worst moment."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from gateways import renewing
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings, SlackSettings, ZendeskSettings
from gateways.renewing import to_the_end, written_down
from gateways.slack import setup as slack_setup
from gateways.slack import workspaces as of_slack
from gateways.slack.workspaces import Workspaces
from gateways.zendesk import account as of_zendesk
from gateways.zendesk.accounts import Accounts
from runllm.errors import NotConnected, Unavailable
from runllm.testing.platforms.slack import ALL_SCOPES, FakeSlack
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import agents, installations, leases
from store.engine import Store
from store.sealing import Seal

SEAL = Seal("renewing")

RENEW = """
import asyncio, sys
from gateways.platforms import SlackSettings, ZendeskSettings
from gateways.slack.workspaces import Workspaces
from gateways.zendesk.accounts import Accounts
from store.engine import Store
from store.sealing import Seal

async def main(platform, database, settings):
    store = await Store.open(database, migrate=False)
    if platform == "slack":
        await Workspaces(store, Seal("renewing"), SlackSettings.model_validate_json(settings)).need("T1")
    else:
        await Accounts(store, Seal("renewing"), ZendeskSettings.model_validate_json(settings)).get("acme")

asyncio.run(main(*sys.argv[1:]))
"""


async def renewing_elsewhere(platform: str, store: Store, settings: str) -> asyncio.subprocess.Process:
    """A process of its own that renews what is connected."""
    database = store.url.render_as_string(hide_password=False)
    return await asyncio.create_subprocess_exec(sys.executable, "-c", RENEW, platform, database, settings)


async def put(store: Store, platform: Any, external_id: str, credentials: dict[str, Any]) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db, SEAL, agent_id=agent.id, platform=platform, external_id=external_id, name="Acme",
            credentials=credentials,
        )  # fmt: skip


async def kept(store: Store, platform: Any, external_id: str) -> dict[str, Any]:
    async with store.read() as db:
        row = await installations.get(db, platform, external_id)
    assert row is not None
    return SEAL.open(row.credentials)


async def died(store: Store, lease: str, process: asyncio.subprocess.Process) -> None:
    """Waits for a killed process, and lets the time of its lease pass."""
    assert await process.wait() == -signal.SIGKILL
    async with store.begin() as db:
        holder = await leases.holder(db, lease)
        assert holder is not None, "it died with the lease in its hand"
        await leases.release(db, lease, holder)


# Slack: the old refresh token is good for a short while yet


class NoHub:
    """Nobody looks on."""

    def poke(self, surface_key: str) -> None: ...


@dataclass
class Team:
    slack: FakeSlack
    store: Store
    settings: SlackSettings

    def workspaces(self) -> Workspaces:
        return Workspaces(self.store, SEAL, self.settings)

    async def kill_in_between(self) -> None:
        """A process is killed when Slack has given it tokens, and it has not written them down."""
        answers = asyncio.Event()
        self.slack.next("oauth.v2.access", wait=answers)
        settings = self.settings.model_dump(mode="json") | {"client_secret": self.slack.client_secret}
        process = await renewing_elsewhere("slack", self.store, json.dumps(settings))
        async with asyncio.timeout(20):
            while not self.slack.spent:  # noqa: ASYNC110 - the stand-in has no event for it
                await asyncio.sleep(0.02)
        process.kill()
        answers.set()
        await died(self.store, "slack-token:T1", process)


@pytest.fixture
async def team(store: Store) -> AsyncIterator[Team]:
    async with FakeSlack() as slack:
        slack.refreshes["xoxe-1"] = "T1"
        slack.grants["xoxb-1"].expires_at = time.time() + 600
        settings = SlackSettings(
            api_url=f"{slack.url}/api/", client_id=slack.client_id, client_secret=SecretStr(slack.client_secret)
        )
        credentials = of_slack.Credentials(
            bot_token=SecretStr("xoxb-1"),
            bot_user_id="UBOT",
            scopes=ALL_SCOPES.split(","),
            refresh_token=SecretStr("xoxe-1"),
            expires_at=time.time() + 600,
        )
        await put(store, "slack", "T1", credentials.to_seal())
        yield Team(slack, store, settings)


async def test_a_process_killed_before_it_wrote_slacks_tokens_down_costs_nothing(team: Team) -> None:
    await team.kill_in_between()
    assert (await kept(team.store, "slack", "T1"))["asked_at"] > 0
    found = await team.workspaces().need("T1")
    assert found.credentials.lives_for() > 40_000
    assert not found.is_being_renewed
    assert (await team.workspaces().client(found).auth_test())["ok"]
    assert [method for method, _ in team.slack.calls].count("oauth.v2.access") == 2


async def test_after_slacks_grace_the_token_is_used_to_its_end_and_the_doctor_says_what_to_do(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    team.slack.grace = 0
    await team.kill_in_between()
    found = await team.workspaces().need("T1")
    assert found.credentials.bot_token.get_secret_value() == "xoxb-1"  # for ten minutes yet
    assert "Install the app there again" in caplog.text
    sealed = await kept(team.store, "slack", "T1")
    platforms = PlatformSettings(public_url="https://support.example", slack=team.settings)
    findings = (await slack_setup.check(platforms, sealed)).findings
    (bad,) = [one.text for one in findings if one.verdict == "bad" and "refresh token" in one.text]
    assert "did not come to write them down" in bad
    assert "https://support.example/slack/install" in bad
    asked = len(team.slack.calls)
    await put(team.store, "slack", "T1", sealed | {"expires_at": time.time() + 1})
    with pytest.raises(NotConnected, match=r"has ended.*Install the app there again"):
        await team.workspaces().need("T1")
    assert len(team.slack.calls) == asked, "a refusal is not asked for again and again"
    assert "xoxe-1" not in caplog.text


async def test_the_doctor_renews_slacks_token_before_it_looks_and_says_how_long_it_lasts(team: Team) -> None:
    platforms = PlatformSettings(public_url="https://support.example", slack=team.settings)
    await slack_setup.refresh(Outlets(team.store, NoHub(), SEAL, platforms), "T1")
    sealed = await kept(team.store, "slack", "T1")
    assert sealed["expires_at"] > time.time() + 40_000
    said = {one.text: one.verdict for one in (await slack_setup.check(platforms, sealed)).findings}
    assert said["The token ends every twelve hours, and the engine renews it by itself."] == "good"
    bare = PlatformSettings(slack=team.settings.model_copy(update={"client_secret": None}))
    (text,) = [one.text for one in (await slack_setup.check(bare, sealed)).findings if "twelve hours" in one.text]
    assert "RUNLLM_SLACK_CLIENT_SECRET, which are not set" in text


async def test_whoever_installs_the_app_again_while_it_is_renewed_has_the_last_word(team: Team) -> None:
    answers = asyncio.Event()
    team.slack.next("oauth.v2.access", wait=answers)
    renewal = asyncio.create_task(team.workspaces().need("T1"))
    while not team.slack.spent:  # noqa: ASYNC110 - the stand-in has no event for it
        await asyncio.sleep(0.01)
    again = of_slack.Credentials(bot_token=SecretStr("xoxb-again"))
    await team.workspaces().save("T1", "Acme", again)
    answers.set()
    assert (await renewal).credentials.bot_token.get_secret_value() == "xoxb-again"
    assert (await kept(team.store, "slack", "T1"))["bot_token"] == "xoxb-again"


async def test_a_caller_that_is_stopped_writes_the_new_tokens_down_first(team: Team) -> None:
    answers = asyncio.Event()
    team.slack.next("oauth.v2.access", wait=answers)
    renewal = asyncio.create_task(team.workspaces().need("T1"))
    while not team.slack.spent:  # noqa: ASYNC110 - the stand-in has no event for it
        await asyncio.sleep(0.01)
    renewal.cancel()
    asyncio.get_running_loop().call_later(0.05, answers.set)
    with pytest.raises(asyncio.CancelledError):
        await renewal
    assert (await kept(team.store, "slack", "T1"))["refresh_token"] != "xoxe-1"


# Zendesk: the old tokens are gone at once


@dataclass
class Office:
    acme: ZendeskAccount
    zendesk: ZendeskStandIn
    store: Store
    settings: ZendeskSettings

    def accounts(self) -> Accounts:
        return Accounts(self.store, SEAL, self.settings)

    async def kept(self) -> dict[str, Any]:
        return await kept(self.store, "zendesk", "acme")


@pytest.fixture
async def office(store: Store) -> AsyncIterator[Office]:
    zendesk = await ZendeskStandIn.start()
    acme = zendesk.account("acme")
    acme.api_token = acme.oauth_token = ""
    acme.oauth.tokens["access-1"] = time.time() + 600
    acme.oauth.refresh["refresh-1"] = ("access-1", time.time() + 600)
    settings = ZendeskSettings(
        url=zendesk.url_template, client_id=acme.client_id, client_secret=SecretStr(acme.client_secret)
    )
    credentials = of_zendesk.Credentials(
        subdomain="acme",
        oauth_token=SecretStr("access-1"),
        refresh_token=SecretStr("refresh-1"),
        expires_at=time.time() + 600,
        lives=172_000,
    )
    await put(store, "zendesk", "acme", credentials.in_the_clear())
    yield Office(acme, zendesk, store, settings)
    await zendesk.stop()


async def kill_in_between(office: Office) -> None:
    """A process is killed when Zendesk has given it tokens, and it has not written them down."""
    box: list[asyncio.subprocess.Process] = []
    office.zendesk.next("POST", "/oauth/tokens", afterwards=lambda: box[0].kill())
    settings = office.settings.model_dump(mode="json") | {"client_secret": office.acme.client_secret}
    box.append(await renewing_elsewhere("zendesk", office.store, json.dumps(settings)))
    await died(office.store, "zendesk-token:acme", box[0])


async def test_a_process_killed_before_it_wrote_zendesks_tokens_down_is_told_of_with_the_way_out(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    await kill_in_between(office)
    assert (await office.kept())["refresh_token"] == "refresh-1"
    wanted = r"did not come to write them down\. Sign in again: runllm connect zendesk --subdomain acme --sign-in"
    for _ in range(2):
        with pytest.raises(NotConnected, match=wanted):  # also where the old token should live for ten minutes yet
            await office.accounts().get("acme")
    assert sum(call.path.endswith("/oauth/tokens") for call in office.zendesk.calls) == 2
    assert (await office.kept())["refused_at"] > 0
    assert "refresh-1" not in caplog.text


async def test_a_renewal_that_zendesk_did_not_carry_out_is_asked_for_again(office: Office) -> None:
    office.zendesk.next("POST", "/oauth/tokens", status=503)
    await put(office.store, "zendesk", "acme", (await office.kept()) | {"expires_at": time.time() + 1})
    with pytest.raises(Unavailable):
        await office.accounts().get("acme")
    assert (await office.kept())["asked_at"] > 0, "whether a 503 did something, nobody knows"
    account = await office.accounts().get("acme")
    assert (await account.me())["role"] == "admin"
    new = await office.kept()
    assert (new["asked_at"], new["refused_at"]) == (0.0, 0.0)


async def test_an_unknown_oauth_client_is_no_end_of_the_sign_in(office: Office) -> None:
    office.acme.client_secret = "changed"
    await put(office.store, "zendesk", "acme", (await office.kept()) | {"expires_at": time.time() + 1})
    with pytest.raises(NotConnected, match="RUNLLM_ZENDESK_CLIENT_SECRET right"):
        await office.accounts().get("acme")
    sealed = await office.kept()
    assert (sealed["asked_at"], sealed["refused_at"]) == (0.0, 0.0)
    assert office.settings.client_secret is not None
    office.acme.client_secret = office.settings.client_secret.get_secret_value()
    assert (await (await office.accounts().get("acme")).me())["role"] == "admin"


# A database that is busy, work that is stopped


async def test_tokens_are_written_again_until_the_database_takes_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewing, "_PAUSES", (0.0, 0.0, 0.0))
    tries: list[int] = []

    async def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("UPDATE installations SET credentials=…", {}, Exception("database is locked"))
        return "written"

    assert await written_down(write, "acme") == "written"
    assert "UPDATE" not in caplog.text
    assert caplog.text.count("not in the record yet") == 2


async def test_what_fails_after_a_cancellation_is_said_and_the_cancellation_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        raise Unavailable("Zendesk is away")

    task = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "Zendesk is away" in caplog.text
