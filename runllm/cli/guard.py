"""What is checked before anything is started: the ports are free, and nobody else uses this home."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runllm.cli.refusal import RefusalError

_LEFTOVER_SECONDS = 10.0
"""Processes of a `runllm dev` that was killed need so long to notice and to end."""


@dataclass(frozen=True)
class Port:
    """A port that something is going to listen on, and the setting that chooses another."""

    number: int
    what: str
    setting: str
    host: str = "127.0.0.1"

    def is_free(self) -> bool:
        """Whether it could be listened on now."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.number))
            except OSError:
                return False
            return True


def check_ports(ports: Sequence[Port], patience: float = 0.0) -> None:
    """Returns when all ports are free.

    Raises:
        RefusalError: One is taken, also after `patience` seconds; or two of them are the same.
    """
    for port in ports:
        same = [other for other in ports if other.number == port.number and other is not port]
        if same:
            raise RefusalError(
                f"Port {port.number} is asked for twice, for {port.what} and for {same[0].what}: "
                f"set {port.setting} or {same[0].setting} to another port."
            )
    deadline = time.monotonic() + patience
    for port in ports:
        while not port.is_free():
            if time.monotonic() > deadline:
                raise RefusalError(
                    f"Port {port.number}, for {port.what}, is taken. "
                    f"Stop the program that listens there, or set {port.setting} to another port."
                )
            time.sleep(0.1)


@contextmanager
def only_one(home: Path) -> Iterator[float]:
    """Holds a home for one `runllm dev`. Yields how long leftovers of an earlier one may need to end.

    Raises:
        RefusalError: Another one runs on this home.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "dev.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RefusalError(
                f"`runllm dev` already runs on {home} (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or set RUNLLM_HOME to another directory."
            ) from None
        lock.seek(0)
        was_killed = bool(lock.read().strip())
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield _LEFTOVER_SECONDS if was_killed else 0.0
        lock.truncate(0)
