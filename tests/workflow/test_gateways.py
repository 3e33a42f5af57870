"""What gateways say to a real Temporal server, and what they make of its answers."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gateways.adapter import Inbound
from gateways.delivery import Delivery
from gateways.indexing import Indexing
from gateways.routing import CLOSED, Accepted, Routing
from gateways.sweeper import Sweeper
from gateways.temporal import Temporal
from gateways.wire import INDEX_WORKFLOW, Envelope, Outcome, SessionStart, workflow_id, workflow_queue
from runllm.bridge.listeners import WidgetListener
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig
from runllm.bridge.triggers import Happening
from runllm.testing.engine import free_port
from store import agents, inbox, knowledge
from store.engine import Store
from store.models import InboxRow, now
from tests.temporal_server import BINARY
from tests.unit.gateways.conftest import empty_record, make_current, store  # noqa: F401 - fixtures

pytestmark = pytest.mark.workflow

PATIENCE = 20


@workflow.defn(name="Listener")
class Listener:
    """Stands for a session: remembers what it is told, says what became of it, ends at the word `end`."""

    def __init__(self) -> None:
        self.told: list[Envelope] = []

    @workflow.run
    async def run(self, start: SessionStart) -> None:
        await workflow.wait_condition(lambda: any(e.message and e.message.text == "end" for e in self.told))

    @workflow.signal
    def event(self, envelope: Envelope) -> None:
        if envelope.event_id not in [known.event_id for known in self.told]:
            self.told.append(envelope)

    @workflow.query
    def outcomes(self) -> list[Outcome]:
        return [Outcome(inbox_id=envelope.inbox_id, outcome="handled") for envelope in self.told]

    @workflow.query
    def texts(self) -> list[str]:
        return [envelope.message.text for envelope in self.told if envelope.message]


class Town:
    """A store, a gateway's inner parts, and the server they talk to."""

    def __init__(self, store: Store, target: str, name: str) -> None:  # noqa: F811
        self.store = store
        self.name = name
        temporal = Temporal({"target_host": target, "namespace": "default"})
        self.delivery = Delivery(store, temporal)
        self.sweeper = Sweeper(store, temporal, self.delivery)
        self.routing = Routing(store, self.delivery.soon, lambda key: None)
        self.indexing = Indexing(store, temporal)

    async def say(self, text: str, id: str, conversation: str = "c1") -> Accepted:
        surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=f"{self.name}-{conversation}"))
        accepted = await self.routing.take_in(
            Inbound(
                kind="message",
                dedupe_key=f"{self.name}:{conversation}:{id}",
                surface=surface,
                happening=Happening(surface=surface.type),
                remote_id=id,
                text=text,
                origin="https://acme.example",
            )
        )
        await self.delivery.idle()
        return accepted

    async def row(self, id: int) -> InboxRow:
        async with self.store.read() as db:
            row = await db.get(InboxRow, id)
            assert row is not None
            return row

    async def age(self) -> None:
        """Lets a minute pass for all rows."""
        async with self.store.begin() as db:
            for row in await inbox.unaccounted(db, timedelta(0), 1000):
                row.received_at, row.next_attempt_at = now() - timedelta(minutes=1), now()

    async def unaccounted(self) -> int:
        async with self.store.read() as db:
            return await inbox.count_unaccounted(db)


@asynccontextmanager
async def town(store: Store, client: Client, target: str) -> AsyncIterator[Town]:  # noqa: F811
    """A workflow named after the test, with somebody who serves it."""
    name = "Listener"
    await make_current(store, WidgetListener(domain="acme.example"), name=name)
    # Session numbers start at 1 in every store, and ids of workflows are one to a server: move past the others'.
    async with store.begin() as db:
        await db.execute(text("DELETE FROM sqlite_sequence WHERE name = 'sessions'"))
        first = uuid.uuid4().int % 1_000_000_000
        await db.execute(text(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('sessions', {first})"))
    async with Worker(
        client,
        task_queue=workflow_queue(name),
        workflows=[Listener],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield Town(store, target, uuid.uuid4().hex[:8])


@pytest.fixture
async def place(store: Store, environment: WorkflowEnvironment) -> AsyncIterator[Town]:  # noqa: F811
    target = environment.client.service_client.config.target_host
    async with town(store, environment.client, target) as found:
        yield found


async def texts(client: Client, accepted: Accepted) -> list[str]:
    assert accepted.session_id is not None
    said: list[str] = await client.get_workflow_handle(workflow_id(accepted.session_id)).query(
        "texts", result_type=list[str]
    )
    return said


async def test_messages_reach_the_session_in_order_and_once(place: Town, client: Client) -> None:
    for _ in range(2):
        for number in range(5):
            accepted = await place.say(f"message {number}", f"m{number}")
    assert await texts(client, accepted) == [f"message {number}" for number in range(5)]
    await place.age()
    await place.sweeper.account()
    assert await place.unaccounted() == 0
    assert (await place.row(accepted.inbox_id)).outcome == "handled"


async def test_a_message_to_a_session_that_has_ended_is_ignored_with_the_reason(place: Town, client: Client) -> None:
    accepted = await place.say("end", "m1")
    assert accepted.session_id is not None
    await asyncio.wait_for(client.get_workflow_handle(workflow_id(accepted.session_id)).result(), PATIENCE)
    late = await place.say("too late", "m2")
    row = await place.row(late.inbox_id)
    assert (row.outcome, row.reason) == ("ignored", CLOSED)
    await place.age()
    await place.sweeper.account()  # a closed session still says what became of the first one
    assert await place.unaccounted() == 0


async def test_what_a_terminated_session_never_read_is_ignored_in_the_end(place: Town, client: Client) -> None:
    accepted = await place.say("hello", "m1")
    assert accepted.session_id is not None
    handle = client.get_workflow_handle(workflow_id(accepted.session_id))
    async with place.store.begin() as db:  # told, says the record; but the session knows nothing of this one
        row = await inbox.add(
            db,
            dedupe_key=f"{place.name}:lost",
            kind="message",
            session_id=accepted.session_id,
            chat_id=None,
            surface_key="x",
            envelope={},
        )
        assert row is not None
        await inbox.mark_signalled(db, row.id)
        lost = await db.get(InboxRow, row.id)
        assert lost is not None
        lost.signalled_at = now() - timedelta(minutes=1)
    await handle.terminate("by hand")
    await place.age()
    await place.sweeper.account()
    assert (await place.row(accepted.inbox_id)).outcome == "handled"
    ended = await place.row(row.id)
    assert (ended.outcome, ended.reason) == ("ignored", "the session ended before it read this")


async def test_a_source_that_waits_is_indexed_once(place: Town, client: Client) -> None:
    async with place.store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", "/docs")
    assert await place.indexing.start(source.id)
    assert await place.indexing.start(source.id)
    handle = client.get_workflow_handle(f"index-{source.id}")
    described = await handle.describe()
    assert described.workflow_type == INDEX_WORKFLOW
    await handle.terminate("nobody serves it here")


@asynccontextmanager
async def server(port: int, file: Path) -> AsyncIterator[None]:
    """A Temporal server that can be gone and come back."""
    process = await asyncio.create_subprocess_exec(
        str(BINARY),
        *("server", "start-dev", "--headless", "--port", str(port), "--db-filename", str(file), "--log-level", "never"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what somebody else does in their own time."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - another process's progress
            await asyncio.sleep(0.1)


async def test_messages_taken_in_while_the_server_is_down_arrive_when_it_is_back(
    store: Store,  # noqa: F811
    tmp_path: Path,
) -> None:
    port = free_port()
    target = f"127.0.0.1:{port}"
    await make_current(store, WidgetListener(domain="acme.example"), name="Listener")
    place = Town(store, target, "outage")
    taken = [await place.say("hello", "m1", f"c{number}") for number in range(5)]  # nobody is there
    assert [(await place.row(one.inbox_id)).signalled_at for one in taken] == [None] * 5
    sweeping = asyncio.create_task(place.sweeper.run())

    async def all_are_delivered() -> bool:
        return all([(await place.row(one.inbox_id)).signalled_at for one in taken])

    try:
        async with server(port, tmp_path / "temporal.db"):
            await eventually(all_are_delivered)
        taken += [await place.say("again", "m2", f"c{number}") for number in range(5)]  # gone again
        async with server(port, tmp_path / "temporal.db"):
            await eventually(all_are_delivered)
            client = await Client.connect(target, data_converter=pydantic_data_converter)
            async with Worker(
                client,
                task_queue=workflow_queue("Listener"),
                workflows=[Listener],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                for one in taken[:5]:
                    assert await texts(client, one) == ["hello", "again"]
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
