import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import tags
from tests.store.samples import new_session

pytestmark = pytest.mark.store


async def test_only_new_tags_are_returned(db: AsyncSession) -> None:
    session = await new_session(db)
    assert await tags.apply(db, session.id, ["billing", "urgent", "billing"], "model") == ["billing", "urgent"]
    assert await tags.apply(db, session.id, ["urgent", "vip"], "workflow") == ["vip"]
    assert await tags.of(db, session.id) == ["billing", "urgent", "vip"]


async def test_a_pinned_group_keeps_one_tag(db: AsyncSession) -> None:
    session = await new_session(db)
    await tags.apply(db, session.id, ["other"], "model")
    assert await tags.apply(db, session.id, ["billing"], "pinned", pinned_group="g") == ["billing"]
    assert await tags.apply(db, session.id, ["account"], "pinned", pinned_group="g") == ["account"]
    assert await tags.apply(db, session.id, ["account"], "pinned", pinned_group="g") == []
    assert await tags.apply(db, session.id, ["bug"], "pinned", pinned_group="h") == ["bug"]
    assert await tags.of(db, session.id) == ["other", "account", "bug"]


async def test_a_tag_that_is_there_already_can_join_a_group(db: AsyncSession) -> None:
    session = await new_session(db)
    await tags.apply(db, session.id, ["billing"], "model")
    assert await tags.apply(db, session.id, ["billing"], "pinned", pinned_group="g") == []
    await tags.apply(db, session.id, ["account"], "pinned", pinned_group="g")
    assert await tags.of(db, session.id) == ["account"]


async def test_tags_can_be_taken_off(db: AsyncSession) -> None:
    one, other = await new_session(db, "a"), await new_session(db, "b")
    for session in (one, other):
        await tags.apply(db, session.id, ["billing", "urgent"], "person")
    assert await tags.remove(db, one.id, ["urgent", "unknown"]) == ["urgent"]
    assert await tags.of(db, one.id) == ["billing"]
    assert await tags.of(db, other.id) == ["billing", "urgent"]


async def test_a_tag_that_is_too_long_is_cut_and_stays_one_tag(db: AsyncSession) -> None:
    session = await new_session(db)
    assert await tags.apply(db, session.id, ["x" * 300], "model") == ["x" * 200]
    assert await tags.apply(db, session.id, ["x" * 300], "model") == []
