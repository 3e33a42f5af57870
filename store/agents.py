"""Agents, and the keys of the control API."""

import hashlib
import secrets

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store.models import Agent, ApiKey, now
from store.rows import change_one, find, insert_new


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


async def ensure_agent(db: AsyncSession, name: str = "default") -> Agent:
    """The agent of that name, made where there is none."""
    agent = await find(db, Agent, Agent.name == name) or await insert_new(db, Agent, name=name)
    return agent or await _agent_made_meanwhile(db, name)


async def _agent_made_meanwhile(db: AsyncSession, name: str) -> Agent:
    agent = await find(db, Agent, Agent.name == name)
    if agent is None:
        raise RuntimeError(f"The agent {name!r} was deleted while it was being made; try again.")
    return agent


async def create_key(db: AsyncSession, agent_id: int, name: str, key: str | None = None) -> str:
    """Makes a key of the control API, or records the given one, and returns it: it cannot be read again."""
    key = key or f"rlm_{secrets.token_urlsafe(32)}"
    await insert_new(db, ApiKey, agent_id=agent_id, name=name, key_hash=_digest(key))
    return key


async def find_key(db: AsyncSession, key: str) -> ApiKey | None:
    """The row of a key that is valid now."""
    return await find(db, ApiKey, ApiKey.key_hash == _digest(key), ApiKey.revoked_at.is_(None))


async def every_agent(db: AsyncSession) -> list[Agent]:
    """All agents, the oldest first."""
    return list(await db.scalars(select(Agent).order_by(Agent.id)))


async def is_key_valid(db: AsyncSession, key_id: int) -> bool:
    """Whether the key in that row may still be used."""
    return await find(db, ApiKey, ApiKey.id == key_id, ApiKey.revoked_at.is_(None)) is not None


async def keys_of(db: AsyncSession, agent_id: int) -> list[ApiKey]:
    """The keys of an agent, revoked ones too, the oldest first."""
    return list(await db.scalars(select(ApiKey).where(ApiKey.agent_id == agent_id).order_by(ApiKey.id)))


async def revoke_key(db: AsyncSession, agent_id: int, key_id: int) -> ApiKey | None:
    """Makes a key of an agent useless, and returns its row; None where the agent has no such key."""
    mine = (ApiKey.id == key_id) & (ApiKey.agent_id == agent_id)
    await change_one(db, update(ApiKey).where(mine, ApiKey.revoked_at.is_(None)).values(revoked_at=now()), ApiKey)
    return await find(db, ApiKey, mine)
