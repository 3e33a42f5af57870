"""Who changed what through the control API or the console."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Audit


async def record(
    db: AsyncSession, *, actor: str, action: str, subject: str, detail: dict[str, Any] | None = None
) -> Audit:
    """Writes one line of the audit trail."""
    line = Audit(actor=actor, action=action, subject=subject, detail=detail or {})
    db.add(line)
    await db.flush()
    return line


async def recent(db: AsyncSession, limit: int = 100) -> list[Audit]:
    """The last lines of the audit trail, newest first."""
    return list(await db.scalars(select(Audit).order_by(Audit.id.desc()).limit(limit)))
