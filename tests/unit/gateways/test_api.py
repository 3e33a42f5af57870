"""The control API over HTTP, on a real store."""

import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from temporalio.service import RPCStatusCode

from gateways.api.source_kinds import kind_of
from gateways.wire import KNOWLEDGE_QUEUE, build_id_of
from runllm.bridge.listeners import AdminConsoleListener, SlackListener, WidgetListener
from runllm.bundle import Bundle
from store import agents, audit, knowledge, messages, published, sessions
from store.published import Status, Step
from tests.unit.gateways.conftest import Gateway, bundle
from tests.unit.gateways.doubles import down, rpc_error

KEY = "rlm_test_key_of_the_default_agent"
ELSEWHERE = WidgetListener(domain="elsewhere.example")


class Client:
    """Calls the API with a key."""

    def __init__(self, gateway: Gateway, key: str = KEY) -> None:
        self._gateway = gateway
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, status: int = 200, **how: Any) -> dict[str, Any]:
        url = f"{self._gateway.url}/api/v1/{path}"
        async with self._gateway.http.request(method, url, headers=self._headers, **how) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == status, answer
            return answer

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        return await self.call("GET", path, status)

    async def post(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return await self.call("POST", path, status, json=body)

    async def publish(self, sources: Bundle, status: int = 202) -> dict[str, Any]:
        return await self.post("workflows", sources.model_dump(mode="json"), status)


@pytest.fixture
async def api(gateway: Gateway) -> Client:
    async with gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await agents.create_key(db, agent.id, "laptop", KEY)
    return Client(gateway)


async def advance(gateway: Gateway, name: str, build_id: str) -> None:
    """Does the worker's part of a publish."""
    steps: tuple[Step, ...] = ("uploaded", "validated", "replayed", "loaded", "registered", "current")
    statuses: tuple[Status, ...] = ("validated", "replayed", "loaded")
    async with gateway.store.begin() as db:
        version = await published.find_version(db, name, build_id)
        assert version is not None
        for status in statuses:
            await published.set_status(db, version.id, status)
        for step in steps:
            await published.set_step(db, version.id, step, "done")
        await published.make_current(db, version.id)


async def test_without_a_known_key_nothing_happens(gateway: Gateway, api: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong-key-of-somebody"}, {"x-api-key": "é"}):
        async with gateway.http.get(f"{gateway.url}/api/v1/workflows", headers=headers) as response:
            assert response.status == 401
            error = (await response.json())["error"]
            assert error["code"] == "unknown_key"
            assert "wrong-key-of-somebody" not in error["message"]
    async with gateway.http.get(f"{gateway.url}/api/v1/workflows", headers={"x-api-key": KEY}) as response:
        assert response.status == 200


async def test_guessing_keys_is_slowed_down_and_the_right_one_still_works(gateway: Gateway, api: Client) -> None:
    stranger = Client(gateway, "not-a-key-at-all")
    for _ in range(10):
        await stranger.get("workflows", 401)
    assert (await stranger.get("workflows", 429))["error"]["code"] == "too_many"
    await api.get("workflows")


async def test_publishing_shows_its_steps(gateway: Gateway, api: Client) -> None:
    sources = bundle("docs", ELSEWHERE)
    answer = await api.publish(sources)
    assert answer == {"name": "docs", "build_id": build_id_of(sources), "unchanged": False}
    deployment = await api.get("workflows/docs/deployment")
    assert (deployment["status"], deployment["finished"]) == ("uploaded", False)
    await advance(gateway, "docs", answer["build_id"])
    deployment = await api.get("workflows/docs/deployment")
    assert (deployment["status"], deployment["finished"]) == ("current", True)
    steps = ["uploaded", "validated", "replayed", "loaded", "registered", "current"]
    assert [step["step"] for step in deployment["steps"]] == steps
    workflow = await api.get("workflows/docs")
    assert workflow["current_build"] == answer["build_id"]
    assert [version["wanted"] for version in workflow["versions"]] == [True]
    assert "docs" in [one["name"] for one in (await api.get("workflows"))["workflows"]]


async def test_identical_code_is_unchanged_unless_another_version_came_since(gateway: Gateway, api: Client) -> None:
    one, two = bundle("docs", ELSEWHERE), bundle("docs", ELSEWHERE, text="x = 2")
    first = await api.publish(one)
    await advance(gateway, "docs", first["build_id"])
    assert (await api.publish(one))["unchanged"] is True
    second = await api.publish(two)
    await advance(gateway, "docs", second["build_id"])
    again = await api.publish(one)
    assert again == {**first, "unchanged": False}
    deployment = await api.get("workflows/docs/deployment")
    assert (deployment["build_id"], deployment["status"]) == (first["build_id"], "loaded")


async def test_a_deployment_is_finished_when_the_old_version_is_gone_or_stays_for_a_reason(
    gateway: Gateway, api: Client
) -> None:
    first = await api.publish(bundle("docs", ELSEWHERE))
    await advance(gateway, "docs", first["build_id"])
    second = await api.publish(bundle("docs", ELSEWHERE, text="x = 2"))
    await advance(gateway, "docs", second["build_id"])
    async with gateway.store.begin() as db:
        old = await published.find_version(db, "docs", first["build_id"])
        new = await published.find_version(db, "docs", second["build_id"])
        assert old is not None
        assert new is not None
        await published.set_step(db, old.id, "drained", "running", "3 running")
    deployment = await api.get("workflows/docs/deployment")
    assert deployment["finished"] is False
    assert deployment["replaces"] == first["build_id"]
    assert deployment["steps"][-1]["detail"] == "3 running"
    async with gateway.store.begin() as db:
        await published.set_status(db, new.id, "current", note="1 waits for a button")
    assert (await api.get("workflows/docs/deployment"))["finished"] is True
    async with gateway.store.begin() as db:
        await published.set_status(db, new.id, "current", note="")
        await published.set_step(db, old.id, "drained", "done")
        await published.set_status(db, old.id, "retired")
    deployment = await api.get("workflows/docs/deployment")
    assert deployment["finished"] is True
    assert deployment["steps"][-1]["step"] == "drained"


async def test_a_failed_deployment_is_finished_and_says_why(gateway: Gateway, api: Client) -> None:
    answer = await api.publish(bundle("docs", ELSEWHERE))
    async with gateway.store.begin() as db:
        version = await published.find_version(db, "docs", answer["build_id"])
        assert version is not None
        await published.set_status(db, version.id, "failed", error="flow.py, line 3: invalid syntax")
    deployment = await api.get("workflows/docs/deployment")
    assert (deployment["finished"], deployment["error"]) == (True, "flow.py, line 3: invalid syntax")


async def test_rolling_back_makes_the_version_before_wanted(gateway: Gateway, api: Client) -> None:
    first = await api.publish(bundle("docs", ELSEWHERE))
    await advance(gateway, "docs", first["build_id"])
    message = (await api.post("workflows/docs/rollback", status=404))["error"]["message"]
    assert "nothing to go back to" in message
    second = await api.publish(bundle("docs", ELSEWHERE, text="x = 2"))
    await advance(gateway, "docs", second["build_id"])
    assert (await api.post("workflows/docs/rollback"))["build_id"] == first["build_id"]
    named = {"build_id": second["build_id"]}
    assert (await api.post("workflows/docs/rollback", named))["build_id"] == second["build_id"]
    await api.post("workflows/docs/rollback", {"build_id": "nope"}, 404)
    await api.post("workflows/docs/rollback", {"build": "nope"}, 422)
    async with gateway.store.read() as db:
        actions = [line.action for line in await audit.recent(db)]
    assert actions == ["rollback", "rollback", "publish", "publish"]


async def test_a_version_that_is_back_shows_its_way_in_and_no_longer_its_way_out(gateway: Gateway, api: Client) -> None:
    first = await api.publish(bundle("docs", ELSEWHERE))
    await advance(gateway, "docs", first["build_id"])
    second = await api.publish(bundle("docs", ELSEWHERE, text="x = 2"))
    await advance(gateway, "docs", second["build_id"])
    async with gateway.store.begin() as db:
        back = await published.find_version(db, "docs", first["build_id"])
        assert back is not None
        await published.set_step(db, back.id, "drained", "running", "1 session waits for a button")
    [leaving] = [one for one in (await api.get("workflows/docs/deployment"))["steps"] if one["step"] == "drained"]
    assert leaving["detail"] == "1 session waits for a button"
    await api.post("workflows/docs/rollback")
    async with gateway.store.begin() as db:
        await published.make_current(db, back.id)
    steps = (await api.get("workflows/docs/deployment"))["steps"]
    assert "drained" not in [one["step"] for one in steps]
    versions = {one["build_id"]: one for one in (await api.get("workflows/docs"))["versions"]}
    assert "drained" not in [one["step"] for one in versions[first["build_id"]]["steps"]]


async def test_two_workflows_that_claim_the_same_listener_are_refused_with_both_names(api: Client) -> None:
    error = (await api.publish(bundle("rival", WidgetListener(domain="acme.example")), 409))["error"]
    assert error["code"] == "listener_overlap"
    for part in ("'rival'", "'support'", "acme.example"):
        assert part in error["message"]


def changed(**fields: Any) -> dict[str, Any]:
    return {**bundle("docs", ELSEWHERE).model_dump(mode="json"), **fields}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (changed(name="has.dot"), "name"),
        (changed(name="x" * 65), "name"),
        (changed(name="1st"), "name"),
        (changed(listeners=[]), "listeners"),
        (changed(listeners=[{"type": "pager"}]), "listeners.0"),
        (changed(files={"../../etc/cron.d/x": "x"}), "files"),
        (changed(files={"/abs.py": "x"}), "files"),
        (changed(files={"a\\b.py": "x"}), "files"),
        (changed(files={"other.py": "x"}), "entrypoint"),
        (changed(entrypoint={"name": "start"}), "entrypoint.module"),
        (changed(format=2), "format"),
        (changed(surprise=1), "surprise"),
        ({}, "name"),
    ],
)
async def test_a_malformed_bundle_is_refused_with_the_field(api: Client, body: Any, names: str) -> None:
    error = (await api.post("workflows", body, 422))["error"]
    assert error["code"] == "malformed_bundle"
    assert f"{names}:" in error["message"]


async def test_packages_are_modules_too(api: Client) -> None:
    sources = changed(
        files={"desk/__init__.py": "", "desk/flow.py": "x = 1"},
        entrypoint={"name": "start", "module": "desk.flow", "function": "start"},
        tasks=[{"name": "more", "module": "desk", "function": "more"}],
    )
    await api.post("workflows", sources, 202)


async def test_a_bundle_that_is_too_large_is_refused(api: Client) -> None:
    data = BytesIO(json.dumps(changed(files={"flow.py": "x" * 5_000_000})).encode())
    error = (await api.call("POST", "workflows", 413, data=data))["error"]
    assert error["code"] == "too_large"


async def test_what_is_not_there_is_said_with_its_name(api: Client) -> None:
    for path in ("workflows/nope", "workflows/nope/deployment", "sessions/77", "sources/77", "nonsense"):
        error = (await api.get(path, 404))["error"]
        assert path.split("/")[1 if "/" in path else 0] in error["message"]
    assert "takes" in (await api.call("DELETE", "workflows/x", 405))["error"]["message"]


async def test_another_agents_things_are_out_of_reach(gateway: Gateway, api: Client) -> None:
    async with gateway.store.begin() as db:
        other = await agents.ensure_agent(db, "other")
        await agents.create_key(db, other.id, "other", "rlm_key_of_another_agent")
    stranger = Client(gateway, "rlm_key_of_another_agent")
    visitor = await gateway.open()
    await visitor.say("Hello")
    await stranger.get("workflows/support", 404)
    await stranger.get("sessions/1", 404)
    assert (await stranger.get("sessions"))["sessions"] == []
    taken = await stranger.publish(bundle("support", SlackListener(team_id="T")), 409)
    assert taken["error"]["code"] == "name_taken"


async def test_sessions_show_what_was_said_and_done(gateway: Gateway, api: Client) -> None:
    visitor = await gateway.open()
    await visitor.say("How do I log in?")
    async with gateway.store.begin() as db:
        await sessions.add_log(db, 1, "1:1", [{"level": "print", "text": "hi", "handler": "start"}])
        reply = await messages.add(db, session_id=1, author="assistant", text="Like this", category="answered")
        await messages.post(db, session_id=1, chat_id=reply.id, surface_key=visitor.key, remote_id="1:1")
        await sessions.update(db, 1, phase="waiting_for_button", handler="start", build_id="b1")
    [listed] = (await api.get("sessions?state=waiting_for_button&handler=start&limit=5"))["sessions"]
    assert (listed["id"], listed["published_name"]) == (1, "support")
    assert (await api.get("sessions?state=closed"))["sessions"] == []
    session = await api.get("sessions/1")
    assert [line["text"] for line in session["transcript"]] == ["How do I log in?", "Like this"]
    assert [line["text"] for line in session["log"]] == ["hi"]
    assert (session["phase"], session["handler"], session["build_id"]) == ("waiting_for_button", "start", "b1")
    assert session["surfaces"][0]["type"] == "chat_widget"
    assert "state:" in (await api.get("sessions?state=asleep", 422))["error"]["message"]
    assert "limit:" in (await api.get("sessions?limit=many", 422))["error"]["message"]


async def test_the_account_lists_what_is_open(gateway: Gateway, api: Client) -> None:
    assert await api.get("accounting") == {"unaccounted": 0, "oldest_seconds": None, "rows": []}
    visitor = await gateway.open()
    await visitor.say("Hello")
    await gateway.delivered()
    account = await api.get("accounting")
    assert account["unaccounted"] == 1
    assert account["rows"][0]["signalled_at"] is not None


async def test_sources_are_indexed_by_a_workflow(gateway: Gateway, api: Client) -> None:
    source = await api.post("sources", {"kind": "folder", "location": "/docs", "base_url": "https://d.example"}, 202)
    assert (source["state"], source["documents"]) == ("new", 0)
    assert gateway.temporal.started[-1] == ("IndexSource", f"index-{source['id']}", source["id"])
    async with gateway.store.begin() as db:
        await knowledge.set_progress(db, source["id"], state="done", done=3, total=3)
    assert (await api.get(f"sources/{source['id']}"))["done"] == 3
    assert (await api.post(f"sources/{source['id']}/sync", status=202))["state"] == "new"
    assert [one["location"] for one in (await api.get("sources"))["sources"]] == ["/docs"]
    await api.call("DELETE", f"sources/{source['id']}")
    assert (await api.get("sources"))["sources"] == []


async def test_a_source_waits_for_temporal(gateway: Gateway, api: Client) -> None:
    gateway.temporal.problem = down
    source = await api.post("sources", {"kind": "folder", "location": "/docs"}, 202)
    gateway.temporal.problem = rpc_error(RPCStatusCode.UNAVAILABLE, "")
    assert not await gateway.services.indexing.start(source["id"])
    gateway.temporal.problem = lambda id: None
    await gateway.services.indexing.start_waiting()
    assert [id for _, id, _ in gateway.temporal.started] == [f"index-{source['id']}"]
    assert KNOWLEDGE_QUEUE == "runllm-knowledge"


async def test_schedules_follow_the_record(gateway: Gateway, api: Client) -> None:
    schedules, indexing = gateway.temporal.schedules, gateway.services.indexing
    first = await api.post("sources", {"location": "https://docs.example.com/", "every_seconds": 3600}, 202)
    assert (first["kind"], first["every_seconds"]) == ("site", 3600)
    name = f"runllm-index-{first['id']}"
    assert schedules[name].spec.intervals[0].every == timedelta(hours=1)
    await api.post("sources", {"location": "https://docs.example.com/", "every_seconds": 7200}, 202)
    assert schedules[name].spec.intervals[0].every == timedelta(hours=2)
    again = await api.post("sources", {"location": "https://docs.example.com/"}, 202)
    assert again["every_seconds"] == 7200, "what is not given stays"
    await api.post("sources", {"location": "https://docs.example.com/", "every_seconds": 0}, 202)
    assert schedules == {}

    gateway.temporal.problem = down
    second = await api.post("sources", {"location": "/docs", "every_seconds": 600}, 202)
    assert schedules == {}
    gateway.temporal.problem = lambda id: None
    schedules["runllm-index-77"] = schedules["somebody-else"] = None  # type: ignore[assignment]
    await indexing.follow_record()
    assert sorted(schedules) == [f"runllm-index-{second['id']}", "somebody-else"]
    await api.call("DELETE", f"sources/{second['id']}")
    assert sorted(schedules) == ["somebody-else"]


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("https://docs.example.com/guide.html", "site"),
        ("https://docs.example.com/sitemap_index.xml.gz", "sitemap"),
        ("https://help.example.com/hc/en-us", "zendesk"),
        ("https://github.com/owner/name", "git"),
        ("https://github.com/owner/name/blob/main/api.yaml", "openapi"),
        ("https://git.example.com/docs.git#v2", "git"),
        ("git@github.com:owner/name.git", "git"),
        ("/srv/docs", "folder"),
        ("/srv/docs/guide.PDF", "file"),
        ("/srv/api.json", "openapi"),
    ],
)
def test_the_kind_of_a_source_is_guessed(location: str, kind: str) -> None:
    assert kind_of(location) == kind


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"kind": "folder", "location": "docs"}, "location"),
        ({"kind": "site", "location": "/docs"}, "location"),
        ({"kind": "folder", "location": "https://docs.example.com"}, "location"),
        ({"location": "https://me:secret@docs.example.com"}, "location"),
        ({"kind": "facts", "location": "learned-facts"}, "kind"),
        ({"location": "/docs", "every_seconds": 5}, "every_seconds"),
        ({"kind": "web", "location": "/docs"}, "kind"),
        ({"kind": "folder", "location": "/docs", "base_url": "javascript:alert(1)"}, "base_url"),
    ],
)
async def test_a_source_that_makes_no_sense_is_refused(api: Client, body: Any, names: str) -> None:
    message = (await api.post("sources", body, 422))["error"]["message"]
    assert f"{names}:" in message


async def test_console_listeners_overlap_by_agent(api: Client) -> None:
    await api.publish(bundle("rival", AdminConsoleListener(agent_id=1)), 409)
    await api.publish(bundle("other", AdminConsoleListener(agent_id=2)))
