"""Ties a process to the one that started it: `python tether.py PARENT PROGRAM ARGUMENT...` ends when PARENT does.

On Linux the kernel sends the signal, and this process becomes PROGRAM. Elsewhere it stays beside PROGRAM and watches
its standard input, which ends with the parent. Run by path and with the standard library only: it starts in 20 ms.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def end_with_parent(number: int = signal.SIGTERM) -> bool:
    """Asks the kernel to send this process a signal when its parent ends. Returns False where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) == 0)


def when_stdin_ends(call: Callable[[], object]) -> None:
    """Calls `call` from a thread of its own once standard input is closed: then the parent has ended, or said stop."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        with suppress(RuntimeError):  # the event loop that is to be told is closed: we are stopping already
            call()

    threading.Thread(target=watch, name="tether", daemon=True).start()


def main() -> None:
    """Becomes the program named by the arguments, or starts it and watches.

    The parent's number is given: to whoever asks for it, the kernel may already name the one that took us over.
    """
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if end_with_parent():
        if os.getppid() != parent:  # it ended before the kernel knew
            sys.exit(0)
        os.execvp(program[0], program)
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: child.terminate())
    when_stdin_ends(child.terminate)
    sys.exit(child.wait())


if __name__ == "__main__":
    main()
