"""Any process may be killed in the middle of a turn: each message is answered exactly once, and accounted for.

Each process is killed twice in `make test`. In `make test-faults` and in CI each is killed 20 times in a row: the
servers here, and the workers in a file of their own, so that the two can go on side by side.
"""

import pytest

from runllm.testing.visitor import Visitor
from tests.faults.engine import Engine, Victim
from tests.faults.kills import ANSWER_SECONDS, HERE, MANY, VICTIMS, engine, is_killed, publish

__all__ = ["engine"]  # fixtures are found by name

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_loses_nothing_and_doubles_nothing(engine: Engine, victim: Victim) -> None:
    is_killed(engine, victim, 2)


@pytest.mark.long
@pytest.mark.parametrize("victim", ["gateways", "temporal"])
def test_a_server_is_killed_twenty_times(engine: Engine, victim: Victim) -> None:
    is_killed(engine, victim, MANY)


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
