"""One conversation on a stand-in of Discord, with the real record, routing, adapter and activities."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from sqlalchemy import select, update

from gateways.adapter import Openers
from gateways.discord.leader import Ear, Leader
from gateways.discord.outbound import DiscordAdapter
from gateways.platforms import DiscordSettings
from gateways.routing import Routing
from gateways.wire import Call
from runllm.bridge.listeners import DiscordListener, Listener
from runllm.bridge.surfaces import DiscordThread, DiscordThreadConfig, SurfaceType, surface_key
from runllm.bridge.triggers import AllMessages
from runllm.errors import RateLimited, Unavailable
from runllm.operations import ButtonWait, MessageRef, PostMessage
from runllm.testing.platforms.discord import FakeDiscord
from store import agents, installations, messages, sessions
from store.engine import Store
from store.models import EffectRow, InboxRow, Message, PublishedWorkflow
from store.sealing import Seal
from tests.contract.proxy import judged
from tests.unit.activities.doubles import CountingModel, Hub, NoKnowledge
from tests.unit.gateways.conftest import make_current
from worker.activities.context import Context
from worker.activities.surfaces import SurfaceActivities

T = TypeVar("T")

SEAL = Seal("a secret of tests")


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord.open() as fake:
        yield fake


@pytest.fixture
async def settings_of_discord(fake: FakeDiscord) -> AsyncIterator[DiscordSettings]:
    """Where the stand-in is; through the judge of Discord's specification, where that is there."""
    async with judged("discord", fake.url) as url:
        yield DiscordSettings(
            api_url=f"{url}/api/v10", gateway_url=f"{fake.gateway.url}/gateway", lease_seconds=2.0, identify_pause=0.0
        )


@dataclass
class Server:
    """A connected server with one channel, and Ada in it."""

    fake: FakeDiscord
    store: Store
    settings: DiscordSettings
    guild: str
    channel: str
    ada: str
    delivered: list[int] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.routing = Routing(self.store, lambda session, letter: self.delivered.append(session), lambda key: None)
        self.adapter = DiscordAdapter(self.store, SEAL, self.settings)

    # Inbound

    @asynccontextmanager
    async def listening(self, **changes: Any) -> AsyncIterator[Ear]:
        """A gateway that leads, from when it has read everything that is there."""
        leader = self.leader(**changes)
        async with running(leader):
            yield await until(lambda: next((ear for ear in leader.ears if ear.intake.is_current), None))

    def leader(self, **changes: Any) -> Leader:
        return Leader(self.store, SEAL, self.settings.model_copy(update=changes), self.routing)

    async def inbox(self) -> list[InboxRow]:
        """Everything that was taken in."""
        async with self.store.read() as db:
            return list(await db.scalars(select(InboxRow).order_by(InboxRow.id)))

    async def until_taken(self, count: int) -> list[InboxRow]:
        """Waits for that many events; exactly."""

        async def enough() -> list[InboxRow] | None:
            rows = await self.inbox()
            return rows if len(rows) >= count else None

        rows = await until(enough)
        assert len(rows) == count, [(row.kind, row.dedupe_key) for row in rows]
        return rows

    async def said(self) -> list[Message]:
        """Everything that the record has of what people said."""
        async with self.store.read() as db:
            return list(await db.scalars(select(Message).where(Message.author == "user").order_by(Message.id)))

    async def texts(self) -> list[str]:
        return [message.text for message in await self.said()]

    # Outbound

    def thread_of(self, message_id: str, channel_id: str = "") -> DiscordThread:
        """The thread that an answer to a message is in."""
        config = DiscordThreadConfig(guild_id=self.guild, channel_id=channel_id or self.channel, thread_id=message_id)
        return DiscordThread(config=config)

    async def asked(self, text: str = "How do I sign in?") -> tuple[int, DiscordThread]:
        """Ada asks in the channel, and the record knows: the session, and the thread of the answer."""
        message_id = await self.fake.say(self.channel, self.ada, text)
        thread = self.thread_of(message_id)
        async with self.store.begin() as db:
            agent = await agents.ensure_agent(db)
            session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=thread)
            row = await messages.add(db, session_id=session.id, author="user", text=text, author_id=self.ada)
            await messages.post(
                db, session_id=session.id, chat_id=row.id, surface_key=surface_key(thread), remote_id=message_id
            )
        return session.id, thread

    @property
    def activities(self) -> SurfaceActivities:
        """What a session calls, with Discord as the only platform."""
        adapters: dict[SurfaceType, Any] = {SurfaceType.DISCORD_THREAD: self.adapter}
        nobody: Any = None
        return SurfaceActivities(
            Context(
                store=self.store,
                adapters=adapters,
                openers=Openers(nobody, self.adapter, nobody),
                hub=Hub(),
                model=CountingModel(),
                retriever=NoKnowledge(),
            )
        )

    def call(self, session_id: int, operation: Any, number: int = 0) -> Call[Any]:
        return Call[Any](session_id=session_id, key=f"{session_id}:{number or next(self.numbers)}", operation=operation)

    async def post(self, session_id: int, to: DiscordThread, text: str, **how: Any) -> str:
        """A handler sends a message; what fails is tried again, as Temporal does."""
        operation = PostMessage(to=to, message=MessageRef(text=text), **how)
        call = self.call(session_id, operation)
        return (await retried(lambda: self.activities.post_message(call))).remote_id

    async def ask(
        self, session_id: int, to: DiscordThread, *labels: str, allowed: list[str] | None = None, wait_id: int = 1
    ) -> str:
        """A handler asks for a choice."""
        buttons = [{"id": label.lower(), "text": label} for label in labels]
        wait = ButtonWait(wait_id=wait_id, allowed_users=allowed)
        return await self.post(session_id, to, "Which?", blocks=[{"type": "buttons", "buttons": buttons}], wait=wait)

    async def effect(self, key: str) -> EffectRow | None:
        async with self.store.read() as db:
            return await db.get(EffectRow, key)


@pytest.fixture
async def server(fake: FakeDiscord, settings_of_discord: DiscordSettings, store: Store) -> Server:
    """The server, connected, and a published workflow that takes every message of its channel."""
    guild = fake.guild("Acme")
    server = Server(fake, store, settings_of_discord, guild, fake.channel(guild), fake.user("Ada"))
    await connect(server, guild)
    await publish(server, DiscordListener(guild_id=guild, default_trigger=AllMessages()))
    return server


async def connect(server: Server, guild: str, token: str = "") -> None:
    async with server.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db,
            SEAL,
            agent_id=agent.id,
            platform="discord",
            external_id=guild,
            name="Acme",
            credentials={"token": token or server.fake.token},
        )


async def publish(server: Server, *listeners: Listener, name: str = "support") -> None:
    """Publishes a workflow, or lets the one that is there listen elsewhere."""
    async with server.store.begin() as db:
        known = update(PublishedWorkflow).where(PublishedWorkflow.name == name)
        shapes = [listener.model_dump(mode="json") for listener in listeners]
        changed = await db.execute(known.values(listeners=shapes).returning(PublishedWorkflow.id))
        if changed.first() is not None:
            return
    await make_current(server.store, *listeners, name=name)


async def until(look: Callable[[], Any], seconds: float = 40) -> Any:
    """Looks again and again until there is something."""
    async with asyncio.timeout(seconds):
        while True:
            found = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(leader: Leader) -> AsyncIterator[Leader]:
    """A gateway's job, ended at the end."""
    job = asyncio.create_task(leader.run())
    try:
        yield leader
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def retried(attempt: Callable[[], Awaitable[T]], times: int = 5) -> T:
    """Tries again what may go away, as Temporal does."""
    for _ in range(times):
        try:
            return await attempt()
        except (RateLimited, Unavailable):
            continue
    return await attempt()
