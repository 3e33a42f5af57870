"""Webhooks: how soon Slack is told that an event is safe, and how many a second one gateway takes.

python -m benchmarks.webhooks [SECONDS]

`runllm dev` with all its processes; Temporal is stopped meanwhile: measured is the gateway with its record, and not the
answers that share the machine. The signed events come from the testing kit's Slack, once at Slack's own pace, once as
fast as sixteen connections go. A bare aiohttp server, that reads the body and says 200, takes the same events.
"""

import asyncio
import itertools
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from aiohttp import web

from benchmarks.figures import cpu_of, median, percentile, table
from runllm.testing.engine import free_port
from runllm.testing.platforms.slack import FakeSlack
from tests.faults.engine import Engine, running

PACE = 50
"""Events a second."""
AT_ONCE = 16
ECHOING = Path(__file__).parents[1] / "tests" / "faults" / "slack_echoing.py"
_stamps = itertools.count(1_700_000_000)


def bare(port: int) -> None:
    """A server that takes events and does nothing with them."""

    async def take(request: web.Request) -> web.Response:
        await request.json()
        return web.Response()

    app = web.Application()
    app.router.add_post("/slack/events", take)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


async def paced(slack: FakeSlack, seconds: float) -> None:
    """Events at Slack's own pace, whether the last one is acknowledged or not."""
    clock = asyncio.get_running_loop()
    begun, jobs = clock.time(), []
    for number in range(int(PACE * seconds)):
        await asyncio.sleep(max(0.0, begun + number / PACE - clock.time()))
        jobs.append(asyncio.create_task(one(slack)))
    await asyncio.gather(*jobs)


async def crowded(slack: FakeSlack, seconds: float) -> None:
    """As many events as sixteen connections can bring."""
    until = time.monotonic() + seconds

    async def line() -> None:
        while time.monotonic() < until:
            await one(slack)

    await asyncio.gather(*(line() for _ in range(AT_ONCE)))


async def one(slack: FakeSlack) -> None:
    """One new message in a channel: its event, delivered once."""
    stamp = f"{next(_stamps)}.000100"
    said = {"type": "message", "user": "U1", "text": "How do I pay by invoice?", "ts": stamp}
    status = await slack.deliver(
        slack.envelope({**said, "channel": "C1", "channel_type": "channel", "event_ts": stamp})
    )
    if status != 200:
        raise SystemExit(f"an event was answered with {status}")


async def rows_of(name: str, slack: FakeSlack, pid: int, seconds: float) -> list[list[str]]:
    """The two rows of a server."""
    rows = []
    for how, bring in ((f"{PACE} a second", paced), (f"{AT_ONCE} at once", crowded)):
        slack.acks.clear()
        begun, before = time.perf_counter(), cpu_of(pid)
        await bring(slack, seconds)
        took, worked, acks = time.perf_counter() - begun, cpu_of(pid) - before, slack.acks
        rows.append(
            [
                f"{name}, {how}",
                f"{len(acks) / took:.0f}",
                f"{median(acks) * 1e3:.1f}",
                f"{percentile(acks, 0.99) * 1e3:.1f}",
                f"{max(acks) * 1e3:.1f}",
                f"{worked / len(acks) * 1e3:.1f}",
            ]
        )
    return rows


async def by_engine(seconds: float) -> list[list[str]]:
    """The engine's gateway, with a workflow that answers every message, once Temporal goes on."""
    with ExitStack() as stack:
        async with FakeSlack() as slack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
            settings = {
                "RUNLLM_SLACK_API_URL": slack.api_url,
                "RUNLLM_SLACK_SIGNING_SECRET": slack.signing_secret,
                "RUNLLM_SLACK_BOT_TOKEN": "xoxb-1",
            }
            engine = await asyncio.to_thread(stack.enter_context, running(home, "--no-example", **settings))
            await asyncio.to_thread(engine.wait_until_ready)
            await asyncio.to_thread(engine.publish, ECHOING)
            slack.deliver_to(engine.url)
            for _ in range(20):
                await one(slack)
            return await _while_temporal_stands_still(engine, slack, seconds)


async def _while_temporal_stands_still(engine: Engine, slack: FakeSlack, seconds: float) -> list[list[str]]:
    [temporal] = engine.pids("temporal")
    [gateways] = engine.pids("gateways")
    os.kill(temporal, signal.SIGSTOP)
    try:
        return await rows_of("the gateway", slack, gateways, seconds)
    finally:
        os.kill(temporal, signal.SIGCONT)


async def by_bare_server(seconds: float) -> list[list[str]]:
    """The same events at a server that forgets them."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.webhooks", "bare", str(port))
    try:
        async with FakeSlack() as slack:
            slack.deliver_to(f"http://127.0.0.1:{port}")
            while await slack.deliver(slack.envelope({"type": "message"})) != 200:  # noqa: ASYNC110 - it is starting
                await asyncio.sleep(0.1)
            return await rows_of("a bare server", slack, server.pid, seconds)
    finally:
        server.terminate()
        await server.wait()


async def measure(seconds: float) -> str:
    """The table."""
    rows = [*await by_engine(seconds), *await by_bare_server(seconds)]
    head = ["events from Slack", "taken a second", "median, ms", "99 %, ms", "slowest, ms", "CPU each, ms"]
    return table(head, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(int(sys.argv[2]))
    else:
        print(asyncio.run(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)))
