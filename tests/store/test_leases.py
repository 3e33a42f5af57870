from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from store import leases
from store.models import Lease, now

pytestmark = pytest.mark.store


async def test_a_lease_has_one_holder_who_may_keep_it(db: AsyncSession) -> None:
    assert await leases.acquire(db, "discord", "one", 30)
    assert not await leases.acquire(db, "discord", "two", 30)
    assert await leases.acquire(db, "discord", "one", 30)
    assert await leases.acquire(db, "sweeper", "two", 30)


async def test_who_has_a_lease_can_be_asked(db: AsyncSession) -> None:
    assert await leases.holder(db, "discord") is None
    await leases.acquire(db, "discord", "one", 30)
    assert await leases.holder(db, "discord") == "one"
    await db.execute(update(Lease).values(until=now() - timedelta(seconds=1)))
    assert await leases.holder(db, "discord") is None


async def test_a_lease_that_ran_out_goes_to_the_next(db: AsyncSession) -> None:
    await leases.acquire(db, "discord", "one", 30)
    await db.execute(update(Lease).values(until=now() - timedelta(seconds=1)))
    assert await leases.acquire(db, "discord", "two", 30)
    assert not await leases.acquire(db, "discord", "one", 30)


async def test_a_lease_that_is_given_back_is_free(db: AsyncSession) -> None:
    await leases.acquire(db, "discord", "one", 30)
    await leases.release(db, "discord", "two")
    assert not await leases.acquire(db, "discord", "two", 30)
    await leases.release(db, "discord", "one")
    assert await leases.acquire(db, "discord", "two", 30)
