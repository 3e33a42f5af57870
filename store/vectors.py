"""Vectors of passages: kept, counted, and on PostgreSQL with pgvector also searched.

A vector is bytes here; what they mean is the embedder's business. PostgreSQL gets the numbers as well, in a column that
`prepare` adds where the server has pgvector, because a migration must not depend on what a server has installed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from store.engine import Store
from store.models import Calibration, Document, EmbedderState, KnowledgeSource, PassageRow, PassageVector, now
from store.rows import find, insert

_THE_ONLY = 1
_LOCK = 0x72756E6C6C77
_BATCH = 500


class Lacking(BaseModel):
    """A passage that has no vector of an embedder yet."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    agent_id: int
    title: str
    heading_path: str
    text: str


class NewVector(BaseModel):
    """A vector for a passage as it was read; `numbers` is how PostgreSQL writes a vector."""

    model_config = ConfigDict(frozen=True)

    passage: Lacking
    vector: bytes
    numbers: str


class Kept(BaseModel):
    """A vector as it is kept, with the source that its passage came from."""

    model_config = ConfigDict(frozen=True)

    id: int
    passage_id: int
    source_id: int
    vector: bytes


class Stamp(BaseModel):
    """Changes whenever vectors are added or go."""

    model_config = ConfigDict(frozen=True)

    count: int
    last: int


async def lacking(
    db: AsyncSession, embedder: str, limit: int, *, source_id: int | None = None, after: int = 0
) -> list[Lacking]:
    """Passages without a vector, of all agents or of one source, from the passage `after` on."""
    has = select(PassageVector.id).where(PassageVector.passage_id == PassageRow.id, PassageVector.embedder == embedder)
    query = select(PassageRow).where(PassageRow.id > after, ~has.exists()).order_by(PassageRow.id).limit(limit)
    if source_id is not None:
        query = query.join(Document, Document.id == PassageRow.document_id).where(Document.source_id == source_id)
    return [Lacking.model_validate(row) for row in await db.scalars(query)]


async def put(db: AsyncSession, embedder: str, vectors: Sequence[NewVector], *, with_numbers: bool = False) -> None:
    """Keeps vectors. A passage that has gone or changed since it was read, or has one by now, gets none."""
    more = (", numbers", ", CAST(CAST(:numbers AS text) AS halfvec)") if with_numbers else ("", "")
    statement = text(f"""
        INSERT INTO passage_vectors (agent_id, passage_id, embedder, vector{more[0]})
        SELECT agent_id, id, CAST(:embedder AS varchar(60)), :vector{more[1]} FROM passages
        WHERE id = :id AND title = :title AND heading_path = :heading_path AND text = :text
        ON CONFLICT (passage_id, embedder) DO NOTHING
    """)
    for one in vectors:
        values = {**one.passage.model_dump(exclude={"agent_id"}), "embedder": embedder, "vector": one.vector}
        await db.execute(statement, {**values, "numbers": one.numbers} if with_numbers else values)


async def stamp(db: AsyncSession, agent_id: int, embedder: str) -> Stamp:
    """How many vectors an agent has, and the newest."""
    which = (PassageVector.agent_id == agent_id, PassageVector.embedder == embedder)
    count, last = (await db.execute(select(func.count(), func.max(PassageVector.id)).where(*which))).one()
    return Stamp(count=count, last=last or 0)


async def after(db: AsyncSession, agent_id: int, embedder: str, last: int, limit: int) -> list[Kept]:
    """An agent's vectors that are newer than `last`, oldest first."""
    query = (
        select(PassageVector.id, PassageVector.passage_id, Document.source_id, PassageVector.vector)
        .join(PassageRow, PassageRow.id == PassageVector.passage_id)
        .join(Document, Document.id == PassageRow.document_id)
        .where(PassageVector.agent_id == agent_id, PassageVector.embedder == embedder, PassageVector.id > last)
        .order_by(PassageVector.id)
        .limit(limit)
    )
    return [
        Kept.model_construct(id=number, passage_id=passage, source_id=source, vector=vector)
        for number, passage, source, vector in await db.execute(query)
    ]


async def numbers_of(db: AsyncSession, agent_id: int, embedder: str) -> list[int]:
    """The ids of all of an agent's vectors."""
    query = select(PassageVector.id).where(PassageVector.agent_id == agent_id, PassageVector.embedder == embedder)
    return list(await db.scalars(query))


async def of_passages(db: AsyncSession, embedder: str, passages: Collection[int]) -> dict[int, bytes]:
    """The vectors of some passages."""
    found: dict[int, bytes] = {}
    wanted = sorted(passages)
    for first in range(0, len(wanted), _BATCH):
        query = select(PassageVector.passage_id, PassageVector.vector).where(
            PassageVector.embedder == embedder, PassageVector.passage_id.in_(wanted[first : first + _BATCH])
        )
        found |= {passage: vector for passage, vector in await db.execute(query)}
    return found


async def internal_sources(db: AsyncSession, agent_id: int) -> list[int]:
    """The sources of an agent that are for colleagues only."""
    query = select(KnowledgeSource.id).where(KnowledgeSource.agent_id == agent_id, KnowledgeSource.is_internal)
    return list(await db.scalars(query))


async def covered(db: AsyncSession, embedder: str, source_id: int | None = None) -> tuple[int, int]:
    """How many passages there are, and how many of them have a vector."""
    passages = select(func.count()).select_from(PassageRow)
    vectors = select(func.count()).select_from(PassageVector).where(PassageVector.embedder == embedder)
    if source_id is not None:
        passages = passages.join(Document, Document.id == PassageRow.document_id).where(Document.source_id == source_id)
        vectors = (
            vectors.join(PassageRow, PassageRow.id == PassageVector.passage_id)
            .join(Document, Document.id == PassageRow.document_id)
            .where(Document.source_id == source_id)
        )
    return (await db.execute(passages)).scalar_one(), (await db.execute(vectors)).scalar_one()


async def forget_others(db: AsyncSession, embedder: str) -> None:
    """Removes the vectors of all other embedders."""
    await db.execute(delete(PassageVector).where(PassageVector.embedder != embedder))


async def record_embedder(db: AsyncSession, embedder: str, note: str) -> None:
    """Records how passages are found from now on."""
    values = {"embedder": embedder, "note": note, "at": now()}
    new = insert(db, EmbedderState).values(id=_THE_ONLY, **values)
    await db.execute(new.on_conflict_do_update(index_elements=["id"], set_=values))


class Embedding(BaseModel):
    """How passages are found: the embedder's name, or why there is none; and since when."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    embedder: str
    note: str
    at: datetime


async def recorded_embedder(db: AsyncSession) -> Embedding | None:
    """How passages are found, as the activity worker that started last has it; None before the first."""
    row = await find(db, EmbedderState, EmbedderState.id == _THE_ONLY)
    return Embedding.model_validate(row) if row else None


async def prepare(store: Store, embedder: str, width: int) -> bool:
    """Whether the database itself can search vectors; makes what that needs where the server has pgvector.

    The column and the index are made once, on PostgreSQL only. Where this user may not make the extension, somebody who
    may can: `CREATE EXTENSION vector`. The next start finds it.
    """
    if store.is_sqlite:
        return False
    try:
        async with store.begin() as db:
            await db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await db.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            await db.execute(text("ALTER TABLE passage_vectors ADD COLUMN IF NOT EXISTS numbers halfvec"))
            index = f"ix_passage_vectors_hnsw_{embedder}_{width}".replace("-", "_")
            await db.execute(
                text(f"""
                CREATE INDEX IF NOT EXISTS {index} ON passage_vectors
                USING hnsw ((numbers::halfvec({int(width)})) halfvec_ip_ops) WITH (m = 16, ef_construction = 64)
                WHERE embedder = '{embedder}' AND numbers IS NOT NULL
            """)
            )
    except DBAPIError:
        return False
    return True


# The index gives vectors in their order. The planner, once it has statistics, takes few of them to be visible and would
# compute and sort all: two seconds over 100,000. Without sorts and hashes it takes from the index one after the other.
_BY_THE_INDEX = text("""
    SELECT set_config('hnsw.ef_search', '150', true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
        set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true)
""")


async def nearest(
    db: AsyncSession, agent_id: int, embedder: str, numbers: str, width: int, limit: int, *, internal: bool
) -> list[int]:
    """The passages whose vectors are nearest, by pgvector's index: approximately, the nearest first."""
    await db.execute(_BY_THE_INDEX)
    hidden = (
        ""
        if internal or not await internal_sources(db, agent_id)
        else """
        AND NOT EXISTS (SELECT 1 FROM passages p JOIN documents d ON d.id = p.document_id
                        JOIN knowledge_sources s ON s.id = d.source_id WHERE p.id = passage_id AND s.is_internal)"""
    )
    query = text(f"""
        SELECT passage_id FROM passage_vectors
        WHERE embedder = '{embedder}' AND numbers IS NOT NULL AND agent_id = :agent {hidden}
        ORDER BY numbers::halfvec({int(width)}) <#> CAST(CAST(:numbers AS text) AS halfvec) LIMIT :limit
    """)
    return list(await db.scalars(query, {"agent": agent_id, "numbers": numbers, "limit": limit}))


async def calibration(db: AsyncSession, agent_id: int, embedder: str) -> dict[str, Any] | None:
    """What was fitted to an agent's knowledge base with that embedder."""
    row = await find(db, Calibration, Calibration.agent_id == agent_id, Calibration.embedder == embedder)
    return row.fitted if row else None


async def keep_calibration(
    db: AsyncSession, agent_id: int, embedder: str, fitted: dict[str, Any], figures: dict[str, Any]
) -> None:
    """Keeps what was fitted; it counts from the next question on."""
    values = {"fitted": fitted, "figures": figures, "created_at": now()}
    new = insert(db, Calibration).values(agent_id=agent_id, embedder=embedder, **values)
    await db.execute(new.on_conflict_do_update(index_elements=["agent_id", "embedder"], set_=values))


async def forget_calibration(db: AsyncSession, agent_id: int) -> bool:
    """Back to the defaults; False where there was nothing to forget."""
    gone = await db.execute(delete(Calibration).where(Calibration.agent_id == agent_id).returning(Calibration.agent_id))
    return gone.first() is not None
