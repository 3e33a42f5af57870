import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import agents, knowledge
from store.engine import Store
from worker.answering.ingest import IndexingActivities

DOCS = Path(__file__).parents[3] / "examples" / "docs"


@pytest.fixture(scope="session")
async def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("answering") / "runllm.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    return path


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """An open record with one agent in it."""
    shutil.copy(empty_database, tmp_path / "runllm.db")
    opened = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    async with opened.begin() as db:
        await agents.ensure_agent(db)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def lantern(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """A record that knows the sample documentation. Tests only read it."""
    path = tmp_path_factory.mktemp("lantern") / "runllm.db"
    shutil.copy(empty_database, path)
    opened = await Store.open(f"sqlite:///{path}", migrate=False)
    async with opened.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", str(DOCS), "https://docs.lantern.example")
    await IndexingActivities(opened).index_now(source.id)
    yield opened
    await opened.close()
