"""`runllm facts` against a real control API."""

from store import agents, facts
from store.models import Session
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name


async def test_facts_are_listed_approved_rejected_and_undone(terminal: Terminal) -> None:
    assert "There are no facts" in (await terminal.run("facts", "list")).stdout
    async with terminal.gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        db.add(Session(id=5, agent_id=agent.id, published_name="support", origin_key="widget:1"))
        await db.flush()
        for number, text in enumerate(("Lantern listens on port 4600.", "Exports run at night.")):
            related = [{"how": "conflict", "what": "Ports", "text": "It is 8080.", "url": None}]
            await facts.propose(
                db, agent_id=agent.id, session_id=5, key=f"5:1:{number}", text=text, stated_by="Bob", relations=related
            )
    listed = await terminal.run("facts", "list")
    assert fits(listed)
    for words in ("Lantern listens on port 4600.", "Bob", "proposed", "conflicts with Ports: “It is 8080.”"):
        assert words in listed.stdout
    said = (await terminal.run("facts", "approve", "1")).stdout
    assert said == "Fact 1 is approved: Lantern listens on port 4600.\n"
    assert (await terminal.json("facts", "approve", "2"))["state"] == "approved"
    assert "Fact 2 is proposed" in (await terminal.run("facts", "undo", "2")).stdout
    assert "Fact 2 is rejected" in (await terminal.run("facts", "reject", "2")).stdout
    found = (await terminal.json("facts", "list", "--state", "approved"))["facts"]
    assert [fact["id"] for fact in found] == [1]
    assert "Fact 1 is approved already" in await terminal.refused("facts", "approve", "1")
    assert "There is no fact 9. `runllm facts list`" in await terminal.refused("facts", "undo", "9")
    assert "is none. States are" in await terminal.refused("facts", "list", "--state", "lost", code=2)


async def test_the_policy_is_shown_and_set(terminal: Terminal) -> None:
    assert "Facts are proposed" in (await terminal.run("facts", "policy")).stdout
    assert "approved at once" in (await terminal.run("facts", "policy", "approve")).stdout
    assert await terminal.json("facts", "policy") == {"learns": "approve"}
    assert "is no policy" in await terminal.refused("facts", "policy", "all", code=2)
