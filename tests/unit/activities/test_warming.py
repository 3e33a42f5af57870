"""What the first question would wait for is done before it comes."""

import pytest

from runllm.bridge.listeners import WidgetListener
from runllm.bundle import Bundle, BundleEntry
from store import agents, published
from tests.unit.activities.conftest import Case
from worker.activities.warming import warm_up
from worker.answering.protocol import Found, Question


async def _publish(case: Case, name: str) -> None:
    async with case.store.begin() as db:
        agent = await agents.ensure_agent(db)
        start = BundleEntry(name="start", module="flow", function="start")
        listeners = [WidgetListener(domain=f"{name}.example")]
        made = Bundle(name=name, files={"flow.py": "x = 1"}, entrypoint=start, listeners=listeners)
        version, _ = await published.upload(db, agent.id, made, f"build-of-{name}", "test")
        for status in ("validated", "replayed", "loaded"):
            await published.set_status(db, version.id, status)
        await published.make_current(db, version.id)


async def test_every_agent_that_is_published_is_asked_something_once(case: Case) -> None:
    await _publish(case, "one")
    await _publish(case, "two")
    await warm_up(case.context)
    assert len(case.knowledge.asked) == 1, "both are published for the same agent"


async def test_what_goes_wrong_is_left_to_the_questions(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(agent_id: int, question: Question, limit: int = 8) -> Found:
        raise OSError("no such weights")

    await _publish(case, "one")
    monkeypatch.setattr(case.knowledge, "find", broken)
    await warm_up(case.context)
