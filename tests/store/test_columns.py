from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings, strategies
from sqlalchemy import select
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.asyncio import AsyncSession

from store.columns import Clean, Cut
from store.models import Lease

ANY_DATABASE = DefaultDialect()
ANY_TEXT = strategies.text(strategies.characters(), max_size=30) | strategies.text("a\0\ud83d\ude00é", max_size=8)


@pytest.mark.store
async def test_times_are_in_utc_whatever_zone_they_were_written_in(db: AsyncSession) -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    db.add(Lease(name="a", holder="b", until=noon))
    await db.flush()
    db.expire_all()
    until = (await db.scalars(select(Lease.until))).one()
    assert (until, until.utcoffset()) == (noon, timedelta(0))
    assert list(await db.scalars(select(Lease.name).where(Lease.until < noon + timedelta(seconds=1)))) == ["a"]
    assert list(await db.scalars(select(Lease.name).where(Lease.until < datetime(2026, 5, 1, 10, tzinfo=UTC)))) == []


@settings(deadline=None)
@given(ANY_TEXT)
def test_any_text_becomes_one_that_databases_take(text: str) -> None:
    clean = Clean().process_bind_param(text, ANY_DATABASE)
    assert clean is not None
    assert "\0" not in clean
    clean.encode()
    if "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text):
        assert clean == text


@settings(deadline=None)
@given(ANY_TEXT)
def test_a_cut_text_is_short_enough(text: str) -> None:
    cut = Cut(5).process_bind_param(text, ANY_DATABASE)
    assert cut is not None
    assert len(cut) <= 5


def test_no_text_stays_none() -> None:
    assert Clean().process_bind_param(None, ANY_DATABASE) is None
    assert Cut(5).process_bind_param(None, ANY_DATABASE) is None
