"""What people think of messages."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Feedback, now
from store.rows import FRESH, insert


async def record(
    db: AsyncSession,
    *,
    session_id: int,
    chat_id: int,
    is_helpful: bool,
    author_id: str = "",
    comment: str = "",
) -> Feedback:
    """Records an opinion; a person's later one on the same message replaces it."""
    values = {"is_helpful": is_helpful, "comment": comment, "at": now()}
    new = insert(db, Feedback).values(session_id=session_id, chat_id=chat_id, author_id=author_id, **values)
    statement = new.on_conflict_do_update(index_elements=["chat_id", "author_id"], set_=values).returning(Feedback)
    return (await db.scalars(statement, execution_options=FRESH)).one()


async def of_session(db: AsyncSession, session_id: int) -> list[Feedback]:
    """All opinions on a session's messages, oldest first."""
    query = select(Feedback).where(Feedback.session_id == session_id).order_by(Feedback.at, Feedback.id)
    return list(await db.scalars(query))
