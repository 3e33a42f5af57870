"""Starts a process and sees its end when it ends, also while somebody it left behind still holds its pipes.

`asyncio`'s own `Process.wait` returns only when all pipes are closed. A process that forked may never close them.
"""

import asyncio
import os
import signal
from asyncio import SubprocessTransport
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, cast


class Spawned(asyncio.SubprocessProtocol):
    """A running process, the leader of a process group of its own."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._transport: SubprocessTransport | None = None
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Its exit status, negative for the signal that killed it."""
        self.said_all = asyncio.Event()
        """Its standard output was closed."""

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        assert self._transport is not None
        return self._transport.get_pid()

    def write(self, data: bytes) -> None:
        """Sends to its standard input, which stays open."""
        pipe = self._input()
        if pipe is not None:
            pipe.write(data)

    def end_input(self) -> None:
        """Closes its standard input."""
        pipe = self._input()
        if pipe is not None:
            pipe.write_eof()

    def ask_to_end(self) -> None:
        """Closes its input and sends it SIGTERM."""
        if not self.ended.done():
            self.end_input()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kills it, and everything in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def last_words(self, seconds: float = 1.0) -> None:
        """Waits a little for output that is still in the pipe when the process has ended."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.said_all.wait(), seconds)

    def close(self) -> None:
        """Lets go of the pipes; kills what is left."""
        self.kill()
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process was started."""
        self._transport = cast("SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It wrote to its standard output."""
        self._take(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It closed one of its pipes."""
        if fd == 1:
            self.said_all.set()

    def process_exited(self) -> None:
        """It ended."""
        assert self._transport is not None
        status = self._transport.get_returncode()
        if not self.ended.done():
            self.ended.set_result(status or 0)

    def _input(self) -> asyncio.WriteTransport | None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        return cast("asyncio.WriteTransport | None", pipe)


async def spawn(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    errors: BinaryIO,
    output: BinaryIO | None = None,
    take: Callable[[bytes], None] = lambda data: None,
) -> Spawned:
    """Starts a process with an open standard input.

    Args:
        arguments: The program and its arguments.
        environment: Its whole environment.
        errors: Where its standard error goes.
        output: Where its standard output goes; to `take`, piece by piece, where it is None.
        take: Takes its standard output.
    """
    _, spawned = await asyncio.get_running_loop().subprocess_exec(
        lambda: Spawned(take),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if output is None else output,
        stderr=errors,
        env=environment,
        process_group=0,
    )
    return spawned
