"""What a handler may not do even where Temporal's sandbox does not see it, and where its `print` goes.

The sandbox replaces names in the customer's own modules. A library such as `httpx` is imported outside it, and so its
sockets are out of the sandbox's sight. They are not out of an audit hook's: the interpreter calls it before every
connection and every child process, whoever asks for it.
"""

import builtins
import sys
from typing import Any

from runllm.errors import UsageError
from worker.session import handlers

_REFUSED = {
    "socket.connect": "opens a network connection",
    "socket.getaddrinfo": "looks up a host name",
    "socket.sendto": "sends a datagram",
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.fork": "starts a process",
    "sqlite3.connect": "opens a database",
}

_installed = False


def install() -> None:
    """Watches over the handlers of this process; a second call does nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    sys.addaudithook(_audit)
    builtins.print = _Print(builtins.print)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    what = _REFUSED.get(event)
    if what is not None and handlers.current() is not None:
        raise UsageError(
            f"A handler {what} here, which every replay would do again. "
            f'Put it in a function and call agent.step("name", function): its result is remembered.'
        )


class _Print:
    """`print`, with the output of handlers sent to the session's log instead."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __call__(
        self, *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, **more: Any
    ) -> None:
        handler = handlers.current()
        if handler is None or file not in (None, sys.stdout, sys.stderr):
            self._original(*values, sep=sep, end=end, file=file, **more)
        else:
            handler.print_line((" " if sep is None else sep).join(str(value) for value in values))
