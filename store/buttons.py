"""Buttons that parked handlers wait for."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import ButtonWaitRow, now
from store.rows import change, change_one, find, insert_new

Click = Literal["won", "already", "ended", "not_allowed", "unknown"]
"""What a click did: ended the wait; came after another one; came after time was up or the session had ended; was not
this person's to make; belongs to no button of ours."""

EndOfWait = Literal["expired", "cancelled"]


async def open_wait(
    db: AsyncSession,
    *,
    session_id: int,
    wait_id: int,
    chat_id: int | None,
    surface_key: str,
    button_ids: Sequence[str],
    allowed_users: Sequence[str] | None,
) -> ButtonWaitRow:
    """Opens a wait before its buttons are shown; opened again by a retry, it stays as it is."""
    wait = await insert_new(
        db,
        ButtonWaitRow,
        session_id=session_id,
        wait_id=wait_id,
        chat_id=chat_id,
        surface_key=surface_key,
        button_ids=list(button_ids),
        allowed_users=None if allowed_users is None else list(allowed_users),
    ) or await get(db, session_id, wait_id)
    if wait is None:
        raise LookupError(f"The wait {wait_id} of session {session_id} could neither be opened nor found.")
    return wait


async def get(db: AsyncSession, session_id: int, wait_id: int) -> ButtonWaitRow | None:
    """The wait of that number."""
    return await find(db, ButtonWaitRow, _is(session_id, wait_id))


async def on_surface(db: AsyncSession, surface_key: str, wait_id: int) -> ButtonWaitRow | None:
    """The wait of that number whose buttons are on a surface, whichever session asks there; the newest of several."""
    query = select(ButtonWaitRow).where(ButtonWaitRow.surface_key == surface_key, ButtonWaitRow.wait_id == wait_id)
    return (await db.scalars(query.order_by(ButtonWaitRow.created_at.desc()).limit(1))).first()


async def of_session(db: AsyncSession, session_id: int) -> list[ButtonWaitRow]:
    """All waits of a session, open and ended."""
    query = select(ButtonWaitRow).where(ButtonWaitRow.session_id == session_id).order_by(ButtonWaitRow.wait_id)
    return list(await db.scalars(query))


async def click(
    db: AsyncSession, session_id: int, wait_id: int, button_id: str, user: str | None, name: str | None = None
) -> Click:
    """Takes a click of `user`, whom people call `name`. Of several at once, one wins."""
    wait = await get(db, session_id, wait_id)
    if wait is None or button_id not in wait.button_ids:
        return "unknown"
    if wait.state == "open":
        if not _is_allowed(wait, user):
            return "not_allowed"
        who = {"clicked_by": user, "clicked_by_name": name}
        values = {"state": "clicked", "clicked_button": button_id, **who, "ended_at": now()}
        still_open = _is(session_id, wait_id) & (ButtonWaitRow.state == "open")
        if await change_one(db, update(ButtonWaitRow).where(still_open).values(**values), ButtonWaitRow):
            return "won"
        wait = await get(db, session_id, wait_id)
    return "already" if wait is not None and wait.state == "clicked" else "ended"


async def end(
    db: AsyncSession, session_id: int, wait_ids: Sequence[int] | None, state: EndOfWait
) -> list[ButtonWaitRow]:
    """Ends waits (all of the session's where `wait_ids` is None) and returns those that were open until now."""
    mine = (ButtonWaitRow.session_id == session_id) & (ButtonWaitRow.state == "open")
    if wait_ids is not None:
        mine &= ButtonWaitRow.wait_id.in_(wait_ids)
    ended = await change(db, update(ButtonWaitRow).where(mine).values(state=state, ended_at=now()), ButtonWaitRow)
    return sorted(ended, key=lambda wait: wait.wait_id)


def _is_allowed(wait: ButtonWaitRow, user: str | None) -> bool:
    """Whether somebody may choose. Slack's people may be named with their workspace, `T1:U1`, or without."""
    if wait.allowed_users is None:
        return True
    return user is not None and not {user, user.rpartition(":")[2]}.isdisjoint(wait.allowed_users)


def _is(session_id: int, wait_id: int) -> ColumnElement[bool]:
    return (ButtonWaitRow.session_id == session_id) & (ButtonWaitRow.wait_id == wait_id)
