"""Connected platforms: found by platform and id, and unreadable without the secret."""

import pytest

from store import agents, installations
from store.engine import Store, StoreError
from store.sealing import Seal

pytestmark = pytest.mark.store

SEAL = Seal("a secret")


async def _connect(store: Store, token: str, team: str = "T1") -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db, SEAL, agent_id=agent.id, platform="slack", external_id=team, name="Acme", credentials={"token": token}
        )


async def test_connecting_again_replaces_the_credentials(store: Store) -> None:
    await _connect(store, "one")
    await _connect(store, "two")
    async with store.read() as db:
        rows = await installations.of_platform(db, "slack")
    assert [(row.name, SEAL.open(row.credentials)) for row in rows] == [("Acme", {"token": "two"})]


async def test_the_record_does_not_show_a_token(store: Store) -> None:
    await _connect(store, "xoxb-visible")
    async with store.read() as db:
        row = await installations.get(db, "slack", "T1")
    assert row is not None
    assert b"xoxb-visible" not in row.credentials


async def test_another_secret_opens_nothing_and_says_what_to_do(store: Store) -> None:
    await _connect(store, "one")
    async with store.read() as db:
        row = await installations.get(db, "slack", "T1")
    assert row is not None
    with pytest.raises(StoreError, match=r"another RUNLLM_SECRET.*runllm connect"):
        Seal("another").open(row.credentials)


async def test_a_removed_installation_is_gone(store: Store) -> None:
    await _connect(store, "one")
    async with store.begin() as db:
        assert await installations.remove(db, "slack", "T1")
        assert not await installations.remove(db, "slack", "T1")
        assert await installations.get(db, "slack", "T1") is None


async def test_renewed_credentials_take_the_place_of_those_they_came_from_and_of_no_others(store: Store) -> None:
    await _connect(store, "one")
    async with store.read() as db:
        row = await installations.get(db, "slack", "T1")
    assert row is not None
    async with store.begin() as db:
        renewed = await installations.renew(db, SEAL, "slack", "T1", row.credentials, {"token": "two"})
    assert renewed is not None
    assert SEAL.open(renewed.credentials) == {"token": "two"}
    await _connect(store, "by hand")
    async with store.begin() as db:
        assert await installations.renew(db, SEAL, "slack", "T1", renewed.credentials, {"token": "three"}) is None
        row = await installations.get(db, "slack", "T1")
    assert row is not None
    assert SEAL.open(row.credentials) == {"token": "by hand"}
