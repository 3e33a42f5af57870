"""The activity worker is killed right after Zendesk has written: the next one finds that, and writes nothing more."""

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from gateways.wire import ACTIVITY_QUEUE, Call
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, ZendeskTicket, ZendeskTicketConfig
from runllm.operations import CreateZendeskTicket, MessageRef, Operation, PostMessage, UpdateZendeskTicket
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import agents, installations, messages, sessions
from store.engine import Store
from store.sealing import Seal
from store.settings import ensure_secret

pytestmark = [pytest.mark.workflow, pytest.mark.faults, pytest.mark.long]


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start()
    yield fake
    await fake.stop()


@asynccontextmanager
async def worker(environment: WorkflowEnvironment, home: Path, zendesk: ZendeskStandIn) -> AsyncIterator[Process]:
    """An activity worker, once it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities",
        stdout=PIPE,
        env={
            "PATH": os.environ["PATH"],
            "RUNLLM_HOME": str(home),
            "RUNLLM_ZENDESK_URL": zendesk.url_template,
            "TEMPORAL_ADDRESS": environment.client.service_client.config.target_host,
        },
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def conversation(home: Path, account: ZendeskAccount) -> int:
    """A session with a message in it, in a record that knows the account."""
    store = await Store.open(f"sqlite:///{home}/runllm.db")
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        keys = {"email": account.email, "api_token": account.api_token, "bot_user_id": account.bot_id, "mark": "e1"}
        await installations.put(
            db,
            Seal(ensure_secret(home / "secret")),
            agent_id=agent.id,
            platform="zendesk",
            external_id="acme",
            name="",
            credentials=keys,
        )
        place = ChatWidget(config=ChatWidgetConfig(convo_identifier=uuid.uuid4().hex))
        session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=place)
        row = await messages.add(db, session_id=session.id, author=MessageType.USER, text="It smokes")
        await messages.post(db, session_id=session.id, chat_id=row.id, surface_key="widget:x", remote_id="1")
    await store.close()
    return session.id


@pytest.mark.timeout(300)
async def test_killed_after_each_write_there_is_one_of_everything(
    environment: WorkflowEnvironment, client: Client, zendesk: ZendeskStandIn, tmp_path: Path
) -> None:
    acme = zendesk.account("acme")
    ticket = acme.open("ada@example.com", "Printer", "It smokes.")
    session_id = await conversation(tmp_path, acme)
    to = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id=str(ticket)))
    writes: list[tuple[str, str, Operation[Any]]] = [
        ("PUT", f"/tickets/{ticket}.json", PostMessage(to=to, message=MessageRef(text="ours"))),
        ("POST", "/tickets.json", CreateZendeskTicket(tags=["ours"])),
        ("PUT", f"/tickets/{ticket}/tags", UpdateZendeskTicket(to=to, tags=["ours"], status="solved")),
        ("PUT", f"/tickets/{ticket}.json", UpdateZendeskTicket(to=to, tags=[], status="pending")),
    ]
    async with AsyncExitStack() as workers:
        alive = [await workers.enter_async_context(worker(environment, tmp_path, zendesk))]
        for number, (method, path, operation) in enumerate(writes, 1):
            zendesk.next(method, path, lose_reply=True, afterwards=lambda: alive[-1].kill())
            handle = await client.start_activity(
                operation.name,
                Call[Any](session_id=session_id, key=f"{session_id}:{number}", operation=operation),
                id=uuid.uuid4().hex,
                task_queue=ACTIVITY_QUEUE,
                start_to_close_timeout=timedelta(minutes=1),
                heartbeat_timeout=timedelta(seconds=2),
            )
            assert await asyncio.wait_for(alive[-1].wait(), 30) == -signal.SIGKILL
            alive.append(await workers.enter_async_context(worker(environment, tmp_path, zendesk)))
            await asyncio.wait_for(handle.result(), 60)
    assert acme.texts(ticket)[1:] == ["ours"]
    assert [(len(acme.tickets), acme.tickets[ticket]["tags"])] == [(2, ["ours"])]
    changes = [event for audit in acme.audits[ticket] for event in audit["events"] if event["type"] == "Change"]
    assert [event["value"] for event in changes] == ["ours", "solved", "pending"]
