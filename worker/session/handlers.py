"""A synchronous handler inside an asynchronous workflow: the one piece of magic, all of it in this file.

A handler runs in a greenlet. `wait(awaitable)` switches to the workflow's coroutine, which awaits, and switches back
with the result. Nothing blocks, and the handler needs no `await`.

Greenlets cannot change threads, and Temporal's SDK activates one run on whichever thread of a pool is free. So both
`Worker` and `Replayer` get a `PinnedExecutor`, which sends all activations of a run to the same single thread.
"""

import asyncio
import contextvars
import inspect
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import greenlet

from runllm.errors import UsageError
from worker.session import watchdog

T = TypeVar("T")

SHARDS = 64
"""Threads that runs are spread over. Waiting behind another run counts against the SDK's two-second limit."""


class PinnedExecutor(ThreadPoolExecutor):
    """Runs every activation of one workflow run on the same thread.

    It relies on the SDK's call `submit(workflow.activate, activation)`, which a unit test guards.
    """

    def __init__(self, shards: int = SHARDS) -> None:
        super().__init__(max_workers=1)
        self._shards = [ThreadPoolExecutor(1, thread_name_prefix=f"shard-{i}") for i in range(shards)]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queues `fn(activation)` on the thread that belongs to the activation's run."""
        shard = zlib.crc32(args[0].run_id.encode()) % len(self._shards)
        return self._shards[shard].submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stops all threads."""
        for shard in self._shards:
            shard.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)


class HandlerGreenlet(greenlet.greenlet):
    """The greenlet of one handler. `print_line` takes what the handler prints."""

    print_line: Callable[[str], None]


def current() -> HandlerGreenlet | None:
    """The handler that this code runs in, if it runs in one."""
    here = greenlet.getcurrent()
    return here if isinstance(here, HandlerGreenlet) else None


async def run_handler(function: Callable[..., Any], /, *args: Any, print_line: Callable[[str], None]) -> None:
    """Runs a handler, synchronous or not, and awaits for it whatever it waits for.

    Raises whatever the handler raises.
    """
    handler = HandlerGreenlet(_call)
    handler.gr_context = contextvars.copy_context()
    handler.print_line = print_line
    try:
        with watchdog.handler_runs():
            awaited = handler.switch(function, args)
        while not handler.dead:
            try:
                result = await awaited
            except BaseException as error:  # an eviction too: the handler's `finally` blocks run, then it ends
                with watchdog.handler_runs():
                    awaited = handler.throw(error)
            else:
                with watchdog.handler_runs():
                    awaited = handler.switch(result)
    finally:
        if not handler.dead:
            handler.throw(greenlet.GreenletExit)


def wait(awaitable: Awaitable[T]) -> T:
    """Inside a handler: the result of `awaitable`."""
    handler = current()
    if handler is None:
        if isinstance(awaitable, Coroutine):
            awaitable.close()  # it will never be awaited, which Python would complain about
        raise UsageError(
            "Call the agent from the handler itself: not from a coroutine started by asyncio.gather or create_task, "
            "not from a thread, and not after the handler has ended."
        )
    parent = handler.parent
    assert parent is not None
    result: T = parent.switch(awaitable)
    return result


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    result = function(*args)
    if inspect.iscoroutine(result):
        _drive(result)


def _drive(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Runs an `async def` handler inside the greenlet, so that the agent's methods work in it as they are."""
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731 - re-bound below
    while True:
        try:
            future = step()
        except StopIteration:
            return
        try:
            wait(_Yield(future))
        except BaseException as error:
            step = _thrower(coroutine, error)
        else:
            step = lambda: coroutine.send(None)  # noqa: E731


def _thrower(coroutine: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)


class _Yield:
    """Awaits what a coroutine yielded: a future that is marked as awaited already, or None for one round."""

    def __init__(self, future: "asyncio.Future[Any] | None") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._future
