"""Facts and sources in the API and the console: what people see, and what they may decide."""

import pytest

from store import agents, audit, facts, knowledge
from store.models import LearnedFact, Session
from tests.unit.gateways.conftest import Gateway
from tests.unit.gateways.test_api import KEY, Client
from tests.unit.gateways.test_console import ATTACK, Browser


@pytest.fixture
async def fact(gateway: Gateway) -> LearnedFact:
    async with gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await agents.create_key(db, agent.id, "laptop", KEY)
        db.add(Session(id=5, agent_id=agent.id, published_name="support", origin_key="widget:1"))
        await db.flush()
        found = await facts.propose(
            db, agent_id=agent.id, session_id=5, key="5:1:0", text=f"Lantern listens on port 4600. {ATTACK}",
            stated_by="Bob",
            relations=[{"how": "conflict", "what": "Ports", "text": "It is 8080.", "url": "javascript:alert(1)"}],
        )  # fmt: skip
    assert found is not None
    return found


@pytest.fixture
def api(gateway: Gateway) -> Client:
    return Client(gateway)


@pytest.fixture
async def browser(gateway: Gateway, fact: LearnedFact) -> Browser:
    return await Browser(gateway).sign_in()


async def documents(gateway: Gateway) -> int:
    async with gateway.store.read() as db:
        return (await knowledge.counts(db, 1)).documents


async def test_facts_are_decided_over_the_api_with_a_trace(gateway: Gateway, api: Client, fact: LearnedFact) -> None:
    listed = await api.get("facts")
    assert (listed["learns"], listed["facts"][0]["stated_by"], listed["facts"][0]["state"]) == (
        "propose",
        "Bob",
        "proposed",
    )
    approved = await api.post(f"facts/{fact.id}/approve", {})
    assert (approved["state"], approved["decided_by"]) == ("approved", "laptop")
    assert await documents(gateway) == 1
    assert gateway.temporal.started[-1][0] == "IndexSource", "its vectors are made by the workflow"
    again = await api.post(f"facts/{fact.id}/approve", {}, 409)
    assert again["error"]["message"] == f"Fact {fact.id} is approved already."
    assert (await api.post(f"facts/{fact.id}/undo", {}))["state"] == "proposed"
    assert await documents(gateway) == 0
    assert (await api.post(f"facts/{fact.id}/reject", {}))["state"] == "rejected"
    assert (await api.get("facts?state=proposed"))["facts"] == []
    assert "is never" in (await api.get("facts?state=lost", 422))["error"]["message"]
    assert "There is no fact 77" in (await api.post("facts/77/undo", {}, 404))["error"]["message"]
    async with gateway.store.read() as db:
        actions = [(line.actor, line.action) for line in await audit.recent(db)]
    assert actions[:3] == [("laptop", "reject fact"), ("laptop", "undo fact"), ("laptop", "approve fact")]


async def test_the_policy_is_set(gateway: Gateway, api: Client, fact: LearnedFact) -> None:
    assert await api.call("PUT", "facts/policy", json={"learns": "approve"}) == {"learns": "approve"}
    assert (await api.get("facts"))["learns"] == "approve"
    assert "learns" in (await api.call("PUT", "facts/policy", 422, json={"learns": "all"}))["error"]["message"]


async def test_another_agents_facts_are_nobodys_business(gateway: Gateway, fact: LearnedFact) -> None:
    async with gateway.store.begin() as db:
        other = await agents.ensure_agent(db, "other")
        await agents.create_key(db, other.id, "theirs", "rlm_theirs")
    theirs = Client(gateway, "rlm_theirs")
    assert (await theirs.get("facts"))["facts"] == []
    await theirs.post(f"facts/{fact.id}/approve", {}, 404)


async def test_the_console_shows_facts_and_decides(gateway: Gateway, browser: Browser, fact: LearnedFact) -> None:
    shown = await browser.get("/agent/1/facts")
    assert "Lantern listens on port 4600." in shown
    assert "<script>alert(1)</script>" not in shown
    assert 'href="javascript:' not in shown
    assert "Something else is said in" in shown
    await browser.post(f"/agent/1/facts/{fact.id}", 303, data={"decision": "approve"})
    assert await documents(gateway) == 1
    assert "approved" in await browser.get("/agent/1/facts?state=approved")
    await browser.post(f"/agent/1/facts/{fact.id}", 403, site="cross-site", data={"decision": "undo"})
    await browser.post(f"/agent/1/facts/{fact.id}", 422, data={"decision": "burn"})
    await browser.post("/agent/1/facts/policy", 303, data={"learns": "approve"})
    async with gateway.store.read() as db:
        assert await facts.policy_of(db, 1) == "approve"


async def test_the_console_shows_sources_and_syncs(gateway: Gateway, browser: Browser) -> None:
    assert "knows nothing yet" in await browser.get("/agent/1/knowledge")
    async with gateway.store.begin() as db:
        source = await knowledge.add_source(db, 1, "site", "https://docs.example.com/", every_seconds=3600)
        await knowledge.set_progress(db, source.id, state="done", done=2, total=2)
        await knowledge.add_pages(db, source.id, [f"https://docs.example.com/{ATTACK}"])
        (one,) = await knowledge.pages_after(db, source.id, 0, 9)
        await knowledge.set_page(db, one.id, problem="is refused by its server (403)")
    shown = await browser.get("/agent/1/knowledge")
    assert "is refused by its server (403)" in shown
    assert "<script>alert(1)" not in shown
    await browser.post(f"/agent/1/knowledge/{source.id}/sync", 303)
    assert gateway.temporal.started[-1][1] == f"index-{source.id}"
    await browser.post("/agent/1/knowledge/77/sync", 404)


async def test_the_console_and_the_api_ask_before_most_documents_are_forgotten(
    gateway: Gateway, browser: Browser
) -> None:
    async with gateway.store.begin() as db:
        source = await knowledge.add_source(db, 1, "site", "https://docs.example.com/")
        await knowledge.set_progress(db, source.id, state="done", done=50, total=50)
    assert "Forget what is not found" not in await browser.get("/agent/1/knowledge")
    async with gateway.store.begin() as db:
        await knowledge.set_kept_back(db, source.id, 40)
    shown = await browser.get("/agent/1/knowledge")
    assert "40 documents, more than half of them, were not found at the last sync." in shown
    assert "Forget what is not found" in shown

    async def accepts() -> bool:
        async with gateway.store.read() as db:
            found = await knowledge.get_source(db, source.id)
        assert found is not None
        return found.accepts_removals

    await browser.post(f"/agent/1/knowledge/{source.id}/sync", 303)
    assert not await accepts()
    await browser.post(f"/agent/1/knowledge/{source.id}/sync", 403, site="cross-site", data={"accept_removals": "true"})
    assert not await accepts()
    await browser.post(f"/agent/1/knowledge/{source.id}/sync", 303, data={"accept_removals": "true"})
    assert await accepts()
    async with gateway.store.read() as db:
        assert [entry.action for entry in await audit.recent(db)][:2] == ["accept removals", "sync source"]
