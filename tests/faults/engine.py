"""The whole engine as a user starts it, `runllm dev`, with its processes within reach."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

Victim = Literal["activity worker", "session host", "gateways", "temporal", "supervisor"]

_MARKS: dict[Victim, tuple[str, ...]] = {
    "activity worker": ("worker.activities",),
    "session host": ("worker.deployments.host",),
    "gateways": ("-m", "gateways"),
    "temporal": ("start-dev",),
    "supervisor": ("-m", "worker"),
}
START_SECONDS = 90


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Engine:
    """A running `runllm dev`."""

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
    def api_key(self) -> str:
        """The key that `runllm dev` made."""
        return (self.home / "api_key").read_text().strip()

    def api(self, path: str) -> Any:
        """What the control API says."""
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def pids(self, victim: Victim) -> list[int]:
        """The processes of this engine that play a part."""
        wanted = _MARKS[victim]
        return [pid for pid, arguments in self._family() if all(mark in arguments for mark in wanted)]

    def kill(self, victim: Victim) -> int:
        """Kills one, as a machine that fails would; one that is just being started again is waited for."""
        self.wait(lambda: bool(self.pids(victim)), 30, f"the {victim} runs")
        pid = self.pids(victim)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def family(self) -> list[int]:
        """All processes that it started, and theirs."""
        return [pid for pid, _ in self._family()]

    def _family(self) -> list[tuple[int, list[str]]]:
        parents: dict[int, int] = {}
        arguments: dict[int, list[str]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    stat = (entry / "stat").read_text()
                    raw = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                arguments[int(entry.name)] = [part.decode(errors="replace") for part in raw.split(b"\0")]
        ours = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in ours} - ours
            if not more:
                return [(pid, arguments[pid]) for pid in sorted(ours - {self.process.pid})]
            ours |= more

    def wait(self, condition: Any, seconds: float = START_SECONDS, what: str = "") -> None:
        """Waits until `condition()` holds; an engine that is not there yet counts as "no"."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"runllm dev ended with {self.process.returncode}:\n{self.said()}")
            try:
                if condition():
                    return
            except (httpx.HTTPError, OSError, KeyError, IndexError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what or 'it'} did not happen in {seconds:.0f} s:\n{self.said()}")

    def said(self) -> str:
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-4000:]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(home: Path, *arguments: str, **environment: str) -> Iterator[Engine]:
    """`runllm dev` until the block ends."""
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
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
    engine = Engine(process, home, int(environ["RUNLLM_PORT"]), output, environ)
    try:
        yield engine
    finally:
        if process.poll() is None:
            engine.stop()
