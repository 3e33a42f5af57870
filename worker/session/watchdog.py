"""Ends a handler that computes without end.

Between two calls of the agent a handler may use a second of processor time; one that uses more, like `while True`,
would hold its thread for ever, and Temporal would fail the same workflow task over and over. The watchdog raises
`HandlerSpun` in it, which is recorded as the customer's error, and the session goes on.

Processor time of the thread, not time of day: a busy machine must not make a healthy handler look like a spinning one,
also because a replay has to come to the same verdict.
"""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_SECONDS = 1.0
"""Processor seconds between two calls of the agent. Temporal's own limit is `hosting.STALL_SECONDS` of time of day."""

_INTERVAL = 0.1

IS_AVAILABLE = hasattr(time, "pthread_getcpuclockid")
"""Not on macOS, where Temporal's own limit is the only one."""


class HandlerSpun(BaseException):
    """A handler computed for too long without calling the agent. `except Exception` does not catch it."""


class _Segment:
    """A handler's code on one thread, from one switch to the next."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.clock = time.pthread_getcpuclockid(self.thread)
        self.start = time.clock_gettime(self.clock)
        self.interrupted = False


_running: dict[int, _Segment] = {}
_lock = threading.Lock()
_starting = threading.Lock()
_watcher: threading.Thread | None = None


@contextmanager
def handler_runs() -> Iterator[None]:
    """Wraps every switch into a handler."""
    if not IS_AVAILABLE:
        yield
        return
    _ensure_watcher()
    segment = _Segment()
    with _lock:
        _running[segment.thread] = segment
    try:
        yield
    finally:
        _leave(segment)


def _leave(segment: _Segment) -> None:
    while True:
        try:
            with _lock:
                _running.pop(segment.thread, None)
            if segment.interrupted:
                # The interruption may be on its way still: let it arrive here, where it hits nobody else.
                for _ in range(100):
                    time.sleep(0)
            return
        except HandlerSpun:
            continue


def _interrupt(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(HandlerSpun))


def _watch() -> None:
    while True:
        time.sleep(_INTERVAL)
        with _lock:
            for segment in _running.values():
                if time.clock_gettime(segment.clock) - segment.start > LIMIT_SECONDS:
                    segment.interrupted = True
                    _interrupt(segment.thread)


def _ensure_watcher() -> None:
    global _watcher
    if _watcher is None:
        with _starting:
            if _watcher is None:
                _watcher = threading.Thread(target=_watch, name="handler-watchdog", daemon=True)
                _watcher.start()
