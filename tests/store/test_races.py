"""What happens when several do the same thing at once, in one process and in several."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from runllm.bridge.listeners import WidgetListener
from store import agents, buttons, effects, inbox, leases, messages, published, sessions
from store.engine import Store
from store.models import InboxRow, Message, Posting, Session
from tests.store.rivals import Rival
from tests.store.samples import bundle, new_message, new_session, widget

pytestmark = pytest.mark.store


@pytest.fixture
async def session(store: Store) -> Session:
    async with store.begin() as db:
        return await new_session(db)


def _url(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


async def test_fifty_writers_of_a_session_get_fifty_numbers_in_order(store: Store, session: Session) -> None:
    async def post(number: int) -> int:
        async with store.begin() as db:
            message = await new_message(db, session, str(number))
            posting = await messages.post(
                db, session_id=session.id, chat_id=message.id, surface_key="widget:a", remote_id=str(number)
            )
            return posting.seq

    async def follow() -> list[int]:
        """Reads like a stream does: it must never see a number and miss one before it."""
        seen: list[int] = []
        while len(seen) < 50:
            async with store.read() as db:
                seen += [posting.seq for posting, _ in await messages.feed(db, "widget:a", seen[-1] if seen else 0)]
        return seen

    following = asyncio.create_task(follow())
    taken = await asyncio.gather(*(post(number) for number in range(50)))
    assert sorted(taken) == list(range(1, 51))
    assert await following == list(range(1, 51))


async def test_of_twenty_clicks_one_wins(store: Store, session: Session) -> None:
    async with store.begin() as db:
        await buttons.open_wait(
            db,
            session_id=session.id,
            wait_id=1,
            chat_id=None,
            surface_key="s",
            button_ids=["yes"],
            allowed_users=None,
        )

    async def click(user: int) -> str:
        async with store.begin() as db:
            return await buttons.click(db, session.id, 1, "yes", f"U{user}")

    assert Counter(await asyncio.gather(*(click(user) for user in range(20)))) == {"won": 1, "already": 19}


async def test_a_click_and_the_end_of_time_do_not_both_win(store: Store, session: Session) -> None:
    async def click(wait_id: int) -> bool:
        async with store.begin() as db:
            return await buttons.click(db, session.id, wait_id, "yes", "U1") == "won"

    async def end(wait_id: int) -> bool:
        async with store.begin() as db:
            return bool(await buttons.end(db, session.id, [wait_id], "expired"))

    for wait_id in range(10):
        async with store.begin() as db:
            await buttons.open_wait(
                db,
                session_id=session.id,
                wait_id=wait_id,
                chat_id=None,
                surface_key="s",
                button_ids=["yes"],
                allowed_users=None,
            )
        assert sorted(await asyncio.gather(click(wait_id), end(wait_id))) == [False, True]


async def test_first_messages_of_a_thread_that_come_at_once_make_one_session(store: Store) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)

    async def arrive() -> int:
        async with store.begin() as db:
            found = await sessions.bound_session(db, "widget:a")
            found = found or await sessions.create(db, agent_id=agent.id, published_name="support", surface=widget("a"))
            return found.id

    found = await asyncio.gather(*(arrive() for _ in range(20)))
    assert len(set(found)) == 1
    async with store.read() as db:
        assert await db.scalar(select(func.count()).select_from(Session)) == 1


async def test_a_message_that_two_retries_write_at_once_is_one(store: Store, session: Session) -> None:
    async def write() -> tuple[int, int, int]:
        async with store.begin() as db:
            effect, _ = await effects.start(db, "1:1", session.id, "surfaces.post_message")
            message = await messages.add(db, session_id=session.id, author="assistant", text="so", key="1:1")
            posting = await messages.post(
                db,
                session_id=session.id,
                chat_id=message.id,
                surface_key="widget:a",
                remote_id="1:1",
                effect_key="1:1",
            )
            return effect.attempts, message.id, posting.id

    results = await asyncio.gather(*(write() for _ in range(10)))
    assert sorted(attempts for attempts, _, _ in results) == list(range(1, 11))
    assert len({(message, posting) for _, message, posting in results}) == 1


async def test_sweepers_share_what_is_due(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GRACE", timedelta(0))
    async with store.begin() as db:
        for number in range(30):
            await inbox.add(
                db,
                dedupe_key=str(number),
                kind="message",
                session_id=None,
                chat_id=None,
                surface_key="",
                envelope={},
            )
    monkeypatch.setattr(inbox, "GRACE", timedelta(hours=1))

    async def sweep() -> list[int]:
        async with store.begin() as db:
            return [row.id for row in await inbox.due(db, 10)]

    found = [row_id for rows in await asyncio.gather(*(sweep() for _ in range(6))) for row_id in rows]
    assert len(found) == len(set(found)) == 30


async def test_a_lease_goes_to_one(store: Store) -> None:
    async def acquire(holder: int) -> bool:
        async with store.begin() as db:
            return await leases.acquire(db, "discord", str(holder), 30)

    assert sum(await asyncio.gather(*(acquire(holder) for holder in range(10)))) == 1


async def test_of_two_workflows_that_claim_a_listener_at_once_one_is_uploaded(store: Store) -> None:
    listener = WidgetListener(domain="example.com")

    async def publish(name: str) -> str | None:
        async with store.begin() as db:
            agent = await agents.ensure_agent(db)
            taken = await published.overlap(db, name, [listener])
            if taken is None:
                await published.upload(db, agent.id, bundle(name, listeners=[listener]), "v1")
            return taken and taken[0]

    refused = [other for other in await asyncio.gather(*(publish(name) for name in "abcde")) if other]
    assert len(refused) == 4
    assert len(set(refused)) == 1


async def test_publishing_while_a_version_advances_locks_nobody_out(store: Store) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        first, _ = await published.upload(db, agent.id, bundle(), "v0")

    async def advance() -> None:
        for status in ("validated", "replayed", "loaded", "current"):
            async with store.begin() as db:
                try:
                    await published.set_status(db, first.id, status)
                    await published.set_step(db, first.id, "uploaded", "done")
                    if status == "loaded":
                        await published.make_current(db, first.id)
                except published.IllegalMoveError:
                    return

    async def publish(number: int) -> None:
        async with store.begin() as db:
            await published.upload(db, agent.id, bundle(source=str(number)), f"v{number}")

    await asyncio.gather(advance(), *(publish(number) for number in range(1, 9)))
    async with store.read() as db:
        versions = await published.versions_of(db, "support")
    assert sum(version.wanted for version in versions) == 1
    assert Counter(version.status for version in versions)["uploaded"] == 1


async def test_two_processes_that_take_in_the_same_event_record_it_once(store: Store) -> None:
    rivals = [await Rival.start("take_in", _url(store), "slack:T1:C1:1.1") for _ in range(2)]
    assert sorted(await asyncio.gather(*(rival.go() for rival in rivals))) == ["seen before", "taken"]
    async with store.read() as db:
        assert await db.scalar(select(func.count()).select_from(InboxRow)) == 1


async def test_processes_that_write_at_once_lose_no_number(store: Store, session: Session) -> None:
    rivals = [await Rival.start("post_many", _url(store), str(session.id), "40") for _ in range(2)]
    await asyncio.gather(*(rival.go() for rival in rivals))
    async with store.begin() as db:
        assert await sessions.next_seq(db, session.id) == 81


async def test_a_killed_writer_leaves_nothing_half_done_and_no_lock(store: Store, session: Session) -> None:
    rival = await Rival.start("stop_half_way", _url(store), str(session.id))
    rival.begin()
    await rival.hears("half way")
    await rival.kill()
    async with store.begin() as db:
        assert await sessions.next_seq(db, session.id) == 1
        assert (await db.scalars(select(Message))).all() == []
        assert (await db.scalars(select(Posting))).all() == []
