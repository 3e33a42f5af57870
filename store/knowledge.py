"""Knowledge sources, their documents, and the passages that answers are made of."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Document, KnowledgePage, KnowledgeSource, PassageRow, now
from store.rows import FRESH, change_one, find, insert, insert_missing
from store.search import Candidate as Candidate
from store.search import document_frequency as document_frequency
from store.search import search as search
from store.search import vocabulary as vocabulary

_BATCH = 500
_FEW = 10
"""So many documents of a source may vanish at a time without anybody looking, even where they are most of it."""


class NewPassage(BaseModel):
    """A piece of a document, as it is indexed. The title is the document's."""

    model_config = ConfigDict(frozen=True)

    text: str
    heading_path: str = ""
    anchor: str = ""


def digest_of(url: str | None, title: str, passages: Sequence[NewPassage]) -> str:
    """A number that changes with what is found of a document."""
    said = [url, title, *([one.heading_path, one.anchor, one.text] for one in passages)]
    return sha256(json.dumps(said).encode()).hexdigest()


class Counts(BaseModel):
    """How much there is. `changed_at` and the counts together change with every change of the knowledge."""

    model_config = ConfigDict(frozen=True)

    documents: int
    passages: int
    average_length: float
    """Of a passage's text, in characters."""
    changed_at: datetime | None


async def add_source(
    db: AsyncSession, agent_id: int, kind: str, location: str, base_url: str | None = None, **more: Any
) -> KnowledgeSource:
    """Records where documents come from; the same location twice is one source, and what is not given stays.

    `more` are other columns.
    """
    values = {"kind": kind, **({} if base_url is None else {"base_url": base_url}), **more}
    new = insert(db, KnowledgeSource).values(agent_id=agent_id, location=location, **values)
    statement = new.on_conflict_do_update(index_elements=["agent_id", "location"], set_=values)
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
    await db.execute(delete(KnowledgePage).where(KnowledgePage.source_id == source_id))
    await remove_orphans(db, source_id)
    await db.execute(delete(KnowledgeSource).where(KnowledgeSource.id == source_id))


async def document_by_path(db: AsyncSession, source_id: int, path: str) -> Document | None:
    """The document that a source has at `path`."""
    return await find(db, Document, Document.source_id == source_id, Document.path == path)


async def documents(db: AsyncSession, source_id: int) -> list[Document]:
    """The documents of a source, by path."""
    return list(await db.scalars(select(Document).where(Document.source_id == source_id).order_by(Document.path)))


async def documents_after(db: AsyncSession, source_id: int, path: str, limit: int) -> list[Document]:
    """The next documents of a source, by path."""
    query = select(Document).where(Document.source_id == source_id, Document.path > path)
    return list(await db.scalars(query.order_by(Document.path).limit(limit)))


async def put_document(
    db: AsyncSession,
    source: KnowledgeSource,
    path: str,
    url: str | None,
    title: str,
    content_hash: str,
    passages: Sequence[NewPassage],
    dated_at: datetime | None = None,
) -> Document:
    """Records a document as it is now: new passages replace the old ones."""
    values = {"url": url, "title": title, "content_hash": content_hash, "dated_at": dated_at, "indexed_at": now()}
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


async def remove_document(db: AsyncSession, source_id: int, path: str) -> None:
    """Forgets one document, where there is one."""
    document = await document_by_path(db, source_id, path)
    if document is not None:
        await _remove(db, [document.id])


async def remove_vanished(db: AsyncSession, source: KnowledgeSource) -> int:
    """As `remove_orphans`, with a brake: where more than half of the documents are gone, and more than ten, they are
    kept and counted, until `accept_removals`. A site that asks for a sign-in for an hour is not forgotten."""
    gone = len(await _orphans(db, source.id))
    total = (await db.execute(select(func.count()).where(Document.source_id == source.id))).scalar_one()
    # Whether somebody has said so is decided by the database: they may say it while the sync is running.
    if gone > _FEW and gone > total - gone and await set_kept_back(db, source.id, gone):
        return 0
    mine = update(KnowledgeSource).where(KnowledgeSource.id == source.id)
    await db.execute(mine.values(kept_back=0, accepts_removals=False))
    return await remove_orphans(db, source.id)


async def set_kept_back(db: AsyncSession, source_id: int, documents: int) -> bool:
    """Records how many documents a sync did not find and kept; False where somebody has said that they are gone."""
    mine = update(KnowledgeSource).where(KnowledgeSource.id == source_id, KnowledgeSource.accepts_removals.is_(False))
    return await change_one(db, mine.values(kept_back=documents), KnowledgeSource) is not None


async def accept_removals(db: AsyncSession, source_id: int, *, yes: bool = True) -> None:
    """Has the next sync forget what it does not find, however much that is; or no longer."""
    mine = update(KnowledgeSource).where(KnowledgeSource.id == source_id)
    await db.execute(mine.values(accepts_removals=yes))


async def remove_orphans(db: AsyncSession, source_id: int) -> int:
    """Forgets the documents of a source whose pages are gone, and returns how many they were."""
    gone = await _orphans(db, source_id)
    for first in range(0, len(gone), _BATCH):
        await _remove(db, gone[first : first + _BATCH])
    return len(gone)


async def _orphans(db: AsyncSession, source_id: int) -> list[int]:
    """Documents of a source whose pages are gone."""
    alive = select(KnowledgePage.path).where(KnowledgePage.source_id == source_id, KnowledgePage.is_gone.is_(False))
    return list(
        await db.scalars(select(Document.id).where(Document.source_id == source_id, Document.path.not_in(alive)))
    )


async def _remove(db: AsyncSession, document_ids: Sequence[int]) -> None:
    await db.execute(delete(PassageRow).where(PassageRow.document_id.in_(document_ids)))
    await db.execute(delete(Document).where(Document.id.in_(document_ids)))


async def list_pages(db: AsyncSession, source_id: int, listed: Mapping[str, str], *, is_complete: bool) -> int:
    """Makes the pages of a source what a listing says, by path with what each should be like. Returns how many it has.

    Only differences are written. Where the listing is complete, pages that it lacks are forgotten; their documents
    stay until `remove_orphans`.
    """
    rows = await db.execute(
        select(KnowledgePage.id, KnowledgePage.path, KnowledgePage.wanted).where(KnowledgePage.source_id == source_id)
    )
    known = {path: (number, wanted) for number, path, wanted in rows}
    for path, wanted in listed.items():
        if path in known and known[path][1] != wanted:
            row = update(KnowledgePage).where(KnowledgePage.id == known[path][0])
            await db.execute(row.values(wanted=wanted))
    new = [
        {"source_id": source_id, "path": path, "wanted": wanted} for path, wanted in listed.items() if path not in known
    ]
    for first in range(0, len(new), _BATCH):
        await insert_missing(db, KnowledgePage, new[first : first + _BATCH])
    gone = [number for path, (number, _) in known.items() if path not in listed] if is_complete else []
    await forget_pages(db, gone)
    return len(known) + len(new) - len(gone)


async def add_pages(db: AsyncSession, source_id: int, paths: Sequence[str]) -> None:
    """Adds those pages of a source that are new. A row that is there already costs no number."""
    known = set(
        await db.scalars(
            select(KnowledgePage.path).where(KnowledgePage.source_id == source_id, KnowledgePage.path.in_(paths))
        )
    )
    rows = [{"source_id": source_id, "path": path} for path in dict.fromkeys(paths) if path not in known]
    for first in range(0, len(rows), _BATCH):
        await insert_missing(db, KnowledgePage, rows[first : first + _BATCH])


async def forget_pages(db: AsyncSession, page_ids: Sequence[int]) -> None:
    """Forgets pages; their documents stay until `remove_orphans`."""
    for first in range(0, len(page_ids), _BATCH):
        await db.execute(delete(KnowledgePage).where(KnowledgePage.id.in_(page_ids[first : first + _BATCH])))


async def pages_after(db: AsyncSession, source_id: int, page_id: int, limit: int) -> list[KnowledgePage]:
    """The next pages of a source, in the order in which they were found."""
    mine = KnowledgePage.source_id == source_id
    query = select(KnowledgePage).where(mine, KnowledgePage.id > page_id).order_by(KnowledgePage.id).limit(limit)
    return list(await db.scalars(query))


async def links_of(db: AsyncSession, source_id: int) -> dict[str, tuple[int, list[str]]]:
    """All pages of a source by path, with their numbers and where they lead."""
    query = select(KnowledgePage.path, KnowledgePage.id, KnowledgePage.links).where(
        KnowledgePage.source_id == source_id
    )
    return {path: (number, links) for path, number, links in await db.execute(query)}


async def count_pages(db: AsyncSession, source_id: int) -> int:
    """How many pages of a source are known."""
    return (
        await db.execute(select(func.count()).select_from(KnowledgePage).where(KnowledgePage.source_id == source_id))
    ).scalar_one()


async def set_page(db: AsyncSession, page_id: int, **values: Any) -> None:
    """Records what was found at a page."""
    await db.execute(update(KnowledgePage).where(KnowledgePage.id == page_id).values(**values))


async def count_problems(db: AsyncSession, source_id: int) -> int:
    """How many pages of a source something is wrong with."""
    wrong = (KnowledgePage.source_id == source_id, KnowledgePage.problem.is_not(None))
    return (await db.execute(select(func.count()).select_from(KnowledgePage).where(*wrong))).scalar_one()


async def problems(db: AsyncSession, source_id: int, after: int = 0, limit: int = 100) -> list[KnowledgePage]:
    """Pages of a source that could not be indexed, or not as they should be."""
    query = select(KnowledgePage).where(
        KnowledgePage.source_id == source_id, KnowledgePage.problem.is_not(None), KnowledgePage.id > after
    )
    return list(await db.scalars(query.order_by(KnowledgePage.id).limit(limit)))


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
