"""What a session host keeps in memory for each session that it has cached: one that listens, and one that is parked.

Two sizes are measured in one process, and the slope between them counts: what the process needs anyway falls out.

    python -m benchmarks.memory [SESSIONS]
"""

import asyncio
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.turn import message
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, Call, Report, SessionStart, workflow_id, workflow_queue
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage
from runllm.bundle import BundleEntry
from runllm.operations import Answer, Posted, PostMessage
from tests.temporal_server import dev_server
from worker.session.hosting import Published, prepare, session_worker

SIZES = (200, 1200)
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


@dataclass(frozen=True)
class Footprint:
    """Bytes for each further session."""

    idle: float
    parked: float


def resident() -> int:
    """Resident bytes of this process, after a collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(client: Client, function: str, first: int, sizes: tuple[int, int] = SIZES) -> float:
    """Resident bytes for each session between the two sizes, all of them cached."""
    activities = Activities()
    published = Published(function, function, Path(__file__).parent, BundleEntry(name=function, module="bench_handler", function=function))
    prepare(published)
    async with (
        Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post, activities.report]),
        session_worker(client, published, versioned=False, max_cached_workflows=_MOST),
    ):
        numbers = iter(range(first, first + sizes[1]))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(session: int) -> None:
            async with gate:
                activities.rested[session] = asyncio.Event()
                await client.start_workflow(
                    function,
                    SessionStart(session_id=session, published_name=function),
                    id=workflow_id(session),
                    task_queue=workflow_queue(function),
                    start_signal=EVENT_SIGNAL,
                    start_signal_args=[message(session, 0)],
                )
                await activities.rested[session].wait()

        async def grow(count: int) -> int:
            await asyncio.gather(*(one(next(numbers)) for _ in range(count)))
            await asyncio.sleep(1.0)  # the last workflow tasks end
            return resident()

        small = await grow(sizes[0])
        large = await grow(sizes[1] - sizes[0])
        return (large - small) / (sizes[1] - sizes[0])


async def main(sessions: int) -> None:
    """Prints the two figures."""
    function = sys.argv[2] if len(sys.argv) > 2 else "bench"
    async with dev_server() as environment:
        figure = await measure(environment.client, function, 1, (SIZES[0], SIZES[0] + sessions))
    print(f"{function}: {figure / 1024:.1f} KB a session")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
