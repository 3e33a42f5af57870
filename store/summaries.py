"""What the beginnings of long conversations come to."""

from sqlalchemy.ext.asyncio import AsyncSession

from store.models import SummaryRow, now
from store.rows import find, insert


async def of(db: AsyncSession, session_id: int) -> SummaryRow | None:
    """The summary of a session, if it has grown long enough for one."""
    return await find(db, SummaryRow, SummaryRow.session_id == session_id)


async def extend(db: AsyncSession, session_id: int, until_chat_id: int, text: str) -> SummaryRow:
    """Puts a summary that reaches further in the place of the one before. One that does not is dropped."""
    new = insert(db, SummaryRow).values(session_id=session_id, until_chat_id=until_chat_id, text=text)
    further = {"until_chat_id": until_chat_id, "text": text, "at": now()}
    statement = new.on_conflict_do_update(
        index_elements=["session_id"], set_=further, where=SummaryRow.until_chat_id < until_chat_id
    )
    await db.execute(statement, execution_options={"synchronize_session": False})
    row = await of(db, session_id)
    assert row is not None
    return row
