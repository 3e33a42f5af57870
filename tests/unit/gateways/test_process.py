"""`python -m gateways` as a process: it starts without Temporal, says what is wrong, and ends when it should."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from runllm.bridge.listeners import WidgetListener
from runllm.testing.engine import free_port
from store.engine import Store
from tests.unit.gateways.conftest import make_current

PATIENCE = 20


@asynccontextmanager
async def started(home: Path, port: int, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        "PATH": os.environ["PATH"],
        "RUNLLM_HOME": str(home),
        "RUNLLM_PORT": str(port),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",  # nobody is there
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateways"),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def is_up(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while b"listening on" not in (line := await process.stderr.readline()):
            assert line, "the gateway ended before it listened"


async def ends(process: asyncio.subprocess.Process) -> int:
    return await asyncio.wait_for(process.wait(), PATIENCE)


async def test_it_takes_messages_without_temporal_and_stops_with_streams_open(tmp_path: Path) -> None:
    port = free_port()
    async with started(tmp_path, port) as process:
        await is_up(process)
        store = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
        await make_current(store, WidgetListener(domain="localhost"))
        url, origin = f"http://127.0.0.1:{port}/widget/v1", {"Origin": "http://localhost:3000"}
        async with aiohttp.ClientSession(headers=origin) as http:
            async with http.post(f"{url}/conversations", json={}) as response:
                token = (await response.json())["token"]
            bearer = {"Authorization": f"Bearer {token}"}
            body = {"id": "message-1", "text": "Is anybody there?"}
            async with http.post(f"{url}/messages", json=body, headers=bearer) as response:
                assert response.status == 200
            async with http.get(f"{url}/stream", headers=bearer) as stream:
                assert b"Is anybody there?" in await stream.content.readuntil(b"\n\n")
                process.send_signal(signal.SIGTERM)
                assert await ends(process) == 0
        await store.close()
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with started(tmp_path, port) as process:
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    [line] = [line for line in said.decode().splitlines() if line.startswith("gateways:")]
    assert f"Port {port} cannot be used" in line
    assert "RUNLLM_PORT" in line
    assert "Traceback" not in said.decode()


async def test_a_setting_that_makes_no_sense_is_one_sentence(tmp_path: Path) -> None:
    async with started(tmp_path, free_port(), RUNLLM_LIMIT_STREAMS="many") as process:
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    assert said.decode().strip() == "gateways: RUNLLM_LIMIT_STREAMS is 'many'. Set it to a number from 0 to 10000000."


async def test_on_a_tether_it_ends_with_who_started_it(tmp_path: Path) -> None:
    async with started(tmp_path, free_port(), RUNLLM_TETHER="1") as process:
        await is_up(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await ends(process) == 0
