"""The engine with everything real but the platforms: record, gateway rules, activities, deployer, hosts as processes.

A test publishes a workflow, talks to it as a visitor would, and reads what it answered from the record.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text
from temporalio.client import Client

from gateways.adapter import Inbound
from gateways.adapters import adapters, openers
from gateways.delivery import Delivery
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings
from gateways.routing import Routing
from gateways.temporal import Temporal
from gateways.wire import build_id_of, workflow_id
from runllm.bridge.listeners import Listener, WidgetListener
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SurfaceType, surface_key
from runllm.bridge.triggers import Happening
from runllm.bundle import Bundle, BundleEntry
from store import agents, messages, published, sessions
from store.engine import Store
from store.models import Session, Version
from store.sealing import Seal
from worker.activities.context import Context
from worker.activities.workers import session_activities
from worker.answering.retrieval import PassageRetriever
from worker.answering.scripted import Script, ScriptedModel
from worker.deployments.deployer import Deployer
from worker.deployments.hosts import Hosts
from worker.deployments.means import Means
from worker.deployments.sessions import on_version
from worker.deployments.versions import Versions, register_search_attributes

HEAD = """\
from runllm import Agent, Event
from runllm.bridge.listeners import WidgetListener
from runllm.decorators import entrypoint, task

HERE = WidgetListener(domain="DOMAIN")
"""

SECRET = "a secret of tests"

_numbers = itertools.count(1)
_thousands = itertools.count(1000, 1000)


class NoHub:
    """Nobody watches answers being made here."""

    async def push(self, surface_key: str, message: str, attempt: int, offset: int, text: str) -> None: ...

    def poke(self, surface_key: str) -> None: ...

    def stage(self, surface_key: str, text: str) -> None: ...


@dataclass
class Town:
    """One installation of the engine, and its visitors."""

    home: Path
    client: Client
    store: Store
    versions: Versions
    agent_id: int
    name: str
    routing: Routing
    hosts: Hosts
    environ: dict[str, str]
    lines: list[str]
    _deploying: asyncio.Task[None] | None = None

    # Publishing

    async def publish(
        self,
        text: str,
        tasks: Sequence[str] = (),
        name: str = "",
        domain: str = "",
        listeners: Sequence[Listener] = (),
    ) -> Version:
        """Uploads a workflow whose entrypoint is `answer`. It listens to the widgets of `domain`, or to `listeners`."""
        name = name or self.name
        domain = domain or f"{name}.test"
        bundle = Bundle(
            name=name,
            files={"flow.py": HEAD.replace("DOMAIN", domain) + text},
            entrypoint=BundleEntry(name="answer", module="flow", function="answer"),
            tasks=[BundleEntry(name=task, module="flow", function=task) for task in tasks],
            listeners=list(listeners) or [WidgetListener(domain=domain)],
        )
        async with self.store.begin() as db:
            version, _ = await published.upload(db, self.agent_id, bundle, build_id_of(bundle))
        return version

    async def live(self, text: str, tasks: Sequence[str] = ()) -> Version:
        """Publishes, and returns when the version is current."""
        return await self.until(await self.publish(text, tasks), "current")

    async def until(self, version: Version, *statuses: str) -> Version:
        """Waits for a status."""
        seen = await until(lambda: self.version(version), lambda seen: seen.status in (*statuses, "failed"))
        assert seen.status in statuses, seen.error
        return seen

    async def until_step(self, version: Version, step: str, state: str, seconds: float = 60) -> None:
        """Waits for the state of a step."""
        await until(lambda: self.steps(version), lambda found: found.get(step) == state, seconds)

    async def version(self, version: Version) -> Version:
        """The version as it is now."""
        async with self.store.read() as db:
            now = await published.get_version(db, version.id)
        assert now is not None
        return now

    async def until_begun(self, version: Version, step: str) -> None:
        """Waits until a step is under way or over."""
        await until(lambda: self.steps(version), lambda found: step in found)

    async def steps(self, version: Version) -> dict[str, str]:
        """The state of each step that has begun."""
        async with self.store.read() as db:
            return {row.step: row.state for row in await published.steps_of(db, version.id)}

    async def detail(self, version: Version, step: str) -> str:
        """What a step says."""
        async with self.store.read() as db:
            return next(row.detail for row in await published.steps_of(db, version.id) if row.step == step)

    async def note(self, version: Version) -> str:
        """What a version says beside its status."""
        return (await self.version(version)).note or ""

    async def handlers(self, version: Version) -> list[str]:
        """The handlers that running sessions of a version wait in, as Temporal shows them."""
        return [x.handler for x in await on_version(self.client, version.published_name, version.build_id)]

    async def states(self, version: Version) -> list[str]:
        """What running sessions of a version do, as Temporal shows it."""
        return [x.state for x in await on_version(self.client, version.published_name, version.build_id)]

    async def roll_back(self, version: Version) -> None:
        """Wants an earlier version."""
        async with self.store.begin() as db:
            await published.want(db, version.id)

    # Deploying

    def start_deploying(self, holder: str = "this worker") -> None:
        """Starts the loop of a worker."""
        means = Means(self.store, self.client, self.versions, self.hosts, self.home, self.environ)
        self._deploying = asyncio.create_task(Deployer(means, holder).run())

    @asynccontextmanager
    async def second_worker(self, home: Path) -> AsyncIterator[Hosts]:
        """Another worker of the same installation, on a machine of its own."""
        hosts = Hosts(home, self.environ, self.lines.append)
        means = Means(self.store, self.client, self.versions, hosts, home, self.environ)
        deploying = asyncio.create_task(Deployer(means, "another worker").run())
        try:
            yield hosts
        finally:
            deploying.cancel()
            with suppress(asyncio.CancelledError):
                await deploying
            await hosts.stop_all()

    async def crash(self) -> None:
        """The worker ends without a word: its loop is gone, and its hosts with it."""
        if self._deploying is not None:
            self._deploying.cancel()
            with suppress(asyncio.CancelledError):
                await self._deploying
        await self.hosts.stop_all()
        self.hosts = Hosts(self.home, self.environ, self.lines.append)

    # Talking

    def visitor(self, name: str = "") -> "Visitor":
        """Somebody with a new conversation in the widget."""
        config = ChatWidgetConfig(convo_identifier=f"{self.name}-{next(_numbers)}")
        return Visitor(self, ChatWidget(config=config), f"https://{name or self.name}.test")


@dataclass
class Visitor:
    """Somebody in a widget."""

    town: Town
    surface: ChatWidget
    origin: str
    said: int = 0

    async def say(self, text: str) -> None:
        """Sends a message."""
        self.said += 1
        number = f"{surface_key(self.surface)}-{self.said}"
        await self.town.routing.take_in(
            Inbound(
                kind="message",
                dedupe_key=number,
                remote_id=number,
                surface=self.surface,
                happening=Happening(surface=SurfaceType.CHAT_WIDGET),
                text=text,
                user="visitor",
                origin=self.origin,
            )
        )

    async def answers(self) -> list[str]:
        """What the agent has written here."""
        async with self.town.store.read() as db:
            rows = await messages.feed(db, surface_key(self.surface), 0)
        shown = sorted(
            rows, key=lambda row: row[0].position
        )  # a change of what is shown moves it to the end of the feed
        return [message.text for _, message in shown if message.author == "assistant"]

    async def until_answered(self, *texts: str) -> None:
        """Waits until the agent has written exactly these."""
        await until(self.answers, lambda found: len(found) >= len(texts))
        said = await self.answers()
        assert said == list(texts), said

    async def click(self, button: str) -> None:
        """Clicks a button of the last message."""
        async with self.town.store.read() as db:
            shown = await messages.feed(db, surface_key(self.surface), 0)
        wait_id = next(posting.extras["wait_id"] for posting, _ in reversed(shown) if "wait_id" in posting.extras)
        self.said += 1
        await self.town.routing.take_in(
            Inbound(
                kind="button",
                dedupe_key=f"{surface_key(self.surface)}-{self.said}",
                surface=self.surface,
                wait_id=wait_id,
                button_id=button,
                user="visitor",
            )
        )

    async def session(self) -> Session:
        async with self.town.store.read() as db:
            session = await sessions.bound_session(db, surface_key(self.surface))
        assert session is not None
        return session

    async def build(self) -> str:
        """The version that serves this conversation, as Temporal sees it."""
        handle = self.town.client.get_workflow_handle(workflow_id((await self.session()).id))
        info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
        return info.deployment_version.build_id

    async def until_on(self, version: Version) -> None:
        """Waits until that version serves this conversation."""
        await until(self.build, lambda build: build == version.build_id)


T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T] | T], is_it: Callable[[T], bool], seconds: float = 60) -> T:
    """Looks again and again until it is so."""
    seen: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                looked = look()
                seen = await looked if isinstance(looked, Awaitable) else looked
                if is_it(seen):
                    return seen
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"after {seconds} s it is still {seen}") from None


async def until_equal(look: Callable[[], Awaitable[T] | T], expected: T) -> None:
    """Waits until something is exactly that."""
    await until(look, lambda seen: seen == expected)


@asynccontextmanager
async def town(
    tmp_path: Path, client: Client, *, platforms: PlatformSettings | None = None, script: Script | None = None
) -> AsyncIterator[Town]:
    """A new installation whose published workflows nobody else has."""
    await register_search_attributes(client)
    address = client.service_client.config.target_host
    store = await Store.open(f"sqlite:///{tmp_path / 'runllm.db'}")
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        # Session numbers are workflow ids: those of two installations on one server must differ.
        await db.execute(text("DELETE FROM sqlite_sequence WHERE name = 'sessions'"))
        await db.execute(text("INSERT INTO sqlite_sequence VALUES ('sessions', :last)"), {"last": next(_thousands)})
    delivery = Delivery(store, Temporal({"target_host": address, "namespace": client.namespace}))
    hub, lines = NoHub(), list[str]()
    model = ScriptedModel(script or Script())
    outlets = Outlets(store, hub, Seal(SECRET), platforms or PlatformSettings())
    context = Context(store, adapters(outlets), openers(outlets), hub, model, PassageRetriever(store))
    environ = {**os.environ, "TEMPORAL_ADDRESS": address, "RUNLLM_SECRET": "not for hosts"}
    here = Town(
        home=tmp_path,
        client=client,
        store=store,
        versions=Versions(client),
        agent_id=agent.id,
        name=f"support_{next(_numbers)}_{os.getpid()}",
        routing=Routing(store, delivery.soon, hub.poke),
        environ=environ,
        hosts=Hosts(tmp_path, environ, lines.append),
        lines=lines,
    )
    try:
        async with session_activities(client, context):
            here.start_deploying()
            yield here
            await here.crash()
            await delivery.close()
    finally:
        await here.hosts.stop_all()
        await store.close()
