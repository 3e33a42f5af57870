from pathlib import Path

from tests.workflow.conftest import client, environment

__all__ = ["client", "environment"]  # fixtures are found by name

# These need all platforms; one without its stand-in is not there yet.
STAND_INS = Path(__file__).parents[1] / "fakes"
collect_ignore_glob = [] if (STAND_INS / "discord.py").exists() else ["test_*.py"]
