import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store import agents, knowledge
from store.knowledge import NewPassage
from store.models import KnowledgeSource, PassageRow

pytestmark = pytest.mark.store


@pytest.fixture
async def source(db: AsyncSession) -> KnowledgeSource:
    agent = await agents.ensure_agent(db)
    return await knowledge.add_source(db, agent.id, "folder", "/docs", "https://docs.example.com")


async def _put(db: AsyncSession, source: KnowledgeSource, path: str, *texts: str) -> int:
    passages = [NewPassage(text=text) for text in texts]
    document = await knowledge.put_document(db, source, path, f"https://x/{path}", path.title(), "hash", passages)
    return document.id


async def _texts(db: AsyncSession) -> list[str]:
    return list(await db.scalars(select(PassageRow.text).order_by(PassageRow.document_id, PassageRow.position)))


async def test_a_location_is_one_source_of_an_agent(db: AsyncSession, source: KnowledgeSource) -> None:
    again = await knowledge.add_source(db, source.agent_id, "folder", "/docs")
    other = await agents.ensure_agent(db, "other")
    theirs = await knowledge.add_source(db, other.id, "folder", "/docs")
    assert (again.id, again.base_url) == (source.id, "https://docs.example.com"), "what is not given stays"
    assert [row.id for row in await knowledge.sources(db, source.agent_id)] == [source.id]
    assert [row.id for row in await knowledge.sources(db)] == [source.id, theirs.id]


async def test_progress_is_recorded(db: AsyncSession, source: KnowledgeSource) -> None:
    await knowledge.set_progress(db, source.id, state="running", done=0, total=12)
    running = await knowledge.set_progress(db, source.id, state="running", done=5)
    assert running is not None
    assert (running.state, running.done, running.total, running.synced_at) == ("running", 5, 12, None)
    failed = await knowledge.set_progress(db, source.id, state="failed", error="no such folder")
    assert failed is not None
    assert (failed.state, failed.error, failed.done) == ("failed", "no such folder", 5)
    done = await knowledge.set_progress(db, source.id, state="done", done=12)
    assert done is not None
    assert (done.error, done.synced_at is not None) == (None, True)
    assert await knowledge.set_progress(db, 99, state="done") is None


async def test_a_document_is_found_by_its_path(db: AsyncSession, source: KnowledgeSource) -> None:
    document_id = await _put(db, source, "start.md", "one", "two")
    found = await knowledge.document_by_path(db, source.id, "start.md")
    assert found is not None
    assert (found.id, found.title, found.url, found.content_hash) == (
        document_id,
        "Start.Md",
        "https://x/start.md",
        "hash",
    )
    assert await knowledge.document_by_path(db, source.id, "other.md") is None


async def test_new_passages_replace_the_old_ones(db: AsyncSession, source: KnowledgeSource) -> None:
    first = await _put(db, source, "a.md", "one", "two", "three")
    assert await _put(db, source, "a.md", "two, better", "three") == first
    assert await _texts(db) == ["two, better", "three"]
    assert await _put(db, source, "a.md") == first
    assert await _texts(db) == []


async def test_documents_that_are_gone_are_forgotten(db: AsyncSession, source: KnowledgeSource) -> None:
    for path in ("a.md", "b.md", "c.md"):
        await _put(db, source, path, path)
    await knowledge.list_pages(db, source.id, {"b.md": "1", "new.md": "1"}, is_complete=True)
    assert await knowledge.remove_orphans(db, source.id) == 2
    assert await _texts(db) == ["b.md"]
    assert [row.path for row in await knowledge.documents(db, source.id)] == ["b.md"]
    assert await knowledge.remove_orphans(db, source.id) == 0


async def _held(db: AsyncSession, source: KnowledgeSource) -> tuple[int, bool]:
    row = await knowledge.get_source(db, source.id)
    assert row is not None
    await db.refresh(row)
    return row.kept_back, row.accepts_removals


@pytest.mark.parametrize(("there", "left", "is_kept"), [(30, 14, True), (30, 15, False), (11, 0, True), (10, 0, False)])
async def test_where_most_documents_are_gone_they_are_kept(
    db: AsyncSession, source: KnowledgeSource, there: int, left: int, is_kept: bool
) -> None:
    paths = [f"{number}.md" for number in range(there)]
    for path in paths:
        await _put(db, source, path, path)
    await knowledge.list_pages(db, source.id, dict.fromkeys(paths[:left], "1"), is_complete=True)
    assert await knowledge.remove_vanished(db, source) == (0 if is_kept else there - left)
    assert len(await knowledge.documents(db, source.id)) == (there if is_kept else left)
    assert await _held(db, source) == (there - left if is_kept else 0, False)


async def test_what_somebody_says_is_gone_is_forgotten_once(db: AsyncSession, source: KnowledgeSource) -> None:
    paths = [f"{number}.md" for number in range(20)]
    for path in paths:
        await _put(db, source, path, path)
    assert await knowledge.remove_vanished(db, source) == 0
    await knowledge.accept_removals(db, source.id)
    assert await knowledge.remove_vanished(db, source) == 20
    assert await _held(db, source) == (0, False)
    for path in paths:
        await _put(db, source, path, path)
    assert await knowledge.remove_vanished(db, source) == 0, "it was said of the sync before"
    await knowledge.list_pages(db, source.id, dict.fromkeys(paths, "1"), is_complete=True)
    assert await knowledge.remove_vanished(db, source) == 0
    assert await _held(db, source) == (0, False), "they were found again"


async def test_a_source_is_forgotten_with_all_that_came_from_it(db: AsyncSession, source: KnowledgeSource) -> None:
    other = await knowledge.add_source(db, source.agent_id, "folder", "/other")
    await _put(db, source, "a.md", "gone")
    await _put(db, other, "a.md", "kept")
    await knowledge.remove_source(db, source.id)
    assert await knowledge.get_source(db, source.id) is None
    assert await _texts(db) == ["kept"]


async def test_what_there_is_can_be_counted(db: AsyncSession, source: KnowledgeSource) -> None:
    empty = await knowledge.counts(db, source.agent_id)
    assert (empty.documents, empty.passages, empty.average_length, empty.changed_at) == (0, 0, 0, None)
    await _put(db, source, "a.md", "1234", "12")
    await _put(db, source, "b.md", "123")
    for counts in (await knowledge.counts(db, source.agent_id), await knowledge.counts_of_source(db, source.id)):
        assert (counts.documents, counts.passages, counts.average_length) == (2, 3, 3)
        assert counts.changed_at is not None
        assert counts.changed_at.tzinfo is not None
    other = await agents.ensure_agent(db, "other")
    assert (await knowledge.counts(db, other.id)).passages == 0


async def test_long_titles_are_cut_and_odd_characters_replaced(db: AsyncSession, source: KnowledgeSource) -> None:
    passage = NewPassage(text="a\0b", heading_path="h" * 2000, anchor="x" * 400)
    document = await knowledge.put_document(db, source, "a.md", "u" * 5000, "t" * 900, "hash", [passage])
    [row] = await db.scalars(select(PassageRow))
    assert (len(document.title), len(document.url or "")) == (500, 5000)
    assert (row.text, len(row.title), len(row.heading_path), len(row.anchor)) == ("a\ufffdb", 500, 1000, 300)
