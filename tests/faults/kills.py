"""An engine whose processes are killed while people talk to it, and what has to hold then."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runllm.testing.visitor import Visitor
from tests.faults.engine import Engine, Victim, running

HERE = Path(__file__).parent
VICTIMS: tuple[Victim, ...] = ("activity worker", "session host", "gateways", "temporal", "supervisor")
MANY = 20
ANSWER_SECONDS = 90


@contextmanager
def echoing(home: Path) -> Iterator[Engine]:
    """An engine that serves `echoing`, with a model that takes its time."""
    script = str(HERE / "slow_script.json")
    with running(home, "--no-example", RUNLLM_MODEL="scripted", RUNLLM_SCRIPT=script) as engine:
        engine.wait_until_ready()
        publish(engine, HERE / "echoing.py")
        yield engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine to kill processes of; afterwards none is left."""
    with echoing(tmp_path_factory.mktemp("engine") / "home") as engine:
        yield engine
        family = engine.family()
        assert len(family) > 4
        assert engine.stop() == 0
        assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []


def publish(engine: Engine, script: Path) -> None:
    """Publishes a workflow as its author would."""
    environ = {**engine.environment, "RUNLLM_SERVER": engine.url, "RUNLLM_API_KEY": engine.api_key}
    subprocess.run([sys.executable, str(script)], env=environ, check=True, timeout=90, stdout=subprocess.PIPE)


def is_killed(engine: Engine, victim: Victim, kills: int) -> None:
    """Kills a process in the middle of turns, again and again: each message is answered once, and accounted for."""
    chance = random.Random(victim)
    visitors = [Visitor(engine.url) for _ in range(2)]
    for visitor in visitors:
        visitor.open()
    for kill in range(kills):
        for number, visitor in enumerate(visitors):
            visitor.ask(f"question {kill} of {victim} by {number}")
        time.sleep(chance.uniform(0.0, 1.2))  # anywhere in the turn
        engine.kill(victim)
        for visitor in visitors:
            visitor.read(2 * (kill + 1), ANSWER_SECONDS)
    for visitor in visitors:
        expected = [text for said in visitor.said for text in (f"the answer to {said}", f"after: the answer to {said}")]
        assert visitor.answers() == expected
    engine.wait(lambda: engine.api("/api/v1/accounting")["unaccounted"] == 0, 90, "accounting for every message")
