"""`runllm dev` as a person runs it: it starts, serves, restarts what ends, and leaves nothing behind."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from runllm.testing.engine import free_ports
from tests.workflow.town import until

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(180)]

RUNLLM = Path(sys.executable).parent / "runllm"


class Dev:
    """A running `runllm dev`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, temporal_port, ui_port = free_ports(3)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.parent),
            "RUNLLM_HOME": str(home),
            "RUNLLM_PORT": str(self.port),
            "RUNLLM_TEMPORAL_PORT": str(temporal_port),
            "RUNLLM_TEMPORAL_UI_PORT": str(ui_port),
        }
        self.output = home.parent / "output.txt"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *options: str) -> None:
        """Starts it, and returns when it says where to look."""
        with self.output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                RUNLLM, "dev", *options, env=self.environment, cwd=self.home.parent, stdout=output, stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        await self.until_said("Ctrl-C stops everything")

    async def until_said(self, text: str, seconds: float = 60) -> None:
        """Waits until it has printed something."""
        try:
            async with asyncio.timeout(seconds):
                while text not in self.said():
                    assert self.process is not None
                    assert self.process.returncode is None, self.said()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(self.said()) from None

    def said(self) -> str:
        return self.output.read_text()

    async def refused(self) -> str:
        """Starts another one on this home, which ends at once; returns what it says."""
        process = await asyncio.create_subprocess_exec(
            RUNLLM, "dev", "--no-example", env=self.environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 2, said
        return said.decode()

    async def send(self, number: signal.Signals) -> int:
        """Sends a signal, and returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    def processes(self) -> dict[int, str]:
        """All processes of this engine, by the home in their environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if str(self.home).encode() in environment and command:
                    found[int(entry.name)] = command
        return found

    async def is_healthy(self) -> bool:
        """Whether the gateways answer."""
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{self.port}/healthz")).is_success
            except httpx.TransportError:
                return False


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    """A home for `runllm dev`. Whatever a test leaves running is ended."""
    new = Dev(tmp_path / "home")
    yield new
    if new.process is not None and new.process.returncode is None:
        new.process.kill()
        await new.process.wait()
    for pid in new.processes():
        os.kill(pid, signal.SIGKILL)


async def test_it_publishes_an_example_serves_and_leaves_nothing_behind(dev: Dev) -> None:
    await dev.start()

    said = dev.said()
    assert re.search(r"indexed \d+ documents from", said)
    assert "answer_or_escalate is published as build" in said
    assert "✓ current" in said
    assert f"http://localhost:{dev.port}/demo" in said
    assert f"http://localhost:{dev.port}/console/login?token=" in said
    assert len(dev.processes()) == 6, dev.processes()  # dev, Temporal, gateways, worker, activities, one host
    key = dev.home / "api_key"
    assert key.stat().st_mode & 0o777 == 0o600
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"http://127.0.0.1:{dev.port}/api/v1/workflows/answer_or_escalate"
        answer = await http.get(url, headers={"Authorization": f"Bearer {key.read_text().strip()}"})
    assert answer.json()["current_build"] is not None

    assert await dev.send(signal.SIGINT) == 0
    assert dev.processes() == {}
    assert "stopped; conversations are kept in" in dev.said()

    await dev.start()
    assert "answer_or_escalate is unchanged" in dev.said()
    assert await dev.send(signal.SIGTERM) == 0
    assert dev.processes() == {}


async def test_a_second_one_on_the_same_home_or_port_is_refused(dev: Dev, tmp_path: Path) -> None:
    await dev.start("--no-example")

    assert "already runs on" in await dev.refused()
    assert await dev.is_healthy()
    dev.environment["RUNLLM_HOME"] = str(tmp_path / "other")
    said = " ".join((await dev.refused()).split())
    assert f"Port {dev.port}, for the gateways, is taken." in said
    assert "set RUNLLM_PORT to another port." in said
    assert await dev.is_healthy()


@pytest.mark.long
async def test_what_is_killed_is_started_again(dev: Dev) -> None:
    await dev.start("--no-example")
    for what, name in (("-m gateways", "gateways"), ("-m worker ", "worker"), ("start-dev", "Temporal")):
        [pid] = [pid for pid, command in dev.processes().items() if what in f"{command} "]
        os.kill(pid, signal.SIGKILL)
        await dev.until_said(f"{name} ended (killed by SIGKILL); starting it again")
    await until(dev.is_healthy, bool)
    await until(dev.processes, lambda found: len(found) == 5)

    assert await dev.send(signal.SIGHUP) == 0
    assert dev.processes() == {}


@pytest.mark.long
async def test_nothing_outlives_it_when_it_is_killed(dev: Dev) -> None:
    await dev.start("--no-example")
    assert len(dev.processes()) == 5

    await dev.send(signal.SIGKILL)

    await until(dev.processes, lambda found: not found)
    await dev.start("--no-example")
    assert await dev.send(signal.SIGINT) == 0
