"""Connecting an account by a sign-in, and keeping the sign-in good; gateway and stand-in are on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.server import application, runner
from gateways.services import SERVICES
from gateways.settings import GatewaySettings
from gateways.signing import sign
from gateways.zendesk.account import Account, Credentials
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.oauth import LINK_PATH, REDIRECT_PATH
from runllm.errors import NotConnected, Unavailable
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import audit, installations, leases
from store.engine import Store
from tests.contract.proxy import judged
from tests.unit.gateways.conftest import SECRET, Gateway
from tests.unit.gateways.doubles import FakeTemporal
from tests.unit.gateways.test_api_lookups import Caller, caller
from tests.unit.gateways.zendesk.conftest import SEAL

pytestmark = pytest.mark.contract

PUBLIC = "https://support.example.com"
NO_PART_OF_THE_API = ("/api/v2/webhooks", "/oauth/authorizations")


@dataclass
class Desk:
    """A gateway with an OAuth client, an account, and an administrator's browser."""

    gateway: Gateway
    acme: ZendeskAccount
    zendesk: ZendeskStandIn
    settings: ZendeskSettings
    api: Caller
    cookies: str = ""

    async def link(self, account: str = "acme", status: int = 201) -> str:
        answer = await self.api.call(
            "POST", "installations/sign-in", status, json={"platform": "zendesk", "account": account}
        )
        return str(answer["url"] if status == 201 else answer["error"]["message"])

    async def open(self, address: str, status: int) -> tuple[str, str]:
        """Opens a page of ours; what it shows, and where it sends the browser."""
        where = urlsplit(address)
        url = f"{self.gateway.url}{where.path}?{where.query}"
        headers = {"Cookie": self.cookies} if self.cookies else {}
        async with self.gateway.http.get(url, allow_redirects=False, headers=headers) as response:
            text = await response.text()
            assert response.status == status, text
            morsel = response.cookies.get("runllm_zendesk")
            if morsel is not None and not morsel.value:
                self.cookies = ""
            elif morsel is not None:
                assert morsel["httponly"]
                assert morsel["secure"]
                assert (morsel["samesite"], morsel["path"]) == ("Lax", "/zendesk")
                self.cookies = f"runllm_zendesk={morsel.value}"
            return text, response.headers.get("Location", "")

    async def sign_in(self) -> str:
        """All of it, as it goes well; returns what the last page shows."""
        _, asked = await self.open(await self.link(), 303)
        shown, _ = await self.open(self.acme.allow(asked), 200)
        return shown

    async def kept(self) -> dict[str, Any]:
        async with self.gateway.store.read() as db:
            row = await installations.get(db, "zendesk", "acme")
        assert row is not None
        return SEAL.open(row.credentials)

    async def change(self, **fields: Any) -> None:
        """Another process, or time, changes what is kept."""
        async with self.gateway.store.begin() as db:
            row = await installations.get(db, "zendesk", "acme")
            assert row is not None
            await installations.put(
                db, SEAL, agent_id=row.agent_id, platform="zendesk", external_id="acme", name=row.name,
                credentials={**SEAL.open(row.credentials), **fields},
            )  # fmt: skip

    def accounts(self, settings: ZendeskSettings | None = None) -> Accounts:
        """As a process of its own has them."""
        return Accounts(self.gateway.store, SEAL, settings or self.settings)

    def renewals(self) -> int:
        return sum(1 for call in self.zendesk.calls if (call.body or {}).get("grant_type") == "refresh_token")


@pytest.fixture
async def where(request: pytest.FixtureRequest, zendesk: ZendeskStandIn) -> AsyncIterator[str]:
    """Where Zendesk is; through the judge for tests that go well, for its specification knows no refusals."""
    if getattr(request, "param", "") != "judged":
        yield zendesk.url_template
        return
    async with judged("zendesk", f"http://127.0.0.1:{zendesk.port}", NO_PART_OF_THE_API) as url:
        yield url


WELL = pytest.mark.parametrize("where", ["judged"], indirect=True)


@pytest.fixture
async def desk(
    zendesk: ZendeskStandIn, where: str, store: Store, settings: GatewaySettings, temporal: FakeTemporal
) -> AsyncIterator[Desk]:
    acme = zendesk.account("acme")
    acme.redirect_urls = [f"{PUBLIC}{REDIRECT_PATH}"]
    acme.api_token = acme.oauth_token = ""  # a sign-in is the only way in
    ours = ZendeskSettings(
        url=where, sweep_every=0, client_id=acme.client_id, client_secret=SecretStr(acme.client_secret)
    )
    platforms = PlatformSettings(public_url=PUBLIC, zendesk=ours)
    app = application(settings.model_copy(update={"platforms": platforms}), store, temporal)
    run = runner(app)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*run.addresses[0][:2])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        gateway = Gateway(url, http, app[SERVICES], temporal, app)
        yield Desk(gateway, acme, zendesk, ours, await caller(gateway))
    await run.cleanup()


@WELL
async def test_who_signs_in_connects_the_account_with_webhook_and_trigger(desk: Desk) -> None:
    shown = await desk.sign_in()
    assert "acme.zendesk.com is connected" in shown
    assert "The engine acts as Support Bot (admin)." in shown
    kept = await desk.kept()
    assert kept["oauth_token"] in desk.acme.oauth.tokens
    assert kept["refresh_token"] in desk.acme.oauth.refresh
    assert kept["signing_secret"] == desk.acme.secret_of(kept["webhook_id"])
    assert kept["expires_at"] > time.time() + 100_000
    (listed,) = (await desk.api.call("GET", "installations?check=true"))["installations"]
    assert all(finding["verdict"] != "bad" for finding in listed["findings"]), listed["findings"]
    assert any("renews the sign-in by itself" in finding["text"] for finding in listed["findings"])
    async with desk.gateway.store.read() as db:
        row = await installations.get(db, "zendesk", "acme")
        lines = [(line.actor, line.action, line.subject) for line in await audit.recent(db)]
    assert row is not None
    assert ("laptop", "connect", "zendesk acme") in lines
    everything = f"{shown}{listed}{lines}".encode() + row.credentials
    assert not any(kept[name].encode() in everything for name in ("oauth_token", "refresh_token", "signing_secret"))
    assert (await (await desk.accounts().get("acme")).me())["role"] == "admin"


@WELL
async def test_a_second_sign_in_takes_the_place_of_the_first(desk: Desk) -> None:
    await desk.sign_in()
    before = await desk.kept()
    await desk.sign_in()
    after = await desk.kept()
    assert before["oauth_token"] != after["oauth_token"]
    assert before["webhook_id"] == after["webhook_id"]
    assert len(desk.acme.webhooks) == len(desk.acme.triggers) == 1


async def test_what_does_not_belong_together_connects_nothing(desk: Desk) -> None:
    claims = {"account": "acme", "agent": 1, "who": "x", "challenge": "y"}
    for link in ("", "nonsense", sign(SECRET, "zendesk_link", claims, -1), sign(SECRET, "zendesk", claims, 60)):
        shown, _ = await desk.open(f"{LINK_PATH}?link={link}", 400)
        assert "runllm connect zendesk --sign-in" in shown
    _, asked = await desk.open(await desk.link(), 303)
    back, mine = desk.acme.allow(asked), desk.cookies
    for cookie in ("", "runllm_zendesk=somebody-elses", "runllm_zendesk="):
        desk.cookies = cookie
        await desk.open(back, 400)
    desk.cookies = mine
    state = parse_qs(urlsplit(back).query)["state"][0]
    await desk.open(back.replace(state, f"{state}x"), 400)
    refused, _ = await desk.open(back.replace("code=", "code=x"), 422)
    assert "refuses the sign-in (invalid_grant)" in refused
    shown, _ = await desk.open(f"{REDIRECT_PATH}?state={state}&error_description=<script>alert(1)</script>", 403)
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    async with desk.gateway.store.read() as db:
        assert await installations.every(db) == []
    await desk.open(back, 200)
    refused, _ = await desk.open(back, 400)  # the cookie went, and so did the code
    desk.cookies = mine
    refused, _ = await desk.open(back, 422)
    assert "invalid_grant" in refused


async def test_an_account_of_another_agent_is_not_taken_over(desk: Desk) -> None:
    await desk.sign_in()
    desk.api = await caller(desk.gateway, "another")
    _, asked = await desk.open(await desk.link(), 303)
    shown, _ = await desk.open(desk.acme.allow(asked), 422)
    assert "connected to another agent" in shown


@WELL
async def test_an_agent_who_is_no_administrator_is_told_what_is_missing(desk: Desk) -> None:
    desk.acme.users[desk.acme.bot_id]["role"] = "agent"
    assert "no administrator" in await desk.sign_in()


async def test_without_an_oauth_client_it_is_said_what_to_set(gateway: Gateway) -> None:
    api = await caller(gateway)
    asked = {"platform": "zendesk", "account": "acme"}
    refused = await api.call("POST", "installations/sign-in", 422, json=asked)
    assert "RUNLLM_ZENDESK_CLIENT_ID" in refused["error"]["message"]
    assert "/zendesk/oauth_redirect" in refused["error"]["message"]
    refused = await api.call("POST", "installations/sign-in", 422, json={**asked, "platform": "slack"})
    assert "runllm connect slack" in refused["error"]["message"]


async def test_a_name_that_is_none_is_refused(desk: Desk) -> None:
    assert "company.zendesk.com" in await desk.link("evil.example/acme", 422)


# Renewal


async def test_a_sign_in_that_ends_is_renewed_once_by_whoever_comes_first(desk: Desk) -> None:
    await desk.sign_in()
    old = await desk.kept()
    await desk.change(expires_at=time.time() + 600)
    some = [desk.accounts() for _ in range(5)]
    found = await asyncio.gather(*(one.get("acme") for one in some for _ in range(3)))
    assert desk.renewals() == 1
    new = await desk.kept()
    assert new["oauth_token"] != old["oauth_token"]
    assert new["refresh_token"] != old["refresh_token"]
    assert new["expires_at"] > time.time() + 100_000
    assert {name: new[name] for name in ("webhook_id", "trigger_id", "signing_secret", "mark", "bot_user_id")} == {
        name: old[name] for name in ("webhook_id", "trigger_id", "signing_secret", "mark", "bot_user_id")
    }
    # Whoever has the old token is told to come again, and not that all is over.
    seen = await asyncio.gather(*(account.me() for account in found), return_exceptions=True)
    assert all(isinstance(one, dict) or "renewed meanwhile" in str(one) for one in seen), seen
    assert (await (await desk.accounts().get("acme")).me())["role"] == "admin"
    assert desk.renewals() == 1


@WELL
async def test_one_that_does_not_end_soon_is_left_alone(desk: Desk) -> None:
    await desk.sign_in()
    for seconds in (3700, 86_000):
        await desk.change(expires_at=time.time() + seconds)
        await desk.accounts().get("acme")
    await desk.change(expires_at=time.time() + 500, lives=1800)  # Zendesk gave a short one
    await desk.accounts().get("acme")
    await desk.change(expires_at=0, lives=0)  # and one without an end
    await desk.accounts().get("acme")
    assert desk.renewals() == 0


async def test_while_it_cannot_be_renewed_it_is_used_to_its_end(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.sign_in()
    await desk.change(expires_at=time.time() + 300)
    desk.zendesk.next("POST", "/oauth/tokens", status=503, times=2)
    assert (await (await desk.accounts().get("acme")).me())["role"] == "admin"
    assert "could not be renewed yet" in caplog.text
    await desk.change(expires_at=time.time() + 3)
    with pytest.raises(Unavailable, match="has ended and is not renewed yet"):
        await desk.accounts().get("acme")
    assert (await (await desk.accounts().get("acme")).me())["role"] == "admin"  # Zendesk is back
    kept = await desk.kept()
    await desk.change(expires_at=time.time() + 3)
    desk.acme.oauth.refresh.clear()  # somebody has taken the sign-in back
    with pytest.raises(NotConnected, match=r"invalid_grant.*runllm connect zendesk --subdomain acme --sign-in"):
        await desk.accounts().get("acme")
    assert kept["refresh_token"] not in caplog.text
    assert kept["oauth_token"] not in caplog.text
    assert [one.subdomain for one in await desk.accounts().all()] == []


async def test_without_the_client_a_sign_in_is_not_renewed_and_the_doctor_says_so(desk: Desk) -> None:
    await desk.sign_in()
    await desk.change(expires_at=time.time() + 3)
    bare = desk.settings.model_copy(update={"client_id": "", "client_secret": None})
    with pytest.raises(NotConnected, match="RUNLLM_ZENDESK_CLIENT_ID"):
        await desk.accounts(bare).get("acme")


@WELL
async def test_the_doctor_renews_what_has_ended_before_it_looks(desk: Desk) -> None:
    await desk.sign_in()
    kept = await desk.kept()
    await desk.change(expires_at=time.time() - 10)
    del desk.acme.oauth.tokens[kept["oauth_token"]]
    (listed,) = (await desk.api.call("GET", "installations?check=true"))["installations"]
    assert all(finding["verdict"] != "bad" for finding in listed["findings"]), listed["findings"]


async def test_the_doctor_tells_of_a_lost_sign_in_and_signing_in_again_ends_it(desk: Desk) -> None:
    await desk.sign_in()
    await desk.change(expires_at=time.time() + 600, asked_at=time.time() - 60)  # by a process that was killed then
    desk.acme.oauth.refresh.clear()
    desk.acme.oauth.tokens.clear()

    async def bad() -> list[str]:
        (listed,) = (await desk.api.call("GET", "installations?check=true"))["installations"]
        return [finding["text"] for finding in listed["findings"] if finding["verdict"] == "bad"]

    for _ in range(2):
        (text,) = await bad()
        assert "did not come to write them down" in text
        assert "runllm connect zendesk --subdomain acme --sign-in" in text
    await desk.sign_in()
    assert await bad() == []
    assert (await (await desk.accounts().get("acme")).me())["role"] == "admin"


async def test_a_token_that_is_taken_back_means_a_new_connection_unless_there_is_a_newer_one(desk: Desk) -> None:
    await desk.sign_in()
    kept = await desk.kept()
    account = await desk.accounts().get("acme")
    desk.acme.oauth.tokens.clear()
    with pytest.raises(NotConnected, match="runllm connect zendesk"):
        await account.me()
    async with desk.gateway.store.begin() as db:
        assert await leases.acquire(db, "zendesk-token:acme", "another process", 30)
    with pytest.raises(Unavailable, match="renewed meanwhile"):  # the other one has not written it down yet
        await account.me()
    async with desk.gateway.store.begin() as db:
        await leases.release(db, "zendesk-token:acme", "another process")
    await desk.change(oauth_token="a newer one")
    with pytest.raises(Unavailable, match="renewed meanwhile"):
        await account.me()
    assert "a newer one" not in f"{kept}"


async def test_nothing_of_a_sign_in_is_sent_to_another_host(zendesk: ZendeskStandIn) -> None:
    account = Account(Credentials(subdomain="acme"), zendesk.url_template)
    zendesk.account("acme")
    with pytest.raises(NotConnected, match="invalid_client"):
        await account.ask_for_tokens({"grant_type": "refresh_token", "refresh_token": "x"})
    assert {call.path for call in zendesk.calls} == {"/acme/oauth/tokens"}
    account.close()
