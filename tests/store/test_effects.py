from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import effects, messages
from store.models import Session
from tests.store.samples import new_message, new_session

pytestmark = pytest.mark.store


@pytest.fixture
async def session(db: AsyncSession) -> Session:
    return await new_session(db)


async def test_every_attempt_is_counted(db: AsyncSession, session: Session) -> None:
    first, may_have_happened = await effects.start(db, "1:1", session.id, "surfaces.post_message", "slack:x")
    assert (first.attempts, first.state, first.surface_key, may_have_happened) == (1, "started", "slack:x", False)
    second, may_have_happened = await effects.start(db, "1:1", session.id, "surfaces.post_message", "slack:x")
    assert (second.attempts, second.state, may_have_happened) == (2, "started", True)


async def test_a_finished_effect_gives_its_result_to_a_retry(db: AsyncSession, session: Session) -> None:
    await effects.start(db, "1:1", session.id, "surfaces.post_message")
    await effects.finish(db, "1:1", remote_id="17.5", result={"remote_id": "17.5"})
    again, may_have_happened = await effects.start(db, "1:1", session.id, "surfaces.post_message")
    assert not may_have_happened
    assert (again.state, again.attempts, again.result) == ("done", 2, {"remote_id": "17.5"})


async def test_the_first_result_stays(db: AsyncSession, session: Session) -> None:
    await effects.start(db, "1:1", session.id, "op")
    await effects.finish(db, "1:1", result={"number": 1})
    late = await effects.finish(db, "1:1", result={"number": 2})
    assert late is not None
    assert late.result == {"number": 1}
    failed = await effects.fail(db, "1:1", "lost the race")
    assert failed is not None
    assert (failed.state, failed.error) == ("done", None)


async def test_a_failed_effect_may_be_tried_again(db: AsyncSession, session: Session) -> None:
    await effects.start(db, "1:1", session.id, "op")
    failed = await effects.fail(db, "1:1", "429")
    assert failed is not None
    assert (failed.state, failed.error) == ("failed", "429")
    again, may_have_happened = await effects.start(db, "1:1", session.id, "op")
    assert (again.state, again.attempts, may_have_happened) == ("started", 2, False)


async def test_finishing_what_was_never_started_says_so(db: AsyncSession) -> None:
    assert await effects.finish(db, "9:9") is None


async def test_our_own_posts_are_known_by_where_they_are(db: AsyncSession, session: Session) -> None:
    await effects.start(db, "1:1", session.id, "op", "slack:x")
    assert not await effects.is_ours(db, "slack:x", "17.5")
    await effects.finish(db, "1:1", remote_id="17.5")
    assert await effects.is_ours(db, "slack:x", "17.5")
    assert not await effects.is_ours(db, "slack:y", "17.5")


async def test_of_postings_only_those_that_an_effect_made_are_ours(db: AsyncSession, session: Session) -> None:
    message = await new_message(db, session)
    common: dict[str, Any] = {"session_id": session.id, "chat_id": message.id, "surface_key": "slack:x"}
    await messages.post(db, **common, remote_id="theirs")
    await messages.post(db, **common, remote_id="ours", effect_key="1:2")
    assert await effects.is_ours(db, "slack:x", "ours")
    assert not await effects.is_ours(db, "slack:x", "theirs")


async def test_results_of_one_kind_come_in_order(db: AsyncSession, session: Session) -> None:
    for number, operation in enumerate(["categorize", "tag", "categorize", "categorize"]):
        await effects.start(db, f"1:{number}", session.id, operation)
        if number != 3:
            await effects.finish(db, f"1:{number}", result={"number": number})
    assert await effects.results_of(db, session.id, "categorize") == [{"number": 0}, {"number": 2}]
