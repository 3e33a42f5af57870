"""A chat with six uses of tools, whose activity worker is killed in the middle: nothing that finished is paid twice."""

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from gateways.wire import EVENT_SIGNAL, Envelope, SessionStart, workflow_id, workflow_queue
from runllm.bridge.messages import AnswerCategory
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SurfaceType, surface_key
from runllm.bridge.triggers import AllMessages, Happening
from store import agents, knowledge, messages, sessions, spending
from store.engine import Store
from store.knowledge import NewPassage
from store.messages import as_chat_message
from tests.fakes.anthropic import KEY, Anthropic, Reply, data_in, passages_in, serving
from tests.workflow.desk import published
from worker.activities.handover import NOBODY_ANSWERED
from worker.answering.model_settings import HANDOVER
from worker.session.hosting import prepare, session_worker

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(120)]

TURNS: list[list[tuple[str, dict[str, Any]]]] = [
    [("search", {"query": "shipping times"}), ("order_status", {"order_id": "A-1"})],
    [("search", {"query": "returns"})],
    [("open_document", {"document": 1})],
    [("order_status", {"order_id": "A-2"}), ("search", {"query": "refunds"})],
]
"""Six uses of tools in four turns; the fifth answers."""

KILLED_IN = 3
"""The turn that is under way when the worker is killed."""


def turn_of(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def reply(body: dict[str, Any]) -> Reply:
    turn = turn_of(body)
    if turn < len(TURNS):
        return Reply(calls=tuple(TURNS[turn]))
    found = passages_in(body)
    return Reply(object={"text": "It is on its way.", "passages": [found[0]["id"]], "category": "answered"})


class Counting(Anthropic):
    """Counts what was begun and what was finished, by turn, and says when a turn begins."""

    def __init__(self) -> None:
        super().__init__(says=reply, piece=4)
        self.begun: Counter[int] = Counter()
        self.finished: Counter[int] = Counter()
        self.turned = asyncio.Condition()

    async def _stream(self, request: Any, body: dict[str, Any], message: dict[str, Any], trouble: Any) -> Any:
        self.begun[turn_of(body)] += 1
        async with self.turned:
            self.turned.notify_all()
        response = await super()._stream(request, body, message, trouble)
        self.finished[turn_of(body)] += 1
        return response


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    yield opened
    await opened.close()


@asynccontextmanager
async def activity_worker(client: Client, home: Path, service: Anthropic, **more: str) -> AsyncIterator[Process]:
    """The activity worker's own process, with the stand-in for its model."""
    environment = {
        "PATH": os.environ["PATH"],
        "RUNLLM_HOME": str(home),
        "TEMPORAL_ADDRESS": client.service_client.config.target_host,
        "RUNLLM_MODEL": "anthropic",
        "RUNLLM_MODEL_KEY": KEY,
        "RUNLLM_MODEL_URL": service.url,
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities", stdout=PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask(client: Client, store: Store, name: str, text: str) -> tuple[int, ChatWidget, WorkflowHandle[Any, Any]]:
    """A question on a widget, taken in as the gateways do."""
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier=uuid.uuid4().hex))
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name=name, surface=widget)
        row = await messages.add(db, session_id=session.id, author="user", text=text, author_id="visitor")
        await messages.post(
            db, session_id=session.id, chat_id=row.id, surface_key=surface_key(widget), remote_id="in-1"
        )
    message: Any = as_chat_message(row)
    happening = Happening(surface=SurfaceType.CHAT_WIDGET)
    envelope = Envelope(
        kind="message", event_id="1", surface=widget, message=message, happening=happening, trigger=AllMessages()
    )
    handle = await client.start_workflow(
        name,
        SessionStart(session_id=session.id, published_name=name),
        id=workflow_id(session.id),
        task_queue=workflow_queue(name),
        start_signal=EVENT_SIGNAL,
        start_signal_args=[envelope],
    )
    return session.id, widget, handle


async def answer_on(store: Store, widget: ChatWidget) -> Any:
    """The answer that is shown, once it is."""
    async with asyncio.timeout(60):
        while True:  # the record has no event to wait for
            async with store.read() as db:
                shown = await messages.feed(db, surface_key(widget), 0)
            answers = [message for _, message in shown if message.author == "assistant"]
            if answers:
                return answers
            await asyncio.sleep(0.1)


async def with_knowledge(store: Store) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", "/docs")
        for number, text in enumerate(("Shipping times are two days.", "Returns and refunds take a week.")):
            url = f"https://docs.example.com/{number}"
            await knowledge.put_document(
                db, source, f"{number}.md", url, f"Page {number}", "x", [NewPassage(text=text)]
            )


async def test_nothing_that_finished_is_paid_or_done_twice_when_the_worker_is_killed(
    client: Client, store: Store, tmp_path: Path
) -> None:
    version = published("reasoning", "reasons")
    prepare(version)
    import reasoning  # type: ignore[import-not-found]  # the desk's module, as the host imported it

    reasoning.ASKED.clear()
    await with_knowledge(store)
    async with (
        serving(Counting()) as service,
        session_worker(client, version, versioned=False),
    ):
        assert isinstance(service, Counting)
        async with activity_worker(client, tmp_path, service) as worker:
            session_id, widget, handle = await ask(
                client, store, version.name, "Where are A-1 and A-2? I am ann@x.example"
            )
            async with service.turned:
                service.pause = 0.0
                await service.turned.wait_for(lambda: service.begun[KILLED_IN - 1] > 0)
                service.pause = 2.0  # the next turn takes its time, and is killed in it
                await service.turned.wait_for(lambda: service.begun[KILLED_IN] > 0)
            worker.kill()
            await worker.wait()
            service.pause = 0.0
        async with activity_worker(client, tmp_path, service):
            (answer,) = await answer_on(store, widget)
        history = await handle.fetch_history()
        await handle.terminate()
    assert answer.text == "It is on its way."
    assert answer.category == AnswerCategory.ANSWERED
    assert dict(service.finished) == {0: 1, 1: 1, 2: 1, KILLED_IN: 1, 4: 1}
    assert service.begun[KILLED_IN] == 2, "only the turn that was killed is asked for again"
    assert reasoning.ASKED == ["A-1", "A-2"]
    last = service.requests[-1]
    gave = [one for one in data_in(last) if "result" in one or "passages" in one]
    assert len(gave) == 6
    assert "shipped" in str(gave)
    assert "ann@x.example" not in str(service.requests)
    async with store.read() as db:
        assert (await spending.of_session(db, session_id)).requests >= 5
    recorded = history.to_json()
    assert "Returns and refunds" not in recorded, "what was found is in the record, not in the history"
    assert len(history.events) < 120


async def until_begun(service: Counting, times: int) -> None:
    async with service.turned:
        await service.turned.wait_for(lambda: sum(service.begun.values()) == times)


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_after_five_killed_workers_the_customer_hears_that_a_person_will_look(
    client: Client, store: Store, tmp_path: Path
) -> None:
    version = published("front", "streams")
    prepare(version)
    await with_knowledge(store)
    async with serving(Counting()) as service, session_worker(client, version, versioned=False):
        assert isinstance(service, Counting)
        service.pause = 60.0
        for attempt in range(1, 6):
            async with activity_worker(client, tmp_path, service) as worker:
                if attempt == 1:
                    session_id, widget, handle = await ask(client, store, version.name, "How long?")
                await until_begun(service, attempt)
                worker.kill()
                await worker.wait()
        async with activity_worker(client, tmp_path, service):
            (answer,) = await answer_on(store, widget)
        await handle.terminate()
    assert (answer.text, answer.category) == (HANDOVER, AnswerCategory.UNANSWERED)
    assert sum(service.begun.values()) == 5
    async with store.read() as db:
        log = [line.text for line in await sessions.log_of(db, session_id)]
    assert log == [NOBODY_ANSWERED]
