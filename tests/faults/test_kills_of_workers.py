"""The processes that work are killed 20 times in a row: see test_kills.py."""

import pytest

from tests.faults.engine import Engine, Victim
from tests.faults.kills import MANY, engine, is_killed

__all__ = ["engine"]  # fixtures are found by name

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("victim", ["activity worker", "session host", "supervisor"])
def test_a_worker_is_killed_twenty_times(engine: Engine, victim: Victim) -> None:
    is_killed(engine, victim, MANY)
