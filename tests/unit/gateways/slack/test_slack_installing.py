"""Connecting workspaces: by OAuth, by the token in the environment, by the API; and Socket Mode."""

import asyncio
import json
import time
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from gateways.connecting import Checked
from gateways.platforms import PlatformSettings, SlackSettings
from gateways.settings import GatewaySettings
from gateways.slack import setup
from gateways.slack.manifest import EVENTS, SCOPES, manifest
from gateways.slack.workspaces import Workspaces
from runllm.errors import NotConnected, UsageError
from runllm.testing.platforms.slack import FakeSlack
from store import installations
from store.engine import Store
from store.sealing import Seal
from tests.unit.gateways.conftest import SECRET, make_current
from tests.unit.gateways.doubles import FakeTemporal
from tests.unit.gateways.slack.conftest import EVERYTHING, Place, connect, serving

pytestmark = pytest.mark.contract


async def visit(http: aiohttp.ClientSession, place: Place, slack: FakeSlack, code: str) -> tuple[int, str]:
    """Goes through Slack's pages as a browser does; Slack gives it `code`."""
    async with http.get(f"{place.url}/slack/install", allow_redirects=False) as answer:
        page = await answer.text()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    address = "http" + page.partition('href="http')[2].partition('"')[0].replace("&amp;", "&")
    asked = parse_qs(urlsplit(address).query)
    assert address.startswith(f"{slack.url}/oauth/v2/authorize")
    assert set(asked["scope"][0].split(",")) == set(SCOPES)
    assert asked["redirect_uri"] == ["https://support.example/slack/oauth_redirect"]
    query = {"code": code, "state": asked["state"][0]}
    async with http.get(f"{place.url}/slack/oauth_redirect", params=query, headers={"Cookie": cookie}) as answer:
        return answer.status, await answer.text()


async def test_many_workspaces_are_connected_in_the_browser_and_their_tokens_sealed(
    place: Place, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for team, rotates in (("T2", False), ("T3", True)):
            status, page = await visit(http, place, slack, slack.code_for(team, team.lower(), rotates=rotates))
            assert status == 200, page
    workspaces = Workspaces(place.store, Seal(SECRET), slack_settings)
    assert [one.external_id for one in await workspaces.all()] == ["T1", "T2", "T3"]
    rotating = await workspaces.need("T3")
    assert rotating.credentials.lives_for() > 40_000
    assert rotating.workspace.url == "https://t3.slack.com/"
    async with place.store.read() as db:
        row = await installations.get(db, "slack", "T3")
    assert row is not None
    assert b"xoxb" not in row.credentials
    assert "xoxb" not in repr(rotating)


async def test_another_browser_and_an_old_state_connect_nothing(place: Place, slack: FakeSlack) -> None:
    async with aiohttp.ClientSession() as http:
        for query in ({"code": "x", "state": "made-up"}, {"code": "x"}, {"error": "access_denied"}):
            async with http.get(f"{place.url}/slack/oauth_redirect", params=query) as answer:
                assert answer.status in (200, 400, 401)
                assert "xoxb" not in await answer.text()
        status, _ = await visit(http, place, slack, "not-a-code")
        assert status == 401
    async with place.store.read() as db:
        assert len(await installations.of_platform(db, "slack")) == 1


async def test_without_an_app_slack_is_told_that_nothing_is_set_up(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack
) -> None:
    bare = SlackSettings(api_url=slack.api_url)
    async with serving(settings, store, temporal, slack, bare) as place, aiohttp.ClientSession() as http:
        async with http.post(f"{place.url}/slack/events", json={}) as answer:
            assert (answer.status, "RUNLLM_SLACK_SIGNING_SECRET" in await answer.text()) == (503, True)
        async with http.get(f"{place.url}/slack/install") as answer:
            assert (answer.status, "RUNLLM_SLACK_CLIENT_ID" in await answer.text()) == (404, True)


async def test_the_token_in_the_environment_connects_its_workspace_at_the_start(
    settings: GatewaySettings,
    store: Store,
    temporal: FakeTemporal,
    slack: FakeSlack,
    slack_settings: SlackSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await make_current(store, EVERYTHING)
    single = slack_settings.model_copy(update={"bot_token": SecretStr("xoxb-1")})
    slack.next("auth.test", status=500)
    monkeypatch.setattr("gateways.slack.app._SHORTEST_PAUSE", 0.1)  # well within what Slack tries again for
    async with serving(settings, store, temporal, slack, single) as place:
        # Slack is not reached at once: what comes meanwhile is asked for again, and nothing is lost.
        await slack.say("C1", "U1", "Hello")
        await place.quiet()
        assert [status for _, status in slack.deliveries][-1] == 200
        assert len(place.turns) == 1
    async with store.read() as db:
        row = await installations.get(db, "slack", "T1")
    assert row is not None
    assert row.name == "Acme"


async def test_a_token_is_renewed_where_nothing_happens(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    slack.refreshes["xoxe-1"] = "T1"
    soon = {"refresh_token": SecretStr("xoxe-1"), "expires_at": time.time() + 600}
    workspaces = await connect(store, slack_settings, **soon)
    async with serving(settings, store, temporal, slack, slack_settings), asyncio.timeout(10):
        while (await workspaces.all())[0].credentials.lives_for() < 40_000:  # noqa: ASYNC110 - a job beside does it
            await asyncio.sleep(0.02)
    assert [method for method, _ in slack.calls].count("oauth.v2.access") == 1


async def test_socket_mode_takes_events_and_clicks_without_an_address(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, EVERYTHING)
    await connect(store, slack_settings)
    socket = slack_settings.model_copy(update={"signing_secret": None, "app_token": SecretStr(slack.app_token)})
    slack.next("apps.connections.open", status=500)
    async with serving(settings, store, temporal, slack, socket) as place:
        await slack.connected()
        await slack.say("C1", "U1", "<@UBOT> Hello")
        await place.quiet()
        assert len(place.turns) == 1
        assert [status for _, status in slack.deliveries] == [200, 200]
        await slack.hang_up()
        await slack.connected()
        await slack.say("C1", "U2", "Again")
        await place.quiet()
        assert len(place.turns) == 2


async def check(slack: FakeSlack, settings: SlackSettings, url: str, token: str = "xoxb-1") -> Checked:
    return await setup.check(PlatformSettings(public_url=url, slack=settings), {"bot_token": token})


async def test_a_check_says_what_is_missing(place: Place, slack: FakeSlack, slack_settings: SlackSettings) -> None:
    slack.grants["xoxb-1"].scopes.remove("reactions:read")
    slack.grants["xoxb-1"].scopes.remove("chat:write.customize")
    found = await check(slack, slack_settings, place.url)
    assert (found.external_id, found.name) == ("T1", "Acme")
    said = [(finding.verdict, finding.text) for finding in found.findings]
    assert [verdict for verdict, _ in said] == ["good", "bad", "note", "good"]
    assert "reactions:read" in said[1][1]
    assert "chat:write.customize" in said[2][1]
    assert "answers as Slack wants it" in said[3][1]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:8080", "cannot reach http://127.0.0.1:8080/slack/events from the internet"),
        ("http://desk.internal", "cannot reach"),
        ("http://support.example", "is not encrypted"),
        ("https://support.example", ""),
    ],
)
def test_slack_reaches_public_encrypted_addresses_only(url: str, said: str, slack_settings: SlackSettings) -> None:
    findings = setup.reachable(PlatformSettings(public_url=url))
    assert [said in finding.text for finding in findings] == ([True] if said else [])
    assert setup.reachable(PlatformSettings(public_url=url, slack=slack_settings)) == []  # one on this machine


async def test_a_check_finds_another_secret_and_another_server(
    place: Place, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    other = slack_settings.model_copy(update={"signing_secret": SecretStr("another")})
    assert "another RUNLLM_SLACK_SIGNING_SECRET" in (await check(slack, other, place.url)).findings[-1].text
    nobody = await check(slack, slack_settings, "http://127.0.0.1:9")
    assert "does not answer" in nobody.findings[-1].text
    somebody_else = await check(slack, slack_settings, slack.url)
    assert "answers with 404" in somebody_else.findings[-1].text
    unset = slack_settings.model_copy(update={"signing_secret": None})
    assert "RUNLLM_SLACK_SIGNING_SECRET is not set" in (await check(slack, unset, place.url)).findings[-1].text


async def test_a_check_tries_socket_mode(place: Place, slack: FakeSlack, slack_settings: SlackSettings) -> None:
    for token, verdict in ((slack.app_token, "good"), ("xapp-wrong", "bad")):
        socket = slack_settings.model_copy(update={"app_token": SecretStr(token)})
        found = await check(slack, socket, place.url)
        assert found.findings[-1].verdict == verdict
        assert "Socket Mode" in found.findings[-1].text
        assert "xapp" not in found.findings[-1].text.replace("RUNLLM_SLACK_APP_TOKEN", "")


async def test_a_token_that_is_none_is_refused(slack: FakeSlack, slack_settings: SlackSettings) -> None:
    with pytest.raises(UsageError, match="begins with xoxb-"):
        await check(slack, slack_settings, slack.url, "xapp-1")
    with pytest.raises(NotConnected, match="invalid_auth"):
        await check(slack, slack_settings, slack.url, "xoxb-wrong")


async def test_what_is_kept_says_who_the_app_is(slack: FakeSlack, slack_settings: SlackSettings) -> None:
    platforms = PlatformSettings(slack=slack_settings)
    kept = await setup.install(platforms, {"bot_token": "xoxb-1"}, Checked(external_id="T1"))
    assert (kept["bot_token"], kept["bot_user_id"], kept["bot_id"]) == ("xoxb-1", "UBOT", "BBOT")
    assert "chat:write" in kept["scopes"]
    assert (await setup.check(platforms, kept)).external_id == "T1"


def test_the_manifest_names_our_addresses_scopes_and_events() -> None:
    made = manifest("https://support.example/", "Helper")
    told = made["settings"]["event_subscriptions"]
    assert told["request_url"] == "https://support.example/slack/events"
    assert told["bot_events"] == sorted(EVENTS)
    assert made["settings"]["interactivity"]["request_url"] == "https://support.example/slack/interactivity"
    assert made["oauth_config"]["scopes"]["bot"] == sorted(SCOPES)
    assert json.dumps(made).count("Helper") == 2
    socket = manifest("http://127.0.0.1:8080", is_socket=True)
    assert socket["settings"]["socket_mode_enabled"]
    assert "127.0.0.1" not in json.dumps(socket)


async def test_the_gateway_stops_while_slack_is_away(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    away = slack_settings.model_copy(
        update={
            "api_url": "http://127.0.0.1:9/api/",
            "app_token": SecretStr("xapp-1"),
            "bot_token": SecretStr("xoxb-1"),
        }
    )
    async with asyncio.timeout(10):
        async with serving(settings, store, temporal, slack, away):
            pass
