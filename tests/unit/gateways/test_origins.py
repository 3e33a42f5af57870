"""Pages that may use the widget: remembered, and looked at again."""

import asyncio
from collections.abc import Sequence

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
        self.reads = 0
        self.problem: Exception | None = None

    async def routes(self) -> Sequence[Route]:
        self.reads += 1
        if self.problem is not None:
            raise self.problem
        return [
            Route(published_name=domain, agent_id=1, listeners=[WidgetListener(domain=domain)])
            for domain in self.domains
        ]


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def origins(published: Published, monkeypatch: pytest.MonkeyPatch) -> Origins:
    monkeypatch.setattr(module, "_AFTERWARDS", 0)
    return Origins(published.routes)


async def looked(origins: Origins) -> None:
    """Waits until whoever looks again has looked."""
    await asyncio.gather(*origins._looks.values(), return_exceptions=True)
    await asyncio.sleep(0)


async def test_who_was_just_let_in_is_let_in_without_a_look(origins: Origins, published: Published) -> None:
    assert [await origins.allows(PAGE) for _ in range(5)] == [True] * 5
    assert published.reads == 1


async def test_a_page_that_is_not_listened_to_any_more_is_refused_once_that_was_read(
    origins: Origins, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await origins.allows(PAGE)
    monkeypatch.setattr(module, "_FRESH", -1.0)
    published.domains = []
    assert await origins.allows(PAGE)
    assert await origins.allows(PAGE)
    assert published.reads == 1, "nobody waits for it"
    await looked(origins)
    assert published.reads == 2
    assert not await origins.allows(PAGE)


async def test_after_a_minute_nobody_is_remembered(
    origins: Origins, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await origins.allows(PAGE)
    monkeypatch.setattr(module, "_REMEMBERED", -1.0)
    published.domains = []
    assert not await origins.allows(PAGE)


async def test_a_refusal_is_not_remembered(origins: Origins, published: Published) -> None:
    other = "https://other.example"
    assert not await origins.allows(other)
    published.domains.append("other.example")
    assert await origins.allows(other)


async def test_while_the_record_cannot_be_read_who_was_let_in_is_remembered(
    origins: Origins, published: Published, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert await origins.allows(PAGE)
    monkeypatch.setattr(module, "_FRESH", -1.0)
    published.problem = OSError("the disk is gone")
    assert await origins.allows(PAGE)
    await looked(origins)
    assert await origins.allows(PAGE)
    assert "the disk is gone" in caplog.text
    await looked(origins)


async def test_pages_without_number_do_not_fill_the_memory(
    origins: Origins, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.domains = ["*.acme.example"]
    monkeypatch.setattr(module, "_MOST", 10)
    for number in range(50):
        assert await origins.allows(f"https://shop{number}.acme.example")
    assert len(origins._seen) <= 10
