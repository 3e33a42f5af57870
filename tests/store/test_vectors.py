"""Vectors are kept beside their passages and go with them; pgvector finds the nearest where it is there."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from store import agents, knowledge, search, vectors
from store.engine import Store
from store.knowledge import NewPassage
from store.models import KnowledgeSource
from store.vectors import NewVector

pytestmark = pytest.mark.store

NAME = "three-numbers"


async def _source(db: AsyncSession, location: str = "/docs", *, internal: bool = False) -> KnowledgeSource:
    agent = await agents.ensure_agent(db)
    source = await knowledge.add_source(db, agent.id, "folder", location)
    source.is_internal = internal
    return source


async def _put(db: AsyncSession, source: KnowledgeSource, path: str, *texts: str) -> None:
    await knowledge.put_document(db, source, path, None, path, "hash", [NewPassage(text=text) for text in texts])


async def _embed(db: AsyncSession, *, with_numbers: bool = False) -> list[str]:
    """Vectors from the digits in a text: "1 0 2" has the vector (1, 0, 2)."""
    found = await vectors.lacking(db, NAME, 100)
    new = [NewVector(passage=one, vector=one.text.encode(), numbers=f"[{','.join(one.text.split())}]") for one in found]
    await vectors.put(db, NAME, new, with_numbers=with_numbers)
    return [one.text for one in found]


async def test_a_passage_lacks_a_vector_until_it_has_one(db: AsyncSession) -> None:
    source = await _source(db)
    await _put(db, source, "a.md", "1 0 0", "0 1 0")
    assert [one.text for one in await vectors.lacking(db, NAME, 1)] == ["1 0 0"]
    assert await _embed(db) == ["1 0 0", "0 1 0"]
    assert await vectors.lacking(db, NAME, 10) == []
    assert len(await vectors.lacking(db, "another", 10)) == 2
    assert await vectors.covered(db, NAME, source.id) == (2, 2)
    assert await vectors.covered(db, "another") == (2, 0)


async def test_only_a_sources_own_passages_are_embedded_with_it(db: AsyncSession) -> None:
    first, second = await _source(db), await _source(db, "/more")
    await _put(db, first, "a.md", "1 0 0")
    await _put(db, second, "a.md", "0 0 1")
    assert [one.text for one in await vectors.lacking(db, NAME, 10, source_id=second.id)] == ["0 0 1"]
    assert await vectors.covered(db, NAME, second.id) == (1, 0)


async def test_a_vector_goes_with_its_passage(db: AsyncSession) -> None:
    source = await _source(db)
    await _put(db, source, "a.md", "1 0 0", "0 1 0")
    await _embed(db)
    before = await vectors.stamp(db, source.agent_id, NAME)
    await _put(db, source, "a.md", "0 0 1")
    assert await vectors.numbers_of(db, source.agent_id, NAME) == []
    await _embed(db)
    after = await vectors.stamp(db, source.agent_id, NAME)
    assert (before.count, after.count) == (2, 1)
    assert after.last > before.last
    [new] = await vectors.after(db, source.agent_id, NAME, before.last, 10)
    assert (new.vector, new.source_id) == (b"0 0 1", source.id)
    assert await vectors.of_passages(db, NAME, [new.passage_id, 987]) == {new.passage_id: b"0 0 1"}


async def test_a_passage_that_changed_while_it_was_embedded_gets_no_vector_of_its_old_text(db: AsyncSession) -> None:
    source = await _source(db)
    await _put(db, source, "a.md", "1 0 0")
    [read] = await vectors.lacking(db, NAME, 10)
    await _put(db, source, "a.md", "0 1 0")
    await vectors.put(db, NAME, [NewVector(passage=read, vector=b"old", numbers="")])
    [now] = await vectors.lacking(db, NAME, 10)
    await vectors.put(db, NAME, [NewVector(passage=read.model_copy(update={"id": now.id}), vector=b"old", numbers="")])
    assert [one.text for one in await vectors.lacking(db, NAME, 10)] == ["0 1 0"]


async def test_a_second_vector_of_a_passage_is_not_kept(db: AsyncSession) -> None:
    source = await _source(db)
    await _put(db, source, "a.md", "1 0 0")
    [read] = await vectors.lacking(db, NAME, 10)
    for vector in (b"first", b"second"):
        await vectors.put(db, NAME, [NewVector(passage=read, vector=vector, numbers="")])
    assert await vectors.of_passages(db, NAME, [read.id]) == {read.id: b"first"}


async def test_how_passages_are_found_is_on_record(db: AsyncSession) -> None:
    assert await vectors.recorded_embedder(db) is None
    await vectors.record_embedder(db, "", "onnxruntime is missing")
    await vectors.record_embedder(db, NAME, "")
    state = await vectors.recorded_embedder(db)
    assert state is not None
    assert (state.embedder, state.note) == (NAME, "")


async def test_passages_of_internal_sources_are_found_only_where_they_may_be(db: AsyncSession) -> None:
    public, internal = await _source(db), await _source(db, "/runbooks", internal=True)
    await db.flush()
    await _put(db, public, "a.md", "A webhook is called.")
    await _put(db, internal, "b.md", "A webhook can be replayed by hand.")
    for allowed, texts in ((False, 1), (True, 2)):
        found = await search.search(db, public.agent_id, ["webhook"], 10, internal=allowed)
        assert len(found) == texts
        ids = [one.id for one in await search.search(db, public.agent_id, ["webhook"], 10, internal=True)]
        assert len(await search.by_id(db, public.agent_id, ids, internal=allowed)) == texts
    assert await vectors.internal_sources(db, public.agent_id) == [internal.id]


async def test_another_agents_passages_are_not_given_out_by_their_ids(db: AsyncSession) -> None:
    source = await _source(db)
    await _put(db, source, "a.md", "1 0 0")
    [one] = await vectors.lacking(db, NAME, 10)
    assert await search.by_id(db, source.agent_id + 1, [one.id]) == []


async def test_pgvector_finds_the_nearest_and_hides_what_is_internal(store: Store) -> None:
    if not await vectors.prepare(store, NAME, 3):
        assert store.is_sqlite, "the test server has pgvector"
        return
    assert await vectors.prepare(store, NAME, 3), "a second time makes nothing"
    async with store.begin() as db:
        public, internal = await _source(db), await _source(db, "/runbooks", internal=True)
        await db.flush()
        await _put(db, public, "a.md", "1 0 0", "0 1 0", "0 0 1")
        await _put(db, internal, "b.md", "0.9 0.1 0")
        await _embed(db, with_numbers=True)
    async with store.read() as db:
        texts = {}
        for allowed in (False, True):
            ids = await vectors.nearest(db, public.agent_id, NAME, "[0.8,0.2,0]", 3, 2, internal=allowed)
            found = {one.id: one.text for one in await search.by_id(db, public.agent_id, ids, internal=True)}
            texts[allowed] = [found[one] for one in ids]
        assert texts == {False: ["1 0 0", "0 1 0"], True: ["1 0 0", "0.9 0.1 0"]}
        assert await vectors.nearest(db, public.agent_id + 1, NAME, "[1,0,0]", 3, 2, internal=True) == []


async def test_pgvector_goes_by_its_index_also_where_the_planner_would_rather_sort(store: Store) -> None:
    if not await vectors.prepare(store, NAME, 3):
        assert store.is_sqlite, "the test server has pgvector"
        return
    async with store.begin() as db:
        public, internal = await _source(db), await _source(db, "/runbooks", internal=True)
        await db.flush()
        await _put(db, public, "a.md", *[f"1 {n / 100} 0" for n in range(200)])
        await _put(db, internal, "b.md", "1 0 0.5")
        await _embed(db, with_numbers=True)
        await db.execute(text("ANALYZE"))
    async with store.read() as db:
        before = await _read_as_a_whole(db)
        found = await vectors.nearest(db, public.agent_id, NAME, "[1,0,0]", 3, 5, internal=False)
        assert await _read_as_a_whole(db) == before
    assert len(found) == 5


async def _read_as_a_whole(db: AsyncSession) -> int:
    """How often the connection has read the vectors' table from its beginning to its end."""
    scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'passage_vectors'"
    return int((await db.execute(text(scans))).scalar_one())
