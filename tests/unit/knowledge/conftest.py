"""A record, and sources of all kinds that are indexed into it without a workflow."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from store import agents, knowledge
from store.engine import Store
from store.models import Document, KnowledgePage, KnowledgeSource
from tests.fakes.website import Website, website
from worker.answering.indexing import Indexed, Listed, Slice
from worker.answering.ingest import IndexingActivities
from worker.answering.parsing import Parser
from worker.knowledge.settings import KnowledgeSettings


@pytest.fixture(scope="session")
async def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("knowledge") / "runllm.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    return path


@dataclass
class Synced:
    """How a sync went."""

    listed: Listed
    indexed: Indexed
    removed: int


@dataclass
class Shelf:
    """Indexes sources as the workflow does, one activity after the other."""

    store: Store
    activities: IndexingActivities

    async def add(self, kind: str, location: str, base_url: str | None = None) -> KnowledgeSource:
        async with self.store.begin() as db:
            return await knowledge.add_source(db, 1, kind, location, base_url)

    async def sync(self, source: KnowledgeSource) -> Synced:
        listed = await self.activities.list_files(source.id)
        whole = Indexed()
        last: int | None = 0
        while last is not None:
            one = await self.activities.index_files(Slice(source_id=source.id, after=last))
            last = one.last
            counts = {
                name: getattr(whole, name) + getattr(one, name) for name in ("changed", "unchanged", "failed", "empty")
            }
            whole = Indexed(**counts, notes=[*whole.notes, *one.notes], total=one.total)
        return Synced(listed, whole, await self.activities.remove_vanished(source.id))

    async def documents(self, source: KnowledgeSource) -> dict[str, Document]:
        async with self.store.read() as db:
            return {one.path: one for one in await knowledge.documents(db, source.id)}

    async def titles(self, source: KnowledgeSource) -> dict[str, str]:
        return {path: one.title for path, one in (await self.documents(source)).items()}

    async def problems(self, source: KnowledgeSource) -> dict[str, str | None]:
        async with self.store.read() as db:
            return {one.path: one.problem for one in await knowledge.problems(db, source.id)}

    async def pages(self, source: KnowledgeSource) -> dict[str, KnowledgePage]:
        async with self.store.read() as db:
            return {one.path: one for one in await knowledge.pages_after(db, source.id, 0, 10_000)}


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    shutil.copy(empty_database, tmp_path / "runllm.db")
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    async with opened.begin() as db:
        await agents.ensure_agent(db)
    yield opened
    await opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> KnowledgeSettings:
    """This machine may be read, and quickly."""
    return KnowledgeSettings(
        cache=tmp_path / "cache",
        allowed_networks=[ip_network("127.0.0.0/8")],
        requests_a_second=10_000,
        may_read_local_repositories=True,
    )


@pytest.fixture(scope="session")
def parser() -> Parser:
    """One process for all tests, as for all sources."""
    return Parser()


@pytest.fixture
def shelf(store: Store, settings: KnowledgeSettings, parser: Parser) -> Shelf:
    return Shelf(store, IndexingActivities(store, settings, parser))


@pytest.fixture
async def site() -> AsyncIterator[Website]:
    async with website(Website()) as served:
        yield served


class Writes:
    """Which tables were written to."""

    def __init__(self) -> None:
        self.tables: list[str] = []

    def note(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        words = statement.split()
        if words[0] in ("INSERT", "UPDATE", "DELETE"):
            self.tables.append(words[2] if words[0] != "UPDATE" else words[1])


@pytest.fixture
def writes(store: Store) -> Any:
    """What is written from now on."""
    seen = Writes()
    engine = store._engines[0].sync_engine
    event.listen(engine, "before_cursor_execute", seen.note)
    yield seen
    event.remove(engine, "before_cursor_execute", seen.note)
