"""Child processes that are kept alive, and that end with their parent.

`runllm dev` keeps the engine's processes this way, and the worker its activity worker and session hosts.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runllm.cli import logs, tether
from runllm.cli.spawning import Spawned, spawn

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between the end of a child and its next start; twice as many each time it ends early."""

LONG_ENOUGH = 10.0
"""A child that ran for so many seconds is restarted without a long pause."""

HOPELESS = 78
"""Exit status of a child that would end in the same way again: nobody need wait for it (`EX_CONFIG`)."""

TETHER = tether.__file__

_CAP_SECONDS = 5.0
"""How often a log is looked at that may have grown too large."""


@dataclass(frozen=True)
class Command:
    """How a child is started.

    Attributes:
        name: What people call it.
        arguments: The program and its arguments.
        log: The file that its output is appended to.
        environment: Its whole environment.
        first_line: What it reads first from its standard input, which then stays open as long as its parent lives.
        says_ready: It prints the line `ready` when it is; the rest of its standard output goes to the log.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    first_line: str = ""
    says_ready: bool = False


class NotReady(Exception):
    """A child ended, or time passed, before it was ready; the text ends with what it wrote."""


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


class Child:
    """One child process, started again whenever it ends until `stop` is called."""

    def __init__(self, command: Command, say: Callable[[str], None] = lambda line: None) -> None:
        self.command = command
        self.pid: int | None = None
        self.starts = 0
        self._say = say
        self._ready = asyncio.Event()
        self._ended_early = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: Spawned | None = None
        self._log_start = 0
        self._job: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """It runs, and has said that it is ready where it is to say so."""
        return self._ready.is_set()

    @property
    def keeps_ending(self) -> bool:
        """It was started several times, and ended soon each time."""
        return self._ended_early.is_set()

    def start(self) -> None:
        """Starts the process, and from then on keeps it running."""
        if self._job is None:
            self._job = asyncio.create_task(self._keep(), name=f"keep {self.command.name}")

    def kill(self) -> None:
        """Ends the process at once; it is started again."""
        if self._process is not None:
            self._process.kill()

    def tail(self, characters: int = 2000) -> str:
        """The end of what the process wrote since its last start."""
        return logs.tail(self.command.log, self._log_start, characters)

    async def wait_ready(self, seconds: float) -> None:
        """Returns once the process is ready.

        Raises:
            NotReady: It keeps ending, or is not ready in time.
        """
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ready, self._ended_early)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._ready.is_set():
            how = "keeps ending" if self._ended_early.is_set() else f"is not ready after {seconds:.0f} s"
            raise NotReady(f"{self.command.name} {how}. The end of its log, {self.command.log}:\n{self.tail()}")

    async def stop(self, grace: float = 8.0) -> None:
        """Ends the process: asks by closing its input and by SIGTERM, and kills it after `grace` seconds."""
        self._stopping.set()
        if self._job is None:
            return
        process = self._process
        if process is not None:
            process.ask_to_end()
            await asyncio.wait({process.ended}, timeout=grace)
            process.kill()
        await self._job

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run_once()
            self._ready.clear()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > LONG_ENOUGH:
                pause = FIRST_PAUSE
            elif status == HOPELESS or pause > 4 * FIRST_PAUSE:
                self._ended_early.set()
            self._say(f"{self.command.name} ended ({describe_exit(status)}); starting it again in {pause:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self) -> int:
        command = self.command
        self._log_start = logs.size(command.log)
        with logs.open_log(command.log) as log:
            heard = _Heard(self._is_ready_now, log)
            process = await spawn(
                (sys.executable, "-I", "-S", TETHER, str(os.getpid()), *command.arguments),
                command.environment,
                errors=log,
                output=None if command.says_ready else log,
                take=heard.take,
            )
            self._process, self.pid = process, process.pid
            self.starts += 1
            if self._stopping.is_set():  # stop() came while the process was being made
                process.kill()
            if command.first_line:
                process.write(command.first_line.encode() + b"\n")
            if not command.says_ready:
                self._ready.set()
            while not (await asyncio.wait({process.ended}, timeout=_CAP_SECONDS))[0]:
                logs.cap(command.log)
            self._process = self.pid = None
            process.close()
            return process.ended.result()

    def _is_ready_now(self) -> None:
        self._ready.set()
        self._ended_early.clear()


class _Heard:
    """A child's standard output: the line `ready` is for us, all else is for the log."""

    def __init__(self, is_ready: Callable[[], None], log: BinaryIO) -> None:
        self._is_ready, self._log = is_ready, log
        self._line = b""
        self._listens = True

    def take(self, data: bytes) -> None:
        if not self._listens:
            self._log.write(data)
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for number, line in enumerate(lines):
            if line == b"ready":
                self._listens = False
                self._is_ready()
                self._log.write(b"\n".join([*lines[number + 1 :], self._line]))
                return
            self._log.write(line + b"\n")


async def stop_all(children: list[Child], grace: float = 8.0) -> None:
    """Ends several children at once."""
    await asyncio.gather(*(child.stop(grace) for child in children))
