"""The activity worker's own process, killed just after Discord took a message: the next one posts nothing."""

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from gateways.wire import ACTIVITY_QUEUE, Call
from runllm.bridge.surfaces import DiscordThread, DiscordThreadConfig, surface_key
from runllm.operations import MessageRef, Posted, PostMessage
from runllm.testing.platforms.discord import FakeDiscord
from store import agents, installations, messages, sessions
from store.engine import Store
from store.sealing import Seal

pytestmark = [pytest.mark.workflow, pytest.mark.faults, pytest.mark.long]

SECRET = "0" * 64


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    yield opened
    await opened.close()


@asynccontextmanager
async def worker(environment: WorkflowEnvironment, home: Path, fake: FakeDiscord) -> AsyncIterator[Process]:
    """An activity worker that knows where the stand-in is, once it is ready."""
    variables = {
        "PATH": os.environ["PATH"],
        "RUNLLM_HOME": str(home),
        "RUNLLM_SECRET": SECRET,
        "RUNLLM_DISCORD_API_URL": fake.api_url,
        "TEMPORAL_ADDRESS": environment.client.service_client.config.target_host,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities", stdout=PIPE, env=variables
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def asked(store: Store, fake: FakeDiscord) -> tuple[Call[PostMessage], DiscordThread]:
    """Ada asks on a connected server, and a handler answers."""
    guild = fake.guild()
    channel = fake.channel(guild)
    message_id = await fake.say(channel, fake.user("Ada"), "Does it work?")
    config = DiscordThreadConfig(guild_id=guild, channel_id=channel, thread_id=message_id)
    thread = DiscordThread(config=config)
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db,
            Seal(SECRET),
            agent_id=agent.id,
            platform="discord",
            external_id=guild,
            name="Acme",
            credentials={"token": fake.token},
        )
        session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=thread)
        row = await messages.add(db, session_id=session.id, author="user", text="Does it work?")
        await messages.post(
            db, session_id=session.id, chat_id=row.id, surface_key=surface_key(thread), remote_id=message_id
        )
    operation = PostMessage(to=thread, message=MessageRef(text="It does."))
    return Call[PostMessage](session_id=session.id, key=f"{session.id}:1", operation=operation), thread


@pytest.mark.parametrize("memory", ["remembered", "forgotten"])
async def test_a_worker_killed_after_the_write_leaves_one_message(
    environment: WorkflowEnvironment, client: Client, store: Store, tmp_path: Path, memory: str
) -> None:
    async with FakeDiscord.open() as fake:
        call, thread = await asked(store, fake)
        if memory == "forgotten":
            fake.nonce_seconds = 0.0
        fake.next("POST", "/messages$")  # the one that finds no thread yet
        taken = fake.hold("POST", "/messages$")
        async with worker(environment, tmp_path, fake) as first:
            handle = await client.start_activity(
                PostMessage.name,
                call,
                id=uuid.uuid4().hex,
                task_queue=ACTIVITY_QUEUE,
                result_type=Posted,
                start_to_close_timeout=timedelta(seconds=5),
            )
            await asyncio.wait_for(taken.wait(), 30)
            first.kill()
            await first.wait()
        async with worker(environment, tmp_path, fake):
            posted = await asyncio.wait_for(handle.result(), 60)
        (shown,) = [one for one in fake.messages(thread.config.thread_id) if one["type"] == 0]
        assert (shown["content"], shown["id"]) == ("It does.", posted.remote_id)
