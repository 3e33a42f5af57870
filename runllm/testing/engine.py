"""The real engine in tests: `runllm dev` with ports, a home and a record of its own, as a child of the test run.

It needs the engine to be installed (`pip install "runllm-engine[engine]"`); a rehearsal does not.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from runllm.testing.visitor import Visitor

START_SECONDS = 90.0
"""How long the engine may take to start, and a workflow to go live."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class RunningEngine:
    """A running `runllm dev`. The fixture `runllm_engine` makes one for the whole test run.

    Attributes:
        home: Where it keeps everything; its logs are in `home / "logs"`.
        port: Where the gateways listen.
        temporal_address: Where its Temporal server is.
    """

    process: "subprocess.Popen[bytes]"
    home: Path
    port: int
    output: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the gateways are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def temporal_address(self) -> str:
        """Where the Temporal server is."""
        return f"127.0.0.1:{self.environment['RUNLLM_TEMPORAL_PORT']}"

    @property
    def api_key(self) -> str:
        """The key that it made."""
        return (self.home / "api_key").read_text().strip()

    def api(self, path: str) -> Any:
        """What the control API says, like `api("/api/v1/sessions")`."""
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def visitor(self, origin: str = "http://localhost") -> Visitor:
        """A new visitor with a chat widget on a page of `origin`."""
        return Visitor(self.url, origin)

    def publish(self, file: str | Path, name: str | None = None) -> None:
        """Publishes the workflow in a file as `runllm publish` does, and waits until it is live.

        Raises:
            AssertionError: It cannot be published; the text says why.
        """
        self.run("publish", str(file), *(("--name", name) if name else ()))

    def run(self, *arguments: str) -> str:
        """Runs the `runllm` command against this engine, and returns what it printed.

        Raises:
            AssertionError: It ended with something else than 0.
        """
        environ = {
            **self.environment,
            "RUNLLM_SERVER": self.url,
            "RUNLLM_API_KEY": self.api_key,
            "TEMPORAL_ADDRESS": self.temporal_address,
        }
        ran = subprocess.run(
            [str(Path(sys.executable).parent / "runllm"), *arguments],
            env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"runllm {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def save_history(self, session_id: int, file: str | Path) -> Path:
        """Saves the history of a session, for `replays` in later test runs."""
        temporal = Path(sys.executable).parent / "temporal"
        ran = subprocess.run(
            [str(temporal), "workflow", "show", "--workflow-id", f"session-{session_id}", "--output", "json",
             "--address", self.temporal_address],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"the history of session {session_id} cannot be read: {ran.stderr.strip()}")
        Path(file).write_text(ran.stdout, encoding="utf-8")
        return Path(file)

    def wait(self, condition: Callable[[], Any], seconds: float = START_SECONDS, what: str = "") -> None:
        """Waits until `condition()` holds; an engine that is not there yet counts as "no"."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"runllm dev ended with {self.process.returncode}:\n{self.printed()}")
            try:
                if condition():
                    return
            except (httpx.HTTPError, OSError, KeyError, IndexError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what or 'it'} did not happen in {seconds:.0f} s:\n{self.printed()}")

    def wait_until_ready(self) -> None:
        """Waits until workflows can be published."""
        self.wait(
            lambda: (self.home / "api_key").exists() and self.api("/api/v1/workflows") is not None, what="the start"
        )

    def printed(self) -> str:
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-4000:]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(home: Path, *arguments: str, **environment: str) -> Iterator[RunningEngine]:
    """`runllm dev` with further arguments and environment variables, until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    ports = {name: str(free_port()) for name in ("RUNLLM_PORT", "RUNLLM_TEMPORAL_PORT", "RUNLLM_TEMPORAL_UI_PORT")}
    environ = {**os.environ, **ports, "RUNLLM_HOME": str(home), **environment}
    output = home / "dev.out"
    with output.open("ab") as out:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "runllm"), "dev", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    engine = RunningEngine(process, home, int(environ["RUNLLM_PORT"]), output, environ)
    try:
        yield engine
    finally:
        if process.poll() is None:
            engine.stop()


def replays(file: str | Path, *histories: str | Path) -> None:
    """Asserts that saved histories take the same path in the code in front of you, as `runllm replay` does.

    Args:
        file: The Python file of the workflow.
        histories: Files that `RunningEngine.save_history` wrote.

    Raises:
        AssertionError: One of them takes another path; the text names the call and the line.

    Example:
        ```python
        from pathlib import Path

        from runllm.testing import replays


        def test_conversations_of_last_week_still_fit() -> None:
            replays("support.py", *Path("histories").glob("*.json"))
        ```
    """
    command = [str(Path(sys.executable).parent / "runllm"), "replay", str(file)]
    command += [word for history in histories for word in ("--history", str(history))]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if ran.returncode:
        raise AssertionError(f"{ran.stdout}{ran.stderr}")
