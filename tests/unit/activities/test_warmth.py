"""While somebody writes, questions that nobody asked are looked up: for a while, seldom, and never in the way."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from worker.activities import warmth as module
from worker.activities.warmth import Warmth
from worker.answering.protocol import Found, Question

SOON = 10.0


class Knowledge:
    """Tells what it was asked."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.problem: Exception | None = None

    async def find(self, agent_id: int, question: Question, limit: int = 8) -> Found:
        self.asked.put_nowait((agent_id, question.text))
        if self.problem is not None:
            raise self.problem
        return Found()

    async def expect_more(self, question: Question) -> None:
        raise AssertionError("nobody asked, so nobody asks more")

    async def next(self) -> tuple[int, str]:
        return await asyncio.wait_for(self.asked.get(), SOON)


class Clock:
    """Passes only where the warmth sleeps."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        patched.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        patched.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": self._sleep}))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def knowledge() -> Knowledge:
    return Knowledge()


@pytest.fixture
async def warmth(knowledge: Knowledge) -> AsyncIterator[Warmth]:
    warmth = Warmth(knowledge)
    yield warmth
    await warmth.close()


async def finished(warmth: Warmth) -> None:
    assert warmth._job is not None
    await asyncio.wait_for(warmth._job, SOON)


async def test_questions_are_looked_up_until_a_while_after_somebody_wrote(
    warmth: Warmth, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    warmth.somebody_writes(7)
    await finished(warmth)
    asked = [knowledge.asked.get_nowait() for _ in range(knowledge.asked.qsize())]
    assert {agent for agent, _ in asked} == {7}
    assert len({text for _, text in asked}) == len(asked), "each is asked for the first time"
    assert clock.slept == [module.EVERY] * len(asked)
    assert abs(len(asked) - module.LASTS / module.EVERY) <= 1
    warmth.somebody_writes(8)
    assert (await knowledge.next())[0] == 8, "and again, for whoever writes then"


async def test_many_who_write_take_no_more_than_one(warmth: Warmth, knowledge: Knowledge) -> None:
    for agent in range(1, 9):
        warmth.somebody_writes(agent)
    assert (await knowledge.next())[0] == 8
    assert knowledge.asked.empty()


async def test_a_slow_search_is_made_less_often(
    warmth: Warmth, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    async def slow(agent_id: int, question: Question, limit: int = 8) -> Found:
        clock.now += 0.1
        return Found()

    monkeypatch.setattr(knowledge, "find", slow)
    warmth.somebody_writes(1)
    await finished(warmth)
    assert clock.slept == pytest.approx([1.9, 1.9][: len(clock.slept)]), "a twentieth of the time"


async def test_once_a_message_came_nothing_more_is_looked_up(warmth: Warmth, knowledge: Knowledge) -> None:
    warmth.somebody_writes(1)
    await knowledge.next()
    warmth.message_came()
    await finished(warmth)
    assert knowledge.asked.empty()


async def test_a_search_that_fails_is_not_the_last(
    warmth: Warmth, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "EVERY", 0.001)
    knowledge.problem = OSError("the disk is gone")
    warmth.somebody_writes(1)
    for _ in range(2):
        await knowledge.next()
    assert "the disk is gone" in caplog.text


async def test_it_ends_with_its_worker(warmth: Warmth, knowledge: Knowledge) -> None:
    warmth.somebody_writes(1)
    await knowledge.next()
    await warmth.close()
    assert warmth._job is not None
    assert warmth._job.done()
    await Warmth(knowledge).close()
