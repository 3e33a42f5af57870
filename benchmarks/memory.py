"""What a session host keeps in memory for each session that it has cached: one that listens, and one that is parked.

Two sizes are measured in one process, and the slope between them counts: what the process needs anyway falls out.

    python -m benchmarks.memory [SESSIONS [KIND]]
"""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.by_hand import ByHand, ByHandParks, Empty
from benchmarks.figures import table
from benchmarks.turn import message
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, Call, Report, SessionStart, workflow_id, workflow_queue
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage
from runllm.bundle import BundleEntry
from runllm.operations import Answer, Posted, PostMessage
from tests.temporal_server import dev_server
from worker.session.hosting import Published, prepare, session_worker

SIZES = (200, 1200)
BY_HAND = {"by-hand": ByHand, "by-hand-parks": ByHandParks, "empty": Empty}
KINDS = ("bench", "parks", *BY_HAND)
_AT_ONCE = 50
_MOST = 20_000


class Activities:
    """Answers at once; a report of a session says that it has come to rest."""

    def __init__(self) -> None:
        self.rested: dict[int, asyncio.Event] = {}

    @activity.defn(name=Answer.name)
    async def answer(self, call: Call[Answer]) -> AssistantChatMessage:
        return AssistantChatMessage(text="x", chat_id=1, category=AnswerCategory.ANSWERED)

    @activity.defn(name=PostMessage.name)
    async def post(self, call: Call[PostMessage]) -> Posted:
        self.rested[call.session_id].set()
        return Posted(remote_id=call.key)

    @activity.defn(name="session.report")
    async def report(self, call: Call[Report]) -> None:
        return None


def resident() -> int:
    """Resident bytes of this process, after a collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def of_engine(client: Client, function: str, first: int, sizes: tuple[int, int]) -> float:
    """Resident bytes for each session of the engine between the two sizes, all of them cached."""
    entry = BundleEntry(name=function, module="bench_handler", function=function)
    published = Published(function, function, Path(__file__).parent, entry)
    prepare(published)
    worker = session_worker(client, published, versioned=False, max_cached_workflows=_MOST)
    return await _slope(client, worker, function, workflow_queue(function), first, sizes)


async def of_hand(client: Client, kind: str, first: int, sizes: tuple[int, int]) -> float:
    """The same of a hand-written workflow, in the SDK's own sandbox or without one."""
    workflow = BY_HAND[kind]
    worker = Worker(client, task_queue=kind, workflows=[workflow], max_cached_workflows=_MOST)
    return await _slope(client, worker, workflow.__name__, kind, first, sizes)


async def _slope(
    client: Client, worker: Worker, workflow: str, queue: str, first: int, sizes: tuple[int, int]
) -> float:
    activities = Activities()
    numbers = iter(range(first, first + sizes[1]))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(session: int) -> None:
        async with gate:
            activities.rested[session] = asyncio.Event()
            await client.start_workflow(
                workflow,
                SessionStart(session_id=session, published_name=workflow),
                id=workflow_id(session),
                task_queue=queue,
                start_signal=EVENT_SIGNAL,
                start_signal_args=[message(session, 0)],
            )
            await activities.rested[session].wait()

    async def grow(count: int) -> int:
        await asyncio.gather(*(one(next(numbers)) for _ in range(count)))
        await asyncio.sleep(1.0)  # the last workflow tasks end
        return resident()

    async with (
        Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post, activities.report]),
        worker,
    ):
        small = await grow(sizes[0])
        large = await grow(sizes[1] - sizes[0])
    return (large - small) / (sizes[1] - sizes[0])


async def alone(kind: str, sessions: int) -> float:
    """One kind, in this process: what another kind has left behind would be used again and not be counted."""
    sizes = (SIZES[0], SIZES[0] + sessions)
    async with dev_server() as environment:
        if kind in BY_HAND:
            return await of_hand(environment.client, kind, 1, sizes)
        return await of_engine(environment.client, kind, 1, sizes)


def measure(sessions: int = SIZES[1] - SIZES[0]) -> str:
    """The table: each kind in a process of its own."""
    found: dict[str, float] = {}
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.memory", str(sessions), kind]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found[kind] = float(said.split()[-1]) / 1024
    idle, parked, by_hand, by_hand_parked, empty = (found[kind] for kind in KINDS)
    rows = [
        ["that listens", f"{idle:.1f}", f"{by_hand:.1f}", f"{idle / by_hand:.2f}"],
        [
            "whose handler is parked on a button",
            f"{parked:.1f}",
            f"{by_hand_parked:.1f}",
            f"{parked / by_hand_parked:.2f}",
        ],
        ["a workflow without sandbox that has posted once", "", f"{empty:.1f}", ""],
    ]
    what = f"Resident memory for each of {sessions:,} more sessions in one process, after {SIZES[0]}:"
    return f"{what}\n\n" + table(["KB for a cached session", "engine", "by hand", "ratio"], rows)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[1] - SIZES[0]
    if len(sys.argv) > 2:
        print(asyncio.run(alone(sys.argv[2], count)), flush=True)
        # Thousands of cached workflows are let go of while the interpreter ends, which the SDK does not always survive.
        os._exit(0)
    print(measure(count))
