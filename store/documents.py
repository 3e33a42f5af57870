"""Whole documents of the knowledge base, as their passages."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import PassageRow


async def passages_of(db: AsyncSession, agent_id: int, document_id: int) -> Sequence[PassageRow]:
    """The passages of one of the agent's documents, in order; none where it has no such document."""
    query = (
        select(PassageRow)
        .where(PassageRow.agent_id == agent_id, PassageRow.document_id == document_id)
        .order_by(PassageRow.position)
    )
    return (await db.scalars(query)).all()
