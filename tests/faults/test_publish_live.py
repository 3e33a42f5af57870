"""A new version is published while fifty conversations are going on."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from runllm.testing.visitor import Visitor
from tests.faults.engine import Engine
from tests.faults.kills import HERE, echoing, publish

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

VISITORS = 50


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that serves `echoing`."""
    with echoing(tmp_path_factory.mktemp("engine") / "home") as engine:
        yield engine


def test_publishing_loses_no_conversation_and_answers_none_twice(engine: Engine, tmp_path: Path) -> None:
    def talk(number: int) -> tuple[list[str], list[str]]:
        visitor = Visitor(engine.url)
        visitor.open()
        visitor.ask(f"question 0 by {number}")
        visitor.read(2, 120)
        everybody_talks[number].set()
        while not published.is_set() and len(visitor.said) < 6:
            visitor.ask(f"question {len(visitor.said)} by {number}")
            visitor.read(2 * len(visitor.said), 120)
        published.wait(120)
        visitor.ask(f"question last by {number}")
        return visitor.said, visitor.read(2 * len(visitor.said), 120)

    published = Event()
    everybody_talks = [Event() for _ in range(VISITORS)]
    second = tmp_path / "echoing.py"
    second.write_text((HERE / "echoing.py").read_text().replace('f"after: ', 'f"since then: '))
    with ThreadPoolExecutor(VISITORS) as pool:
        talks = [pool.submit(talk, number) for number in range(VISITORS)]
        for event in everybody_talks:
            assert event.wait(120)
        publish(engine, second)
        published.set()
        results = [talk.result() for talk in talks]
    for said, answers in results:
        answered = [answer for answer in answers if answer.startswith("the answer")]
        followed = [answer for answer in answers if not answer.startswith("the answer")]
        assert answered == [f"the answer to {text}" for text in said]
        assert [re.sub("^(after|since then): ", "", answer) for answer in followed] == answered
        assert followed[0].startswith("after: ")
        assert followed[-1].startswith("since then: ")  # it was idle when the new version came, and moved

    engine.wait(lambda: engine.api("/api/v1/accounting")["unaccounted"] == 0, 60, "accounting for every message")
    engine.wait(lambda: _old(engine)["status"] == "retired", 60, "the end of the old version")
    engine.wait(lambda: len(engine.pids("session host")) == 1, 30, "the end of the old host")


def _old(engine: Engine) -> dict[str, str]:
    versions: list[dict[str, str]] = engine.api("/api/v1/workflows/echoing")["versions"]
    return versions[-1]
