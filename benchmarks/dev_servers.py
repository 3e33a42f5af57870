"""The dev server as `runllm dev` tunes it against the same server as it comes, both with their data in a file.

Each round starts both anew and lets the same hand-written conversations take turns on them, as many at once as the
server takes. What is counted is turns a second; a turn is a signal and two activities.

    python -m benchmarks.dev_servers [ROUNDS]
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import Worker

from benchmarks.by_hand import ByHand
from benchmarks.figures import cpu_of, median, percentile, ratio, table
from benchmarks.turn import Activities, message
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, SessionStart
from runllm.cli.temporal import PRAGMAS, SETTINGS, binary
from runllm.testing.engine import free_port

SESSIONS = 40
TURNS = 10
TUNED = [
    *(word for pragma in PRAGMAS for word in ("--sqlite-pragma", pragma)),
    *(word for key, value in SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")),
]


@dataclass(frozen=True)
class Pace:
    """What one server did in one round."""

    turns_a_second: float
    latency: float
    server_cpu: float


async def one_round(options: Sequence[str]) -> Pace:
    """A new server, a new file, all conversations at once."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        server = await asyncio.create_subprocess_exec(
            str(binary()), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port),
            "--db-filename", str(Path(directory) / "temporal.db"), "--log-level", "error", *options,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return await _turns(await _connected(port), server.pid)
        finally:
            server.terminate()
            await server.wait()


async def _connected(port: int) -> Client:
    deadline = time.monotonic() + 30
    while True:
        try:
            client = await Client.connect(f"127.0.0.1:{port}", data_converter=pydantic_data_converter)
            await client.count_workflows()
            return client
        except (RPCError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _turns(client: Client, pid: int) -> Pace:
    activities = Activities()
    latencies: list[float] = []

    async def talk(session: int, turns: int) -> None:
        for turn in range(turns):
            activities.posted[session] = asyncio.Event()
            began = time.perf_counter()
            await client.start_workflow(
                "ByHand",
                SessionStart(session_id=session, published_name="bench"),
                id=f"hand-{session}",
                task_queue="by-hand",
                start_signal=EVENT_SIGNAL,
                start_signal_args=[message(session, turn)],
            )
            await activities.posted[session].wait()
            latencies.append(time.perf_counter() - began)

    async with (
        Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post]),
        Worker(client, task_queue="by-hand", workflows=[ByHand]),
    ):
        await asyncio.gather(*(talk(-session, 2) for session in range(1, 6)))  # warms up
        latencies.clear()
        began, cpu = time.perf_counter(), cpu_of(pid)
        await asyncio.gather(*(talk(session, TURNS) for session in range(1, SESSIONS + 1)))
        seconds = time.perf_counter() - began
        return Pace(len(latencies) / seconds, percentile(latencies, 0.5), (cpu_of(pid) - cpu) / len(latencies))


async def measure(rounds: int) -> str:
    """The table."""
    tuned: list[Pace] = []
    plain: list[Pace] = []
    for number in range(rounds):
        pair = [(tuned, TUNED), (plain, [])]
        for paces, options in pair if number % 2 else reversed(pair):
            paces.append(await one_round(options))
    rows = [
        [
            name,
            f"{median(map(of, tuned)):{form}}",
            f"{median(map(of, plain)):{form}}",
            f"{ratio(list(map(of, tuned)), list(map(of, plain))):.2f}",
        ]
        for name, of, form in (
            ("turns a second", lambda pace: pace.turns_a_second, ".1f"),
            ("latency of a turn with all at once, ms", lambda pace: pace.latency * 1e3, ".0f"),
            ("processor of the server a turn, ms", lambda pace: pace.server_cpu * 1e3, ".1f"),
        )
    ]
    what = f"{rounds} rounds, {SESSIONS} conversations at once with {TURNS} turns each, data in a file:"
    return f"{what}\n\n" + table(["the dev server", "tuned", "as it comes", "ratio"], rows)


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
