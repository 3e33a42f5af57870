"""Connected workspaces, accounts and servers: who they are in plain text, what opens them sealed."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Installation
from store.rows import FRESH, find, insert
from store.sealing import Seal

Platform = Literal["slack", "zendesk", "discord"]


async def put(
    db: AsyncSession,
    seal: Seal,
    *,
    agent_id: int,
    platform: Platform,
    external_id: str,
    name: str,
    credentials: Mapping[str, Any],
) -> Installation:
    """Records an installation; connected again, the new credentials take the place of the old ones."""
    values = {"agent_id": agent_id, "name": name, "credentials": seal.close(dict(credentials))}
    new = insert(db, Installation).values(platform=platform, external_id=external_id, **values)
    statement = new.on_conflict_do_update(index_elements=["platform", "external_id"], set_=values)
    return (await db.scalars(statement.returning(Installation), execution_options=FRESH)).one()


async def renew(
    db: AsyncSession, seal: Seal, platform: Platform, external_id: str, before: bytes, credentials: Mapping[str, Any]
) -> Installation | None:
    """Puts new credentials in the place of those that are sealed as `before`; None where others are there by now, as
    after somebody connected it again."""
    mine = (Installation.platform == platform) & (Installation.external_id == external_id)
    changed = update(Installation).where(mine, Installation.credentials == before)
    statement = changed.values(credentials=seal.close(dict(credentials))).returning(Installation)
    return (await db.scalars(statement, execution_options=FRESH)).one_or_none()


async def get(db: AsyncSession, platform: Platform, external_id: str) -> Installation | None:
    """The installation of one workspace, account or server."""
    return await find(db, Installation, Installation.platform == platform, Installation.external_id == external_id)


async def of_platform(db: AsyncSession, platform: Platform) -> list[Installation]:
    """All installations of a platform, oldest first."""
    query = select(Installation).where(Installation.platform == platform).order_by(Installation.id)
    return list(await db.scalars(query))


async def every(db: AsyncSession) -> list[Installation]:
    """All installations, by platform, oldest first."""
    return list(await db.scalars(select(Installation).order_by(Installation.platform, Installation.id)))


async def remove(db: AsyncSession, platform: Platform, external_id: str) -> bool:
    """Forgets an installation; says whether there was one."""
    mine = (Installation.platform == platform) & (Installation.external_id == external_id)
    return bool((await db.scalars(delete(Installation).where(mine).returning(Installation.id))).all())
