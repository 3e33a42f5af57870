"""Any process may be killed in the middle of a turn: each message is answered exactly once, and accounted for.

Each process is killed twice in `make test`, and 20 times in a row in `make test-faults` and in CI.
"""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runllm.testing.visitor import Visitor
from tests.faults.engine import Engine, Victim, running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
FEW, MANY = 2, pytest.param(20, marks=pytest.mark.long)
VICTIMS: tuple[Victim, ...] = ("activity worker", "session host", "gateways", "temporal", "supervisor")
ANSWER_SECONDS = 90


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that serves `echoing`."""
    home = tmp_path_factory.mktemp("engine") / "home"
    script = str(HERE / "slow_script.json")
    with running(home, "--no-example", RUNLLM_MODEL="scripted", RUNLLM_SCRIPT=script) as engine:
        engine.wait(lambda: (home / "api_key").exists() and engine.api("/api/v1/workflows") is not None)
        publish(engine, HERE / "echoing.py")
        yield engine
        family = engine.family()
        assert len(family) > 4
        assert engine.stop() == 0
        assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []


def publish(engine: Engine, script: Path) -> None:
    """Publishes a workflow as its author would."""
    environ = {**engine.environment, "RUNLLM_SERVER": engine.url, "RUNLLM_API_KEY": engine.api_key}
    subprocess.run([sys.executable, str(script)], env=environ, check=True, timeout=90, stdout=subprocess.PIPE)


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("kills", [FEW, MANY])
def test_a_killed_process_loses_nothing_and_doubles_nothing(engine: Engine, victim: Victim, kills: int) -> None:
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


def test_a_parked_handler_survives_the_end_of_every_process(engine: Engine) -> None:
    publish(engine, HERE / "asking.py")
    visitor = Visitor(engine.url, origin="https://asking.example.com")
    visitor.open()
    visitor.ask("question")
    assert visitor.read(1, ANSWER_SECONDS) == ["shall I?"]
    for victim in VICTIMS:
        engine.kill(victim)
    assert visitor.click(visitor.wait_id(), "yes")["result"] == "won"
    assert visitor.read(2, ANSWER_SECONDS) == ["shall I?", "clicked yes"]
    assert visitor.click(visitor.wait_id(), "no")["result"] == "already"
    engine.wait(lambda: engine.api("/api/v1/accounting")["unaccounted"] == 0, 90, "accounting for every message")
