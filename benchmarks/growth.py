"""How things grow with the number of sessions: starting them, a turn of one of them, the memory of their host.

python -m benchmarks.growth [SIZE ...]
"""

import asyncio
import sys
import time
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.figures import cpu_of, median, own_cpu, table
from benchmarks.memory import resident
from benchmarks.turn import Activities, message, server_pid
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, SessionStart, workflow_id, workflow_queue
from runllm.bundle import BundleEntry
from tests.temporal_server import dev_server
from worker.session.hosting import Published, prepare, session_worker

SIZES = (10, 100, 1_000, 10_000)
_AT_ONCE = 40
_LOOKED_AT = 30


async def measure(sizes: tuple[int, ...] = SIZES) -> str:
    """The table: one row for each size; sessions are never ended, so the last row has them all."""
    published = Published(
        "bench", "bench", Path(__file__).parent, BundleEntry(name="bench", module="bench_handler", function="bench")
    )
    prepare(published)
    rows: list[list[str]] = []
    async with dev_server() as environment:
        client, activities = environment.client, Activities()
        async with (
            Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post]),
            session_worker(client, published, versioned=False, max_cached_workflows=2 * max(sizes)),
        ):
            server, there = server_pid(client), 0
            for size in sizes:
                rows.append(await _grow(client, activities, server, there, size))
                there = size
    head = ["sessions", "started a second", "server CPU to start one, ms", "turn, ms", "client CPU a turn, ms",
            "server CPU a turn, ms", "resident, MB"]  # fmt: skip
    return table(head, rows)


async def _grow(client: Client, activities: Activities, server: int, there: int, size: int) -> list[str]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def turn(session: int, number: int) -> float:
        activities.posted[session] = asyncio.Event()
        began = time.perf_counter()
        await client.start_workflow(
            "bench",
            SessionStart(session_id=session, published_name="bench"),
            id=workflow_id(session),
            task_queue=workflow_queue("bench"),
            start_signal=EVENT_SIGNAL,
            start_signal_args=[message(session, number)],
        )
        await activities.posted[session].wait()
        return time.perf_counter() - began

    async def start(session: int) -> None:
        async with gate:
            await turn(session, 0)

    began, before = time.perf_counter(), cpu_of(server)
    await asyncio.gather(*(start(session) for session in range(there + 1, size + 1)))
    seconds, starting = time.perf_counter() - began, (cpu_of(server) - before) / (size - there)
    step = max(1, size // _LOOKED_AT)
    looked_at = range(1, size + 1, step)
    client_cpu, server_cpu = own_cpu(), cpu_of(server)
    latencies = [await turn(session, size) for session in looked_at]
    count = len(latencies)
    return [
        f"{size:,}",
        f"{(size - there) / seconds:.0f}",
        f"{starting * 1e3:.1f}",
        f"{median(latencies) * 1e3:.1f}",
        f"{(own_cpu() - client_cpu) / count * 1e3:.1f}",
        f"{(cpu_of(server) - server_cpu) / count * 1e3:.1f}",
        f"{resident() / 2**20:.0f}",
    ]


if __name__ == "__main__":
    print(asyncio.run(measure(tuple(map(int, sys.argv[1:])) or SIZES)))
