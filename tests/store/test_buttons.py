import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import buttons
from store.models import Session
from tests.store.samples import new_session

pytestmark = pytest.mark.store


@pytest.fixture
async def session(db: AsyncSession) -> Session:
    return await new_session(db)


async def _open(db: AsyncSession, session: Session, wait_id: int = 1, allowed: list[str] | None = None) -> None:
    await buttons.open_wait(
        db,
        session_id=session.id,
        wait_id=wait_id,
        chat_id=None,
        surface_key="slack:x",
        button_ids=["yes", "no"],
        allowed_users=allowed,
    )


async def test_the_first_click_wins(db: AsyncSession, session: Session) -> None:
    await _open(db, session)
    assert await buttons.click(db, session.id, 1, "yes", "U1") == "won"
    assert await buttons.click(db, session.id, 1, "no", "U2") == "already"
    assert await buttons.click(db, session.id, 1, "yes", "U1") == "already"
    wait = await buttons.get(db, session.id, 1)
    assert wait is not None
    assert (wait.state, wait.clicked_button, wait.clicked_by) == ("clicked", "yes", "U1")


async def test_only_the_allowed_may_click(db: AsyncSession, session: Session) -> None:
    await _open(db, session, allowed=["U1"])
    assert await buttons.click(db, session.id, 1, "yes", "U2") == "not_allowed"
    assert await buttons.click(db, session.id, 1, "yes", None) == "not_allowed"
    assert await buttons.click(db, session.id, 1, "yes", "U1") == "won"


async def test_where_nobody_is_allowed_nobody_wins(db: AsyncSession, session: Session) -> None:
    await _open(db, session, allowed=[])
    assert await buttons.click(db, session.id, 1, "yes", "U1") == "not_allowed"


async def test_buttons_that_are_not_ours_are_unknown(db: AsyncSession, session: Session) -> None:
    await _open(db, session)
    assert await buttons.click(db, session.id, 1, "maybe", "U1") == "unknown"
    assert await buttons.click(db, session.id, 2, "yes", "U1") == "unknown"
    assert await buttons.click(db, 99, 1, "yes", "U1") == "unknown"


async def test_a_click_after_the_end_is_late(db: AsyncSession, session: Session) -> None:
    await _open(db, session)
    assert [wait.state for wait in await buttons.end(db, session.id, [1], "expired")] == ["expired"]
    assert await buttons.click(db, session.id, 1, "yes", "U1") == "ended"


async def test_a_wait_ends_once(db: AsyncSession, session: Session) -> None:
    for wait_id in (1, 2, 3):
        await _open(db, session, wait_id)
    await buttons.click(db, session.id, 2, "yes", "U1")
    assert [wait.wait_id for wait in await buttons.end(db, session.id, [1, 2], "expired")] == [1]
    assert [wait.wait_id for wait in await buttons.end(db, session.id, None, "cancelled")] == [3]
    assert await buttons.end(db, session.id, None, "cancelled") == []
    states = [wait.state for wait in await buttons.of_session(db, session.id)]
    assert states == ["expired", "clicked", "cancelled"]


async def test_a_wait_that_a_retry_opens_again_stays_as_it_is(db: AsyncSession, session: Session) -> None:
    await _open(db, session)
    await buttons.click(db, session.id, 1, "yes", "U1")
    await _open(db, session)
    assert await buttons.click(db, session.id, 1, "no", "U2") == "already"
