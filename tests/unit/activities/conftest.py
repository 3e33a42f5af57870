import itertools
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateways.adapter import Openers
from gateways.wire import Call, Outcome
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import (
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    surface_key,
)
from store import agents, messages, sessions
from store.engine import Store
from store.models import EffectRow, Message
from tests.unit.activities.doubles import CountingModel, Hub, NoKnowledge, Platform
from worker.activities.context import Context

O = TypeVar("O")  # noqa: E741 - an operation


@pytest.fixture(scope="session")
async def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("activities") / "runllm.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    return path


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    shutil.copy(empty_database, tmp_path / "runllm.db")
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    yield opened
    await opened.close()


@dataclass
class Case:
    """One conversation on a widget, in a real record, with platforms that keep what they are sent."""

    store: Store
    session_id: int
    widget: ChatWidget
    slack: SlackThread
    platform: Platform = field(default_factory=Platform)
    hub: Hub = field(default_factory=Hub)
    model: CountingModel = field(default_factory=CountingModel)
    knowledge: NoKnowledge = field(default_factory=NoKnowledge)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def context(self) -> Context:
        """What the activities work with."""
        return Context(
            store=self.store,
            adapters=dict.fromkeys(SurfaceType, self.platform),
            openers=Openers(self.platform, self.platform, self.platform),
            hub=self.hub,
            model=self.model,
            retriever=self.knowledge,
        )

    def call(self, operation: O, key: str | None = None, outcomes: list[Outcome] | None = None) -> Call[O]:
        """A call as a session makes it: each with a key of its own."""
        return Call[Any](
            session_id=self.session_id,
            key=key or f"{self.session_id}:{next(self.numbers)}",
            operation=operation,
            outcomes=outcomes or [],
        )

    async def said(
        self,
        text: str,
        *,
        by: str | None = "visitor",
        name: str | None = None,
        on: ChatSurface | None = None,
        author: str = MessageType.USER,
        **more: Any,
    ) -> Message:
        """Records a message as the gateways do: written by a person, on a surface."""
        async with self.store.begin() as db:
            row = await messages.add(
                db, session_id=self.session_id, author=author, text=text, author_id=by, author_name=name, **more
            )
            key = surface_key(on or self.widget)
            await messages.post(
                db, session_id=self.session_id, chat_id=row.id, surface_key=key, remote_id=f"in-{row.id}"
            )
        return row

    async def transcript(self) -> list[str]:
        """All that is shown anywhere."""
        async with self.store.read() as db:
            return [row.text for row in await messages.transcript(db, self.session_id)]

    async def effect(self, key: str) -> EffectRow:
        """A row of the ledger."""
        async with self.store.read() as db:
            row = await db.get(EffectRow, key)
        assert row is not None, f"the ledger has no {key}"
        return row

    async def message(self, chat_id: int) -> Message:
        """A row of the record."""
        async with self.store.read() as db:
            row = await messages.get(db, chat_id)
        assert row is not None
        return row


@pytest.fixture
async def case(store: Store) -> Case:
    page = {"url": "https://example.com/pricing", "page_title": "Pricing", "ids": [1]}
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier="c1", chat_user_id="visitor", context=page))
    slack = SlackThread(config=SlackThreadConfig(bot_conn_token="ref", team_id="T1", channel="C1", thread_ts="1.0"))
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=widget)
    return Case(store=store, session_id=session.id, widget=widget, slack=slack)
