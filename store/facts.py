"""Facts that people stated in conversations, and what became of them."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import LearnedFact
from store.rows import insert_new


async def propose(
    db: AsyncSession, *, agent_id: int, session_id: int, key: str, text: str, stated_by: str | None
) -> None:
    """Records a fact for somebody to approve; the same `key` again changes nothing."""
    await insert_new(db, LearnedFact, agent_id=agent_id, session_id=session_id, key=key, text=text, stated_by=stated_by)


async def of_session(db: AsyncSession, session_id: int) -> list[LearnedFact]:
    """The facts that a conversation brought, in the order in which they were learned."""
    query = select(LearnedFact).where(LearnedFact.session_id == session_id).order_by(LearnedFact.id)
    return list(await db.scalars(query))
