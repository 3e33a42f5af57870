"""How far a platform has been read."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import cursors

pytestmark = pytest.mark.store


async def test_a_cursor_moves_forward_and_never_back(db: AsyncSession) -> None:
    assert await cursors.position(db, "place:1") is None
    for position in ("0005", "0012", "0007"):
        await cursors.advance(db, "place:1", position)
    assert await cursors.position(db, "place:1") == "0012"


async def test_one_that_stays_where_it_is_says_when_it_was_last_looked_at(db: AsyncSession) -> None:
    await cursors.advance(db, "alive", "1")
    first = await cursors.moved_at(db, "alive")
    await cursors.advance(db, "alive", "1")
    second = await cursors.moved_at(db, "alive")
    assert first is not None
    assert second is not None
    assert second > first
    assert await cursors.moved_at(db, "never") is None


async def test_the_cursors_of_a_platform_are_found_by_the_beginning_of_their_names(db: AsyncSession) -> None:
    for name in ("a:1", "a:2", "a_:3", "b:1"):
        await cursors.advance(db, name, "1")
    assert await cursors.positions(db, "a:") == {"1": "1", "2": "1"}
