import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, surface_key
from store import agents, sessions
from store.models import Session
from tests.store.samples import new_session, slack_thread, widget

pytestmark = pytest.mark.store


async def test_a_new_session_is_bound_to_its_surface(db: AsyncSession) -> None:
    session = await new_session(db, "a")
    assert (session.published_name, session.origin_key, session.phase) == ("support", "widget:a", "listening")
    bound = await sessions.bound_session(db, "widget:a")
    assert bound is not None
    assert bound.id == session.id
    assert await sessions.bound_session(db, "widget:b") is None
    assert await sessions.surfaces_of(db, session.id) == [widget("a")]


async def test_a_surface_has_one_session_however_often_it_is_created(db: AsyncSession) -> None:
    first = await new_session(db, "a")
    assert (await new_session(db, "a")).id == first.id
    assert await db.scalar(select(func.count()).select_from(Session)) == 1


async def test_the_number_of_a_session_is_never_given_out_again(db: AsyncSession) -> None:
    first = await new_session(db, "a")
    second = await new_session(db, "a", name="late")
    third = await new_session(db, "b")
    assert second.id == first.id
    assert third.id > first.id + 1  # the one that came too late had a number


async def test_a_bound_surface_stays_with_its_session(db: AsyncSession) -> None:
    one, other = await new_session(db, "a"), await new_session(db, "b")
    thread = slack_thread()
    assert (await sessions.bind(db, one.id, thread)).session_id == one.id
    assert (await sessions.bind(db, other.id, thread)).session_id == one.id
    assert await sessions.surfaces_of(db, one.id) == [widget("a"), thread]
    assert await sessions.surfaces_of(db, other.id) == [widget("b")]


async def test_binding_again_records_what_the_surface_says_now(db: AsyncSession) -> None:
    session = await new_session(db, "a")
    moved = ChatWidget(config=ChatWidgetConfig(convo_identifier="a", context={"url": "https://example.com/2"}))
    await sessions.bind(db, session.id, moved)
    assert await sessions.surfaces_of(db, session.id) == [moved]


async def test_the_first_thread_of_a_channel_is_the_one_found(db: AsyncSession) -> None:
    session = await new_session(db, "a")
    channel, first, second = "slack:T1:C1", slack_thread("1.1"), slack_thread("2.2")
    assert await sessions.thread_in_channel(db, session.id, channel) is None
    await sessions.bind(db, session.id, first, channel_key=channel)
    await sessions.bind(db, session.id, second, channel_key=channel)
    assert await sessions.thread_in_channel(db, session.id, channel) == first
    bound = await sessions.bound_session(db, surface_key(second))
    assert bound is not None
    assert bound.id == session.id


async def test_an_update_changes_what_it_names(db: AsyncSession) -> None:
    session = await new_session(db)
    changed = await sessions.update(db, session.id, phase="handling", handler="answer", build_id="abc")
    assert changed is not None
    assert (changed.phase, changed.handler, changed.build_id, changed.closed_at) == ("handling", "answer", "abc", None)
    changed = await sessions.update(db, session.id, phase="listening")
    assert changed is not None
    assert (changed.phase, changed.handler, changed.build_id) == ("listening", "answer", "abc")


async def test_a_late_report_does_not_reopen_a_closed_session(db: AsyncSession) -> None:
    session = await new_session(db)
    await sessions.update(db, session.id, phase="closed")
    late = await sessions.update(db, session.id, phase="handling")
    assert late is not None
    assert late.phase == "closed"
    assert late.closed_at is not None


async def test_numbers_of_postings_rise_by_one(db: AsyncSession) -> None:
    session = await new_session(db)
    assert [await sessions.next_seq(db, session.id) for _ in range(3)] == [1, 2, 3]
    assert await sessions.take_seqs(db, session.id, 5) == 8


async def test_a_session_that_does_not_exist_is_named(db: AsyncSession) -> None:
    with pytest.raises(LookupError, match="no session 99"):
        await sessions.next_seq(db, 99)


async def test_recent_sessions_come_latest_first_and_filtered(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    one, two, three = [await new_session(db, name) for name in "abc"]
    other = await agents.ensure_agent(db, "other")
    await sessions.create(db, agent_id=other.id, published_name="p", surface=widget("d"))
    await sessions.update(db, one.id, phase="waiting_for_button", handler="approve")
    assert [row.id for row in await sessions.recent(db, agent.id)] == [one.id, three.id, two.id]
    assert [row.id for row in await sessions.recent(db, agent.id, limit=1)] == [one.id]
    assert [row.id for row in await sessions.recent(db, agent.id, phase="waiting_for_button")] == [one.id]
    assert [row.id for row in await sessions.recent(db, agent.id, phase="listening", handler="approve")] == []
    assert len(await sessions.recent(db, agent.id, published_name="support")) == 3


async def test_a_retried_report_adds_no_line_twice(db: AsyncSession) -> None:
    session = await new_session(db)
    lines = [{"level": "print", "text": "one", "handler": "answer"}, {"level": "error", "text": "two"}]
    for _ in range(2):
        await sessions.add_log(db, session.id, "1:1", lines)
    await sessions.add_log(db, session.id, "1:2", [{"level": "print", "text": "three\0"}])
    log = await sessions.log_of(db, session.id)
    assert [(row.level, row.handler, row.text) for row in log] == [
        ("print", "answer", "one"),
        ("error", "", "two"),
        ("print", "", "three\ufffd"),
    ]
    assert [row.text for row in await sessions.log_of(db, session.id, limit=1)] == ["three\ufffd"]


async def test_surfaces_are_found_by_their_keys_and_open_ones_by_the_beginning(db: AsyncSession) -> None:
    one, other = await new_session(db, "one"), await new_session(db, "other")
    for session, ts in ((one, "1.1"), (other, "2.2"), (other, "3.3")):
        await sessions.bind(db, session.id, slack_thread(ts))
    keys = [surface_key(slack_thread(ts)) for ts in ("1.1", "2.2", "3.3", "4.4")]
    assert await sessions.bound(db, keys) == set(keys[:3])
    await sessions.update(db, one.id, phase="listening")
    prefix = keys[0].removesuffix("1.1")
    assert await sessions.still_open(db, prefix, 10) == [keys[0], keys[1], keys[2]]
    assert await sessions.still_open(db, prefix, 1) == [keys[0]]
    await sessions.update(db, other.id, phase="closed")
    assert await sessions.still_open(db, prefix, 10) == [keys[0]]
    assert await sessions.still_open(db, "slack:_", 10) == []
