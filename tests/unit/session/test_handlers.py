"""The sync bridge without a server: any event loop will do."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.worker import _workflow

from runllm.errors import UsageError
from worker.session import guard, watchdog
from worker.session.handlers import PinnedExecutor, current, run_handler, wait


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    await asyncio.sleep(0)
    raise KeyError("lost")


def ignore(line: str) -> None:
    del line


async def test_a_synchronous_handler_gets_what_it_waits_for() -> None:
    got: list[Any] = []

    def handler(first: int) -> None:
        got.append(wait(later(first)))
        got.append(wait(later("b")))

    await run_handler(handler, 1, print_line=ignore)
    assert got == [1, "b"]


async def test_an_error_of_what_it_waits_for_is_raised_in_the_handler_and_from_it() -> None:
    caught: list[str] = []

    def handler() -> None:
        try:
            wait(fail())
        except KeyError as error:
            caught.append(str(error))
            raise ValueError("from the handler") from error

    with pytest.raises(ValueError, match="from the handler"):
        await run_handler(handler, print_line=ignore)
    assert caught == ["'lost'"]


async def test_an_async_handler_may_await_and_use_the_agent_alike() -> None:
    got: list[Any] = []

    async def handler() -> None:
        got.append(await later("awaited"))
        got.append(wait(later("agent")))
        try:
            await fail()
        except KeyError:
            got.append("caught")
        await asyncio.sleep(0.001)
        got.append("slept")

    await run_handler(handler, print_line=ignore)
    assert got == ["awaited", "agent", "caught", "slept"]


async def test_two_handlers_interleave_only_where_they_wait() -> None:
    order: list[str] = []

    def handler(name: str) -> None:
        for i in range(3):
            order.append(f"{name}{i}")
            wait(later(None))

    await asyncio.gather(run_handler(handler, "a", print_line=ignore), run_handler(handler, "b", print_line=ignore))
    assert sorted(order) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert order[:2] == ["a0", "b0"]


async def test_cancelling_runs_finally_and_ends_the_handler() -> None:
    steps: list[str] = []

    def handler() -> None:
        try:
            wait(asyncio.Event().wait())
        finally:
            steps.append("finally")

    job = asyncio.ensure_future(run_handler(handler, print_line=ignore))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert steps == ["finally"]


async def test_the_agent_outside_a_handler_is_a_clear_error() -> None:
    async def handler() -> None:
        await asyncio.gather(nested())

    async def nested() -> None:
        wait(later(1))

    with pytest.raises(UsageError, match="from the handler itself"):
        await run_handler(handler, print_line=ignore)


async def test_a_spinning_handler_is_ended_and_its_thread_is_free_again() -> None:
    def handler() -> None:
        while True:
            try:
                continue
            except Exception:
                continue

    started = time.thread_time()
    with pytest.raises(watchdog.HandlerSpun):
        await run_handler(handler, print_line=ignore)
    assert time.thread_time() - started >= watchdog.LIMIT_SECONDS
    assert await later("the loop goes on") == "the loop goes on"


async def test_waiting_costs_a_handler_no_processor_time() -> None:
    def handler() -> None:
        wait(asyncio.sleep(watchdog.LIMIT_SECONDS + 0.3))

    await run_handler(handler, print_line=ignore)


async def test_connections_are_refused_inside_a_handler_only() -> None:
    import socket

    guard.install()

    def connect() -> None:
        with socket.socket() as s:
            s.connect_ex(("127.0.0.1", 9))

    connect()
    with pytest.raises(UsageError, match=r"agent\.step"):
        await run_handler(connect, print_line=ignore)


async def test_print_goes_to_the_handler_that_prints(capsys: pytest.CaptureFixture[str]) -> None:
    guard.install()
    lines: list[str] = []

    def handler() -> None:
        print("a", 1, sep="-")
        assert current() is not None

    await run_handler(handler, print_line=lines.append)
    print("outside")
    assert lines == ["a-1"]
    assert capsys.readouterr().out == "outside\n"


def test_a_run_stays_on_its_thread() -> None:
    executor = PinnedExecutor(8)
    try:
        threads = {
            run: {
                executor.submit(lambda _: threading.get_ident(), SimpleNamespace(run_id=run)).result() for _ in range(5)
            }
            for run in (f"run-{i}" for i in range(40))
        }
    finally:
        executor.shutdown()
    assert all(len(idents) == 1 for idents in threads.values())
    assert len(set.union(*threads.values())) > 1


async def test_the_sdk_submits_an_activation_as_the_executor_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor reads `args[0].run_id`: undocumented, so a new version of the SDK has to show that it still fits."""
    import inspect

    source = inspect.getsource(_workflow._WorkflowWorker)
    calls = source.count("self._workflow_task_executor,\n")
    as_expected = sum(
        source.count(f"self._workflow_task_executor,\n{' ' * indent}workflow.activate,\n{' ' * indent}act,\n")
        for indent in range(8, 60, 4)
    )
    assert calls == as_expected == 2
