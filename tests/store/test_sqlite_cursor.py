"""How often a statement goes to the thread of its connection."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from store import agents
from store.engine import Store
from store.models import Agent
from store.rows import insert_new
from store.sqlite_cursor import Connection


@pytest.fixture
def journeys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    execute = Connection._execute

    async def counting(self: Connection, fn: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(getattr(fn, "__qualname__", str(fn)))
        return await execute(self, fn, *args, **kwargs)

    monkeypatch.setattr(Connection, "_execute", counting)
    return made


async def test_a_statement_is_one_journey_whatever_it_returns(tmp_path: Path, journeys: list[str]) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    try:
        async with store.begin() as db:
            await agents.ensure_agent(db)
            journeys.clear()
            assert (await db.execute(text("SELECT 1 UNION SELECT 2"))).scalars().all() == [1, 2]
            assert len(journeys) == 1
            changed = await db.execute(text("UPDATE agents SET name = name"))
            assert len(journeys) == 2
            assert changed.rowcount == 1  # type: ignore[attr-defined]
            assert await insert_new(db, Agent, name="second") is not None
            assert len(journeys) == 3
    finally:
        await store.close()


async def test_an_error_comes_back_from_the_journey_and_undoes_the_transaction(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db")
    try:
        with pytest.raises(IntegrityError):
            async with store.begin() as db:
                await db.execute(text("INSERT INTO sessions (agent_id, published_name) VALUES (999, 'x')"))
        async with store.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM sessions"))).scalar_one() == 0
    finally:
        await store.close()
