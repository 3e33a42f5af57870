"""Changes of messages that came before their messages: kept for a while, for platforms promise no order."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import EarlyChange, now
from store.rows import FRESH

KEPT = timedelta(hours=2)
"""How long a change waits for its message. Slack delivers nothing that is older, unless it is asked to."""


async def keep(
    db: AsyncSession, *, inbox_id: int, surface_key: str, remote_id: str, kind: str, text: str, made_at: datetime | None
) -> None:
    """Keeps a change for when its message comes."""
    db.add(
        EarlyChange(
            inbox_id=inbox_id, surface_key=surface_key, remote_id=remote_id, kind=kind, text=text, made_at=made_at
        )
    )
    await db.flush()


async def forget(db: AsyncSession) -> None:
    """Forgets changes whose message did not come: nothing that people wrote is kept for no reason."""
    await db.execute(delete(EarlyChange).where(EarlyChange.kept_at < now() - KEPT))


async def take(db: AsyncSession, surface_key: str, remote_id: str) -> Sequence[EarlyChange]:
    """What was kept for a message that has come now, the latest change last. It is kept no longer."""
    query = select(EarlyChange).where(EarlyChange.surface_key == surface_key, EarlyChange.remote_id == remote_id)
    found = (await db.scalars(query.order_by(EarlyChange.inbox_id), execution_options=FRESH)).all()
    if not found:
        return ()
    await db.execute(delete(EarlyChange).where(EarlyChange.inbox_id.in_([one.inbox_id for one in found])))
    waited = [one for one in found if one.kept_at >= now() - KEPT]
    return sorted(waited, key=lambda one: (one.kind == "delete", one.made_at or one.kept_at, one.inbox_id))
