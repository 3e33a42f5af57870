"""The whole engine as a user starts it, `runllm dev`, with its processes within reach."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from runllm.testing import engine as testing
from runllm.testing.engine import free_port

__all__ = ["Engine", "Victim", "free_port", "running"]

Victim = Literal["activity worker", "session host", "gateways", "temporal", "supervisor"]

_MARKS: dict[Victim, tuple[str, ...]] = {
    "activity worker": ("worker.activities",),
    "session host": ("worker.deployments.host",),
    "gateways": ("-m", "gateways"),
    "temporal": ("start-dev",),
    "supervisor": ("-m", "worker"),
}


class Engine(testing.RunningEngine):
    """A running `runllm dev` whose processes can be killed."""

    def pids(self, victim: Victim) -> list[int]:
        """The processes of this engine that play a part."""
        wanted = _MARKS[victim]
        return [pid for pid, arguments in self._family() if all(mark in arguments for mark in wanted)]

    def kill(self, victim: Victim) -> int:
        """Kills one, as a machine that fails would, and returns once it is dead.

        One that is just being started again is waited for. One that is still dying of an earlier kill looks alive;
        that it is dead when this returns keeps the next kill from meeting it.
        """
        killed: list[int] = []

        def kills() -> bool:
            if found := self.pids(victim):
                _kill(found[0])
                killed.append(found[0])
            return bool(found)

        self.wait(kills, 30, f"the {victim} runs")
        return killed[0]

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


def _kill(pid: int) -> None:
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        dead, _, _ = select.select([process], [], [], 30)
        assert dead, f"process {pid} still lives 30 s after it was killed"
    finally:
        os.close(process)


@contextmanager
def running(home: Path, *arguments: str, **environment: str) -> Iterator[Engine]:
    """`runllm dev` until the block ends."""
    with testing.running(home, *arguments, **environment) as engine:
        yield Engine(engine.process, engine.home, engine.port, engine.output, engine.environment, engine.platforms)
