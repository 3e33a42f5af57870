"""The activity worker's own process: killed and restarted in the middle of an answer, it answers once."""

import asyncio
import json
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from gateways.wire import ACTIVITY_QUEUE, Call
from runllm.bridge.messages import AssistantChatMessage, MessageType
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, surface_key
from runllm.cli.children import HOPELESS
from runllm.operations import MessageRef, StreamAnswer
from store import agents, messages, sessions
from store.engine import Store

pytestmark = [pytest.mark.workflow, pytest.mark.faults, pytest.mark.slow]

TEXT = "This answer takes its time, and nobody should see it twice."
Start = Callable[[], Awaitable[Process]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    yield opened
    await opened.close()


def variables(environment: WorkflowEnvironment, home: Path, **more: str) -> dict[str, str]:
    """The environment of the process."""
    address = environment.client.service_client.config.target_host
    return {"PATH": os.environ["PATH"], "RUNLLM_HOME": str(home), "TEMPORAL_ADDRESS": address, **more}


@asynccontextmanager
async def scripted_worker(environment: WorkflowEnvironment, home: Path) -> AsyncIterator[Process]:
    """An activity worker that answers slowly, once it is ready."""
    script = home / "script.json"
    line = {"text": TEXT, "piece": 4, "pause": 0.4}
    script.write_text(json.dumps({"answers": [line], "calls": str(home / "calls.jsonl")}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities",
        stdout=PIPE,
        env=variables(environment, home, RUNLLM_MODEL="scripted", RUNLLM_SCRIPT=str(script)),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def asked(store: Store, widget: ChatWidget) -> Call[StreamAnswer]:
    """A question on a widget, and the call that answers it."""
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=widget)
        row = await messages.add(db, session_id=session.id, author=MessageType.USER, text="How long?")
        await messages.post(
            db, session_id=session.id, chat_id=row.id, surface_key=surface_key(widget), remote_id="client-1"
        )
    operation = StreamAnswer(question=MessageRef(chat_id=row.id), to=widget)
    return Call[StreamAnswer](session_id=session.id, key=f"{session.id}:1", operation=operation)


def paid(home: Path) -> int:
    """How many answers the model has been asked for."""
    calls = home / "calls.jsonl"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


async def until_asked(home: Path, times: int) -> None:
    """Waits until the model has been asked so often."""
    deadline = asyncio.get_running_loop().time() + 30
    while paid(home) < times:  # another process writes the file: there is no event to wait for
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_an_answer_that_was_interrupted_is_given_once(
    environment: WorkflowEnvironment, client: Client, store: Store, tmp_path: Path, number: signal.Signals
) -> None:
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier=uuid.uuid4().hex))
    call: Call[Any] = await asked(store, widget)
    async with scripted_worker(environment, tmp_path) as worker:
        handle = await client.start_activity(
            StreamAnswer.name,
            call,
            id=uuid.uuid4().hex,
            task_queue=ACTIVITY_QUEUE,
            result_type=AssistantChatMessage,
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(seconds=2),
        )
        await until_asked(tmp_path, 1)
        worker.send_signal(number)
        await asyncio.wait_for(worker.wait(), 8)
    async with scripted_worker(environment, tmp_path):
        said = await asyncio.wait_for(handle.result(), 60)
    assert said.text == TEXT
    assert paid(tmp_path) == 2, "the first one never arrived"
    async with store.read() as db:
        shown = await messages.feed(db, surface_key(widget), 0)
    assert [(posting.remote_id, message.text) for posting, message in shown] == [
        ("client-1", "How long?"),
        (call.key, TEXT),
    ]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [({"RUNLLM_MODEL": "gpt"}, "no model 'gpt'"), ({"RUNLLM_MODEL": "scripted"}, "Set RUNLLM_SCRIPT")],
)
async def test_what_cannot_work_says_so_and_ends(
    environment: WorkflowEnvironment, tmp_path: Path, setting: dict[str, str], problem: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities", stderr=PIPE, env=variables(environment, tmp_path, **setting)
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert problem in said.decode()
    assert process.returncode == HOPELESS
