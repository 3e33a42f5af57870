"""How quickly a history is replayed: events a second, the engine's against the hand-written workflow's.

python -m benchmarks.replaying [TURNS]
"""

import asyncio
import sys
import time
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from benchmarks.by_hand import ByHand
from benchmarks.figures import median, ratio, table
from benchmarks.turn import Activities, message
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, SessionStart, workflow_id, workflow_queue
from runllm.bundle import BundleEntry
from tests.temporal_server import dev_server
from worker.session.hosting import Published, prepare, session_replayer, session_worker

ROUNDS = 7


async def histories(turns: int) -> tuple[Published, WorkflowHistory, WorkflowHistory]:
    """A conversation of so many turns: the engine's, and by hand."""
    activities = Activities()
    entry = BundleEntry(name="bench", module="bench_handler", function="bench")
    published = Published("bench", "bench", Path(__file__).parent, entry)
    prepare(published)
    async with dev_server() as environment:
        client = environment.client
        async with (
            Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post]),
            session_worker(client, published, versioned=False),
            Worker(client, task_queue="by-hand", workflows=[ByHand]),
        ):

            async def talk(workflow: str, queue: str, name: str, session: int) -> WorkflowHistory:
                for turn in range(turns):
                    activities.posted[session] = asyncio.Event()
                    await client.start_workflow(
                        workflow,
                        SessionStart(session_id=session, published_name="bench"),
                        id=name,
                        task_queue=queue,
                        start_signal=EVENT_SIGNAL,
                        start_signal_args=[message(session, turn)],
                    )
                    await activities.posted[session].wait()
                handle = client.get_workflow_handle(name)
                await handle.terminate()
                return await handle.fetch_history()

            return (
                published,
                await talk("bench", workflow_queue("bench"), workflow_id(1), 1),
                await talk("ByHand", "by-hand", "hand-2", 2),
            )


async def measure(turns: int) -> str:
    """The table."""
    published, ours, theirs = await histories(turns)
    by_hand = Replayer(workflows=[ByHand], data_converter=pydantic_data_converter)
    sides = [(session_replayer(published), ours), (by_hand, theirs)]
    paces: list[list[float]] = [[], []]
    for number in range(ROUNDS + 1):
        for side in (0, 1) if number % 2 else (1, 0):
            replayer, history = sides[side]
            began = time.perf_counter()
            result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
            if result.replay_failure is not None and "terminated" not in str(result.replay_failure).lower():
                raise result.replay_failure
            paces[side].append(len(history.events) / (time.perf_counter() - began))
    engine, hand = paces[0][1:], paces[1][1:]
    rows = [["replay, events a second", f"{median(engine):.0f}", f"{median(hand):.0f}", f"{ratio(engine, hand):.2f}"]]
    head = [f"a history of {turns} turns", "engine", "by hand", "ratio"]
    return table(head, rows)


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200)))
