"""Knowledge sources, their documents, and the passages that answers are made of."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Document, KnowledgeSource, PassageRow, now
from store.rows import FRESH, change_one, find, insert
from store.search import Candidate as Candidate
from store.search import document_frequency as document_frequency
from store.search import search as search
from store.search import vocabulary as vocabulary

_BATCH = 500


class NewPassage(BaseModel):
    """A piece of a document, as it is indexed. The title is the document's."""

    model_config = ConfigDict(frozen=True)

    text: str
    heading_path: str = ""
    anchor: str = ""


class Counts(BaseModel):
    """How much there is. `changed_at` and the counts together change with every change of the knowledge."""

    model_config = ConfigDict(frozen=True)

    documents: int
    passages: int
    average_length: float
    """Of a passage's text, in characters."""
    changed_at: datetime | None


async def add_source(
    db: AsyncSession, agent_id: int, kind: str, location: str, base_url: str | None = None
) -> KnowledgeSource:
    """Records where documents come from; the same location twice is one source."""
    new = insert(db, KnowledgeSource).values(agent_id=agent_id, kind=kind, location=location, base_url=base_url)
    statement = new.on_conflict_do_update(
        index_elements=["agent_id", "location"], set_={"kind": kind, "base_url": base_url}
    )
    return (await db.scalars(statement.returning(KnowledgeSource), execution_options=FRESH)).one()


async def get_source(db: AsyncSession, source_id: int) -> KnowledgeSource | None:
    """The source of that number."""
    return await find(db, KnowledgeSource, KnowledgeSource.id == source_id)


async def sources(db: AsyncSession, agent_id: int | None = None) -> list[KnowledgeSource]:
    """All sources, or an agent's, oldest first."""
    query = select(KnowledgeSource).order_by(KnowledgeSource.id)
    return list(await db.scalars(query if agent_id is None else query.where(KnowledgeSource.agent_id == agent_id)))


async def set_progress(
    db: AsyncSession,
    source_id: int,
    *,
    state: Literal["new", "running", "done", "failed"],
    done: int | None = None,
    total: int | None = None,
    error: str | None = None,
) -> KnowledgeSource | None:
    """Records how far indexing has got."""
    numbers = {name: value for name, value in (("done", done), ("total", total)) if value is not None}
    values = {"state": state, "error": error, **numbers, **({"synced_at": now()} if state == "done" else {})}
    statement = update(KnowledgeSource).where(KnowledgeSource.id == source_id).values(values)
    return await change_one(db, statement, KnowledgeSource)


async def remove_source(db: AsyncSession, source_id: int) -> None:
    """Forgets a source and all that came from it."""
    await remove_documents_not_in(db, source_id, ())
    await db.execute(delete(KnowledgeSource).where(KnowledgeSource.id == source_id))


async def document_by_path(db: AsyncSession, source_id: int, path: str) -> Document | None:
    """The document that a source has at `path`."""
    return await find(db, Document, Document.source_id == source_id, Document.path == path)


async def documents(db: AsyncSession, source_id: int) -> list[Document]:
    """The documents of a source, by path."""
    return list(await db.scalars(select(Document).where(Document.source_id == source_id).order_by(Document.path)))


async def put_document(
    db: AsyncSession,
    source: KnowledgeSource,
    path: str,
    url: str | None,
    title: str,
    content_hash: str,
    passages: Sequence[NewPassage],
) -> Document:
    """Records a document as it is now: new passages replace the old ones."""
    values = {"url": url, "title": title, "content_hash": content_hash, "indexed_at": now()}
    new = insert(db, Document).values(agent_id=source.agent_id, source_id=source.id, path=path, **values)
    statement = new.on_conflict_do_update(index_elements=["source_id", "path"], set_=values).returning(Document)
    document = (await db.scalars(statement, execution_options=FRESH)).one()
    await db.execute(delete(PassageRow).where(PassageRow.document_id == document.id))
    rows = [
        {
            "agent_id": source.agent_id,
            "document_id": document.id,
            "position": position,
            "title": title,
            **passage.model_dump(),
        }
        for position, passage in enumerate(passages)
    ]
    if rows:
        await db.execute(insert(db, PassageRow), rows)
    return document


async def remove_documents_not_in(db: AsyncSession, source_id: int, paths: Collection[str]) -> int:
    """Forgets the documents of a source that are no longer there, and returns how many they were."""
    kept = frozenset(paths)
    known = await db.execute(select(Document.id, Document.path).where(Document.source_id == source_id))
    gone = [document_id for document_id, path in known if path not in kept]
    for first in range(0, len(gone), _BATCH):
        batch = gone[first : first + _BATCH]
        await db.execute(delete(PassageRow).where(PassageRow.document_id.in_(batch)))
        await db.execute(delete(Document).where(Document.id.in_(batch)))
    return len(gone)


async def counts(db: AsyncSession, agent_id: int) -> Counts:
    """How much an agent knows."""
    return await _count(db, Document.agent_id == agent_id)


async def counts_of_source(db: AsyncSession, source_id: int) -> Counts:
    """How much came from a source."""
    return await _count(db, Document.source_id == source_id)


async def _count(db: AsyncSession, which: ColumnElement[bool]) -> Counts:
    number, changed_at = (await db.execute(select(func.count(), func.max(Document.indexed_at)).where(which))).one()
    size = func.avg(func.length(PassageRow.text))
    pieces = select(func.count(PassageRow.id), size).join(Document, Document.id == PassageRow.document_id).where(which)
    passages, length = (await db.execute(pieces)).one()
    return Counts(documents=number, passages=passages, average_length=float(length or 0), changed_at=changed_at)
