"""`python -m worker`: it waits for what is not there yet, and goes with all its children when it is told to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from runllm.cli.spawning import Spawned, spawn
from runllm.testing.engine import free_port
from tests.workflow.town import until

pytestmark = pytest.mark.workflow


@asynccontextmanager
async def worker(home: Path, address: str, **more: str) -> AsyncIterator[tuple[Spawned, Path]]:
    """A supervisor with its log; whatever the test leaves of it is ended."""
    environment = {
        "PATH": os.environ["PATH"],
        "RUNLLM_HOME": str(home),
        "TEMPORAL_ADDRESS": address,
        "RUNLLM_SECRET": "a secret",
        **more,
    }
    log = home.with_suffix(".log")
    with log.open("wb") as output:
        process = await spawn((sys.executable, "-P", "-m", "worker"), environment, errors=output, output=output)
    try:
        yield process, log
    finally:
        process.close()


def says(log: Path, text: str) -> Callable[[], bool]:
    """Asks whether a log has a text."""
    return lambda: log.exists() and text in log.read_text()


async def test_it_waits_for_temporal_and_says_so_once(tmp_path: Path) -> None:
    async with worker(tmp_path / "home", f"127.0.0.1:{free_port()}") as (process, log):
        await until(says(log, "does not answer; trying until it does"), bool)
        await until(says(tmp_path / "home/logs/activities.log", "does not answer"), bool)

        os.kill(process.pid, signal.SIGTERM)

        assert await asyncio.wait_for(process.ended, 15) == 0
        assert log.read_text().count("does not answer") == 1
        assert "ready" not in log.read_text().splitlines()


async def test_it_stops_with_its_children_when_its_input_ends(tmp_path: Path, client: Client) -> None:
    address = client.service_client.config.target_host
    async with worker(tmp_path / "home", address, RUNLLM_TETHER="1") as (process, log):
        await until(says(log, "ready\n"), bool)
        children = await until(lambda: children_of(process.pid), bool)

        process.end_input()

        assert await asyncio.wait_for(process.ended, 15) == 0
        await until(lambda: running(children), lambda left: not left)


async def test_its_children_end_when_it_is_killed(tmp_path: Path, client: Client) -> None:
    address = client.service_client.config.target_host
    async with worker(tmp_path / "home", address) as (process, log):
        await until(says(log, "ready\n"), bool)
        children = await until(lambda: children_of(process.pid), bool)

        os.kill(process.pid, signal.SIGKILL)
        await process.ended

        await until(lambda: running(children), lambda left: not left)


async def test_a_database_that_nobody_can_use_is_one_sentence(tmp_path: Path) -> None:
    async with worker(tmp_path / "home", "127.0.0.1:1", RUNLLM_DATABASE_URL="mysql://x/y") as (process, log):
        assert await asyncio.wait_for(process.ended, 15) == 1
        [line] = log.read_text().splitlines()
        assert line.startswith("worker: The engine has no driver for 'mysql' databases. Set RUNLLM_DATABASE_URL")


def children_of(parent: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def running(pids: list[int]) -> list[int]:
    """Those that live."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]
