import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import agents
from store.models import ApiKey, now

pytestmark = pytest.mark.store


async def test_the_same_name_is_the_same_agent(db: AsyncSession) -> None:
    default = await agents.ensure_agent(db)
    assert default.name == "default"
    assert (await agents.ensure_agent(db)).id == default.id
    assert (await agents.ensure_agent(db, "other")).id != default.id


async def test_a_key_is_found_and_only_its_digest_is_kept(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    key = await agents.create_key(db, agent.id, "laptop")
    found = await agents.find_key(db, key)
    assert found is not None
    assert (found.agent_id, found.name) == (agent.id, "laptop")
    assert key not in str(vars(found))
    assert key != await agents.create_key(db, agent.id, "laptop")


async def test_a_given_key_may_be_recorded_at_every_start(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    for _ in range(2):
        assert await agents.create_key(db, agent.id, "dev", key="dev-key") == "dev-key"
    assert await agents.find_key(db, "dev-key") is not None


@pytest.mark.parametrize("key", ["", "wrong", "\ud800", "a\0b", "x" * 100_000])
async def test_an_unknown_key_is_found_nowhere(db: AsyncSession, key: str) -> None:
    assert await agents.find_key(db, key) is None


async def test_a_revoked_key_is_no_key(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    key = await agents.create_key(db, agent.id, "old")
    row = await agents.find_key(db, key)
    assert isinstance(row, ApiKey)
    row.revoked_at = now()
    assert await agents.find_key(db, key) is None
