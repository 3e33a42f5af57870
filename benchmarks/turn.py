"""What a turn costs: the engine against a hand-written asynchronous workflow with the same two activities.

A turn is: a message arrives as a signal, one activity answers, one posts. Both workflows run in one process, in turns,
on one dev server, so that a slow moment of the machine hits both. The figures that count are the ratios.

    python -m benchmarks.turn [ROUNDS]
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from benchmarks.by_hand import ByHand
from benchmarks.figures import cpu_of, median, own_cpu, ratio, table
from gateways.wire import ACTIVITY_QUEUE, EVENT_SIGNAL, Call, Envelope, SessionStart, workflow_id, workflow_queue
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, UserChatMessage
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SurfaceType
from runllm.bridge.triggers import AllMessages, Happening
from runllm.bundle import BundleEntry
from runllm.operations import Answer, Posted, PostMessage
from tests.temporal_server import dev_server
from worker.session.hosting import Published, prepare, session_worker

TURNS = 10
SESSIONS = 5
TEXT = "How do I rotate an API key? " * 4


class Activities:
    """Answers and posts at once, and tells who waits that it has posted."""

    def __init__(self) -> None:
        self.posted: dict[int, asyncio.Event] = {}

    @activity.defn(name=Answer.name)
    async def answer(self, call: Call[Answer]) -> AssistantChatMessage:
        return AssistantChatMessage(text=TEXT, chat_id=1, category=AnswerCategory.ANSWERED)

    @activity.defn(name=PostMessage.name)
    async def post(self, call: Call[PostMessage]) -> Posted:
        self.posted[call.session_id].set()
        return Posted(remote_id=call.key)


@dataclass
class Cost:
    """What one side took in one round."""

    latency: float
    client_cpu: float
    server_cpu: float


@dataclass
class Side:
    """One of the two."""

    name: str
    start: Callable[[int, Envelope], Awaitable[WorkflowHandle[Any, Any]]]
    costs: list[Cost] = field(default_factory=list)
    history_bytes: list[float] = field(default_factory=list)
    history_events: list[float] = field(default_factory=list)


def message(session: int, turn: int) -> Envelope:
    """One message."""
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=f"c{session}"))
    said = UserChatMessage(text=TEXT, chat_id=turn, user_identifier="u")
    happening = Happening(surface=SurfaceType.CHAT_WIDGET)
    return Envelope(
        kind="message", event_id=f"{session}-{turn}", inbox_id=turn + 1, surface=surface, message=said,
        happening=happening, trigger=AllMessages() if turn == 0 else None,
    )  # fmt: skip


def server_pid(client: Client) -> int:
    """The dev server started by this process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and b"start-dev" in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except OSError:
                continue
    raise RuntimeError("no dev server")


async def one_round(side: Side, activities: Activities, numbers: list[int], server: int) -> None:
    """All sessions of one side take their turns, one session after the other."""
    latencies: list[float] = []
    client_before, server_before = own_cpu(), cpu_of(server)
    handles: list[WorkflowHandle[Any, Any]] = []
    for session in numbers:
        handle = None
        for turn in range(TURNS):
            activities.posted[session] = asyncio.Event()
            began = time.perf_counter()
            handle = await side.start(session, message(session, turn))
            await activities.posted[session].wait()
            latencies.append(time.perf_counter() - began)
        if handle is not None:
            handles.append(handle)
    turns = len(latencies)
    side.costs.append(
        Cost(
            statistics.median(latencies), (own_cpu() - client_before) / turns, (cpu_of(server) - server_before) / turns
        )
    )
    for handle in handles:
        description = await handle.describe()
        side.history_events.append(description.history_length / TURNS)
        side.history_bytes.append(description.raw_description.workflow_execution_info.history_size_bytes / TURNS)
        await handle.terminate()


async def measure(rounds: int) -> str:
    """The table."""
    activities = Activities()
    here = Path(__file__).parent
    published = Published("bench", "bench", here, BundleEntry(name="bench", module="bench_handler", function="bench"))
    prepare(published)
    async with dev_server() as environment:
        client = environment.client

        def starter(workflow: str, queue: str, prefix: str) -> Callable[[int, Envelope], Awaitable[Any]]:
            async def start(session: int, envelope: Envelope) -> Any:
                return await client.start_workflow(
                    workflow,
                    SessionStart(session_id=session, published_name="bench"),
                    id=prefix + workflow_id(session),
                    task_queue=queue,
                    start_signal=EVENT_SIGNAL,
                    start_signal_args=[envelope],
                )

            return start

        sides = [
            Side("engine", starter("bench", workflow_queue("bench"), "")),
            Side("by hand", starter("ByHand", "by-hand", "hand-")),
        ]
        async with (
            Worker(client, task_queue=ACTIVITY_QUEUE, activities=[activities.answer, activities.post]),
            session_worker(client, published, versioned=False),
            Worker(client, task_queue="by-hand", workflows=[ByHand]),
        ):
            server = server_pid(client)
            for number in range(rounds + 1):
                for side in sides if number % 2 else reversed(sides):
                    first = 1 + number * SESSIONS
                    await one_round(side, activities, list(range(first, first + SESSIONS)), server)
    for side in sides:
        side.costs.pop(0)  # the first round warms up
    return report(sides[0], sides[1], rounds)


def report(engine: Side, by_hand: Side, rounds: int) -> str:
    """Medians, and the median of the ratios round by round."""
    costs: list[tuple[str, Callable[[Cost], float]]] = [
        ("latency, ms", lambda cost: cost.latency),
        ("processor of the client, ms", lambda cost: cost.client_cpu),
        ("processor of the server, ms", lambda cost: cost.server_cpu),
        ("processor, both, ms", lambda cost: cost.client_cpu + cost.server_cpu),
    ]
    rows: list[list[str]] = []
    for name, of in costs:
        ours, theirs = [of(cost) * 1e3 for cost in engine.costs], [of(cost) * 1e3 for cost in by_hand.costs]
        rows.append([name, f"{median(ours):.1f}", f"{median(theirs):.1f}", f"{ratio(ours, theirs):.2f}"])
    for name, ours, theirs in (
        ("history events", engine.history_events, by_hand.history_events),
        ("history bytes", engine.history_bytes, by_hand.history_bytes),
    ):
        a, b = median(ours), median(theirs)
        rows.append([name, f"{a:.0f}", f"{b:.0f}", f"{a / b:.2f}"])
    what = f"{rounds} rounds of {SESSIONS} sessions with {TURNS} turns, the order of the two changing each round:"
    return f"{what}\n\n" + table(["a turn", "engine", "by hand", "ratio"], rows)


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 6)))
