"""The session hosts on this machine: one child process for each live version."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from runllm.cli.children import Child, Command
from worker.deployments.environment import for_customer_code
from worker.deployments.verdicts import Unpacked


class Hosts:
    """Starts a host for each version that is to have one, and stops the others."""

    def __init__(self, home: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._logs = home / "logs"
        self._environment = for_customer_code(environ, temporal=True)
        self._say = say
        self._children: dict[tuple[str, str], Child] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    def running(self) -> set[tuple[str, str]]:
        """Name and build of the versions that have a host here."""
        return set(self._children)

    def children(self) -> list[Child]:
        """The hosts themselves."""
        return list(self._children.values())

    def start(self, version: Unpacked) -> Child:
        """The host of a version, started if there is none."""
        key = (version.name, version.build_id)
        if key not in self._children:
            self._children[key] = Child(self._command(version), self._say)
            self._children[key].start()
        return self._children[key]

    def stop(self, key: tuple[str, str]) -> None:
        """Stops the host of a version, and does not wait for its end."""
        job = asyncio.create_task(self._children.pop(key).stop())
        self._stopping.add(job)
        job.add_done_callback(self._stopping.discard)

    async def stop_all(self) -> None:
        """Stops all hosts of this machine, and returns when they have ended."""
        for key in self.running():
            self.stop(key)
        await asyncio.gather(*self._stopping)

    def _command(self, version: Unpacked) -> Command:
        return Command(
            name=f"session host of {version.name} {version.build_id}",
            arguments=(sys.executable, "-P", "-m", "worker.deployments.host"),
            log=self._logs / f"host-{version.name}-{version.build_id}.log",
            environment=self._environment,
            first_line=version.model_dump_json(),
            says_ready=True,
        )
