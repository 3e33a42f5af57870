"""Sessions, the surfaces bound to them, and their log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy import update as update_rows
from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.surfaces import AnySurface, ChatSurface, surface_key
from store.models import Session, SessionLogRow, SurfaceBinding, now
from store.rows import FRESH, change_one, find, insert_missing, insert_new

_SURFACE: TypeAdapter[ChatSurface] = TypeAdapter(AnySurface)

_AT_ONCE = 500

# What each message needs is put together once: that takes longer than to execute it.
_BOUND_AS = (
    select(Session, SurfaceBinding.surface)
    .join(SurfaceBinding, SurfaceBinding.session_id == Session.id)
    .where(SurfaceBinding.surface_key == bindparam("key"))
)
_SURFACES = (
    select(SurfaceBinding.surface)
    .where(SurfaceBinding.session_id == bindparam("session"))
    .order_by(SurfaceBinding.created_at, SurfaceBinding.surface_key)
)
_TAKE_SEQS = (
    update_rows(Session)
    .where(Session.id == bindparam("session"))
    .values(last_seq=Session.last_seq + bindparam("count"), active_at=bindparam("time"))
    .returning(Session.last_seq)
)

LogLine = Mapping[str, str]
"""`level`, `text` and, where a handler is known, `handler`."""


async def create(db: AsyncSession, *, agent_id: int, published_name: str, surface: ChatSurface) -> Session:
    """The session of a surface that had none: a new one, or that of whoever was quicker."""
    key = surface_key(surface)
    session = Session(agent_id=agent_id, published_name=published_name, origin_key=key)
    db.add(session)
    await db.flush()
    binding = await bind(db, session.id, surface)
    if binding.session_id == session.id:
        return session
    await db.execute(delete(Session).where(Session.id == session.id))
    return await _owner(db, binding)


async def get(db: AsyncSession, session_id: int) -> Session | None:
    """The session of that number."""
    return await find(db, Session, Session.id == session_id)


async def bind(
    db: AsyncSession, session_id: int, surface: ChatSurface, channel_key: str | None = None
) -> SurfaceBinding:
    """Ties a surface to a session for good, and returns whose it is: the first session that asked keeps it.

    The session that has it may bind it again, to record what the surface says now. `channel_key` names the channel
    that a thread was opened in; the first thread of a session and channel keeps it.
    """
    key, content = surface_key(surface), surface.model_dump(mode="json")
    new = {"surface_key": key, "session_id": session_id, "surface": content}
    binding = await insert_new(db, SurfaceBinding, **new, channel_key=channel_key)
    if binding is not None:
        return binding
    taken = await refresh(db, session_id, surface) or await find(db, SurfaceBinding, SurfaceBinding.surface_key == key)
    if taken is not None:
        return taken
    # What is taken is the channel key, by an earlier thread.
    return await insert_new(db, SurfaceBinding, **new) or await bind(db, session_id, surface)


async def refresh(
    db: AsyncSession, session_id: int, surface: ChatSurface, before: Mapping[str, Any] | None = None
) -> SurfaceBinding | None:
    """Records what a surface that the session has says now; None where the session does not have it.

    Whoever knows what it said `before` gives that: where it says the same nothing is written, and the result is None.
    """
    mine = (SurfaceBinding.surface_key == surface_key(surface)) & (SurfaceBinding.session_id == session_id)
    content = surface.model_dump(mode="json")
    if content == before:
        return None
    return await change_one(db, update_rows(SurfaceBinding).where(mine).values(surface=content), SurfaceBinding)


async def bound_session(db: AsyncSession, surface_key: str) -> Session | None:
    """The session that a surface belongs to."""
    bound = select(SurfaceBinding.session_id).where(SurfaceBinding.surface_key == surface_key).scalar_subquery()
    return await find(db, Session, Session.id == bound)


async def bound_as(db: AsyncSession, surface_key: str) -> tuple[Session, dict[str, Any]] | None:
    """The session that a surface belongs to, and what the surface said last."""
    one = (await db.execute(_BOUND_AS, {"key": surface_key}, execution_options=FRESH)).one_or_none()
    return None if one is None else (one[0], one[1])


async def bound(db: AsyncSession, surface_keys: Sequence[str]) -> set[str]:
    """Those of the surfaces that belong to some session."""
    found: set[str] = set()
    for start in range(0, len(surface_keys), _AT_ONCE):
        some = surface_keys[start : start + _AT_ONCE]
        found.update(await db.scalars(select(SurfaceBinding.surface_key).where(SurfaceBinding.surface_key.in_(some))))
    return found


async def still_open(db: AsyncSession, prefix: str, limit: int) -> list[str]:
    """Keys with that beginning of surfaces whose sessions are not closed, the most active ones first."""
    query = (
        select(SurfaceBinding.surface_key)
        .join(Session, Session.id == SurfaceBinding.session_id)
        .where(SurfaceBinding.surface_key.startswith(prefix, autoescape=True), Session.phase != "closed")
        .order_by(Session.active_at.desc(), SurfaceBinding.surface_key)
        .limit(limit)
    )
    return list(await db.scalars(query))


async def surfaces_of(db: AsyncSession, session_id: int) -> list[ChatSurface]:
    """All surfaces of a session, the one it began on first."""
    return [_SURFACE.validate_python(surface) for surface in await db.scalars(_SURFACES, {"session": session_id})]


async def open_surfaces(db: AsyncSession, prefix: str) -> list[ChatSurface]:
    """The surfaces of sessions that are not closed whose keys begin with `prefix`."""
    query = (
        select(SurfaceBinding.surface)
        .join(Session, Session.id == SurfaceBinding.session_id)
        .where(SurfaceBinding.surface_key.startswith(prefix, autoescape=True), Session.phase != "closed")
    )
    return [_SURFACE.validate_python(surface) for surface in await db.scalars(query)]


async def thread_in_channel(db: AsyncSession, session_id: int, channel_key: str) -> ChatSurface | None:
    """The thread that this session opened in that channel."""
    query = select(SurfaceBinding.surface).where(
        SurfaceBinding.session_id == session_id, SurfaceBinding.channel_key == channel_key
    )
    surface = await db.scalar(query)
    return None if surface is None else _SURFACE.validate_python(surface)


async def update(
    db: AsyncSession,
    session_id: int,
    *,
    phase: str | None = None,
    handler: str | None = None,
    build_id: str | None = None,
) -> Session | None:
    """Records what a session does now. A closed one stays closed: a late report changes nothing."""
    at = now()
    given: dict[str, Any] = {"phase": phase, "handler": handler, "build_id": build_id}
    values = {name: value for name, value in given.items() if value is not None}
    if phase == "closed":
        values["closed_at"] = at
    still_open = (Session.id == session_id) & (Session.phase != "closed")
    changed = await change_one(db, update_rows(Session).where(still_open).values(**values, active_at=at), Session)
    return changed or await get(db, session_id)


async def next_seq(db: AsyncSession, session_id: int) -> int:
    """The next number of a session's postings.

    The row stays locked until the transaction ends, so numbers become visible in order: whoever has read up to one
    has missed none before it.
    """
    return await take_seqs(db, session_id, 1)


async def take_seqs(db: AsyncSession, session_id: int, count: int) -> int:
    """Takes `count` numbers in a row and returns the last of them."""
    values = {"session": session_id, "count": count, "time": now()}
    last = await db.scalar(_TAKE_SEQS, values, execution_options={"synchronize_session": False})
    if last is None:
        raise LookupError(f"There is no session {session_id}: it must be created before anything is posted in it.")
    return last


async def recent(
    db: AsyncSession,
    agent_id: int,
    *,
    phase: str | None = None,
    handler: str | None = None,
    published_name: str | None = None,
    limit: int = 50,
) -> list[Session]:
    """Sessions of an agent, the most recently active first."""
    query = select(Session).where(Session.agent_id == agent_id)
    for column, wanted in (
        (Session.phase, phase),
        (Session.handler, handler),
        (Session.published_name, published_name),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return list(await db.scalars(query.order_by(Session.active_at.desc(), Session.id.desc()).limit(limit)))


async def add_log(db: AsyncSession, session_id: int, key: str, lines: Sequence[LogLine]) -> None:
    """Adds lines to a session's log, once for each `key`."""
    await insert_missing(
        db,
        SessionLogRow,
        [
            {
                "session_id": session_id,
                "key": f"{key}:{number}",
                "level": line["level"],
                "handler": line.get("handler", ""),
                "text": line["text"],
            }
            for number, line in enumerate(lines)
        ],
    )


async def log_of(db: AsyncSession, session_id: int, limit: int = 500) -> list[SessionLogRow]:
    """The last lines of a session's log, in order."""
    query = select(SessionLogRow).where(SessionLogRow.session_id == session_id).order_by(SessionLogRow.id.desc())
    return list(await db.scalars(query.limit(limit)))[::-1]


async def _owner(db: AsyncSession, binding: SurfaceBinding) -> Session:
    session = await get(db, binding.session_id)
    if session is None:
        raise LookupError(f"{binding.surface_key} is bound to session {binding.session_id}, which does not exist.")
    return session


async def with_errors(
    db: AsyncSession, agent_id: int, since: datetime, limit: int = 20
) -> list[tuple[Session, int, str]]:
    """Sessions with errors in their log since then, with how many and the last one's text; the latest first."""
    last = func.max(SessionLogRow.id)
    counted = (
        select(SessionLogRow.session_id, func.count().label("errors"), last.label("last"))
        .join(Session, Session.id == SessionLogRow.session_id)
        .where(Session.agent_id == agent_id, SessionLogRow.level == "error", SessionLogRow.at >= since)
        .group_by(SessionLogRow.session_id)
        .order_by(last.desc())
        .limit(limit)
        .subquery()
    )
    query = (
        select(Session, counted.c.errors, SessionLogRow.text)
        .join(counted, counted.c.session_id == Session.id)
        .join(SessionLogRow, SessionLogRow.id == counted.c.last)
        .order_by(counted.c.last.desc())
    )
    return [(session, errors, text) for session, errors, text in await db.execute(query)]
