"""Connecting a platform: tried before it is kept, sealed, audited, and nobody else's."""

from typing import Any

import pytest

from gateways import server
from gateways.connecting import Checked, Credentials, Finding, Setup
from gateways.platforms import PlatformSettings
from runllm.errors import NotConnected, RateLimited, Unavailable, UsageError
from store import audit, installations
from store.sealing import Seal
from tests.unit.gateways.conftest import SECRET, Gateway
from tests.unit.gateways.test_api_lookups import caller

TOKEN = "xoxb-very-secret"


class Workspace:
    """A platform that knows one token."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.missing: list[str] = []
        self.installed = 0

    async def check(self, settings: PlatformSettings, credentials: Credentials) -> Checked:
        if self.problem is not None:
            raise self.problem
        if credentials.get("token") != TOKEN:
            raise NotConnected("Slack does not know this token (invalid_auth). Copy it again.")
        found = [Finding(verdict="bad", text=f"The scope {scope} is missing.") for scope in self.missing]
        return Checked(external_id="T1", name="Acme", findings=found)

    async def install(self, settings: PlatformSettings, credentials: Credentials, looked: Checked) -> Credentials:
        self.installed += 1
        return {**credentials, "webhook_secret": f"for {looked.external_id}"}


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace()
    monkeypatch.setitem(server.SETUPS, "slack", Setup(made.check, made.install))
    return made


def body(token: str = TOKEN, platform: str = "slack") -> dict[str, Any]:
    return {"platform": platform, "credentials": {"token": token}}


async def test_what_is_connected_is_sealed_listed_and_audited(workspace: Workspace, gateway: Gateway) -> None:
    api = await caller(gateway)
    made = await api.call("POST", "installations", 201, json=body())
    assert (made["external_id"], made["name"], made["findings"]) == ("T1", "Acme", [])
    listed = await api.call("GET", "installations")
    assert [one["external_id"] for one in listed["installations"]] == ["T1"]
    assert listed["installations"][0]["findings"] is None
    async with gateway.store.read() as db:
        row = await installations.get(db, "slack", "T1")
        lines = [(line.action, line.subject) for line in await audit.recent(db)]
    assert row is not None
    assert TOKEN.encode() not in row.credentials
    assert Seal(SECRET).open(row.credentials) == {"token": TOKEN, "webhook_secret": "for T1"}
    assert ("connect", "slack T1") in lines
    assert TOKEN not in f"{made}{listed}{lines}"


async def test_connected_again_the_new_credentials_count(workspace: Workspace, gateway: Gateway) -> None:
    api = await caller(gateway)
    for _ in range(2):
        await api.call("POST", "installations", 201, json=body())
    assert len((await api.call("GET", "installations"))["installations"]) == 1
    async with gateway.store.read() as db:
        assert [line.action for line in await audit.recent(db)][:2] == ["connect again", "connect"]
    assert workspace.installed == 2


async def test_credentials_that_are_refused_are_not_kept_and_nothing_is_installed(
    workspace: Workspace, gateway: Gateway
) -> None:
    api = await caller(gateway)
    refused = await api.call("POST", "installations", 422, json=body("wrong"))
    assert "does not know this token" in refused["error"]["message"]
    assert (await api.call("GET", "installations"))["installations"] == []
    assert workspace.installed == 0


@pytest.mark.parametrize(
    ("problem", "status"),
    [(UsageError("token: is missing"), 422), (Unavailable("Slack is away"), 503), (RateLimited("Slow down", 7), 503)],
)
async def test_why_it_cannot_be_connected_is_told(
    workspace: Workspace, gateway: Gateway, problem: Exception, status: int
) -> None:
    workspace.problem = problem
    refused = await (await caller(gateway)).call("POST", "installations", status, json=body())
    assert refused["error"]["message"] == str(problem)


async def test_what_is_missing_is_found_when_it_is_looked_at_and_is_no_refusal(
    workspace: Workspace, gateway: Gateway
) -> None:
    api = await caller(gateway)
    workspace.missing = ["chat:write"]
    made = await api.call("POST", "installations", 201, json=body())
    assert made["findings"] == [{"verdict": "bad", "text": "The scope chat:write is missing."}]
    workspace.problem = NotConnected("The token was revoked.")
    (looked,) = (await api.call("GET", "installations?check=true"))["installations"]
    assert looked["findings"] == [{"verdict": "bad", "text": "The token was revoked."}]


async def test_what_the_environment_holds_is_looked_at_too(
    workspace: Workspace, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(workspace.check, given=lambda settings: {"token": TOKEN})
    monkeypatch.setitem(server.SETUPS, "slack", setup)
    api = await caller(gateway)
    assert (await api.call("GET", "installations"))["installations"] == []
    (looked,) = (await api.call("GET", "installations?check=true"))["installations"]
    assert (looked["external_id"], looked["is_from_environment"]) == ("T1", True)


async def test_a_removed_one_is_gone_and_only_ones_own_can_be_removed(workspace: Workspace, gateway: Gateway) -> None:
    api, stranger = await caller(gateway), await caller(gateway, "another")
    await api.call("POST", "installations", 201, json=body())
    assert (await stranger.call("GET", "installations"))["installations"] == []
    await stranger.call("DELETE", "installations/slack/T1", 404)
    taken = await stranger.call("POST", "installations", 409, json=body())
    assert "connected to another agent" in taken["error"]["message"]
    assert (await api.call("DELETE", "installations/slack/T1"))["removed"]
    assert (await api.call("GET", "installations"))["installations"] == []
    await api.call("DELETE", "installations/teams/T1", 404)


async def test_a_platform_that_is_none_is_named(gateway: Gateway) -> None:
    refused = await (await caller(gateway)).call("POST", "installations", 422, json=body(platform="teams"))
    assert "platform" in refused["error"]["message"]
