"""Pages that may use the widget: known while somebody looks at one, and never for long."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from gateways import origins as module
from gateways.matching import Route
from gateways.origins import Origins
from runllm.bridge.listeners import WidgetListener

PAGE = "https://acme.example"


class Published:
    """What listens, and how often somebody wanted to know."""

    def __init__(self) -> None:
        self.domains = ["acme.example"]
        self.is_watched = True
        self.reads = 0
        self.has_read = asyncio.Event()
        self.problem: Exception | None = None

    async def routes(self) -> Sequence[Route]:
        self.reads += 1
        self.has_read.set()
        if self.problem is not None:
            raise self.problem
        return [
            Route(published_name=domain, agent_id=1, listeners=[WidgetListener(domain=domain)])
            for domain in self.domains
        ]

    async def read_again(self) -> None:
        for _ in range(2):  # the second has begun when the first has ended
            self.has_read.clear()
            await asyncio.wait_for(self.has_read.wait(), 10)


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def origins(published: Published) -> Origins:
    return Origins(published.routes, lambda: published.is_watched)


@pytest.fixture
async def looking(origins: Origins, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Origins]:
    """It looks again and again."""
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.001)
    job = asyncio.create_task(origins.run())
    yield origins
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_who_is_known_is_let_in_without_a_look(origins: Origins, published: Published) -> None:
    assert [await origins.allows(PAGE) for _ in range(5)] == [True] * 5
    assert published.reads == 1


async def test_after_a_moment_it_is_looked_up_again(
    origins: Origins, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await origins.allows(PAGE)
    published.domains = []
    assert await origins.allows(PAGE)
    monkeypatch.setattr(module, "_GOOD_FOR", -1.0)
    assert not await origins.allows(PAGE)


async def test_a_refusal_has_been_looked_up(origins: Origins, published: Published) -> None:
    other = "https://other.example"
    assert await origins.allows(PAGE)
    assert not await origins.allows(other)
    published.domains.append("other.example")
    assert await origins.allows(other)


async def test_while_somebody_watches_what_listens_is_known_before_anybody_asks(
    looking: Origins, published: Published
) -> None:
    await published.read_again()
    published.domains = []
    await published.read_again()
    assert not await looking.allows(PAGE)


async def test_while_nobody_watches_nothing_is_read(looking: Origins, published: Published) -> None:
    await published.read_again()
    published.is_watched = False
    before = published.reads
    for _ in range(5):
        await asyncio.sleep(0.002)
    assert published.reads <= before + 1


async def test_who_opened_a_conversation_a_moment_ago_need_not_wait_when_it_writes(
    looking: Origins, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.is_watched = False
    assert await looking.allows(PAGE)
    published.domains.append("other.example")
    await published.read_again()
    assert [route.published_name for route in looking.routes] == ["acme.example", "other.example"]
    monkeypatch.setattr(module, "_BUSY", -1.0)
    before = published.reads
    for _ in range(5):
        await asyncio.sleep(0.002)
    assert published.reads <= before + 1


async def test_a_record_that_cannot_be_read_for_a_while_is_said_and_tried_again(
    looking: Origins, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    published.problem = OSError("the disk is gone")
    await published.read_again()
    published.problem = None
    await published.read_again()
    assert "the disk is gone" in caplog.text
    assert await looking.allows(PAGE)
