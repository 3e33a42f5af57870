"""What commands and the console ask of the record: what was said since, which sessions failed lately, who has a key."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import agents, messages, sessions
from store.models import now
from tests.store.samples import new_message, new_session

pytestmark = pytest.mark.store


async def test_what_was_shown_since_a_posting_comes_once_and_in_order(db: AsyncSession) -> None:
    one, other = await new_session(db, "a"), await new_session(db, "b", name="sales")
    assert await messages.last_shown(db) == 0
    first, second, hidden = await new_message(db, one), await new_message(db, other, "two"), await new_message(db, one)
    for session, message, place in ((one, first, "p1"), (other, second, "p2"), (one, first, "mirrored")):
        await messages.post(
            db, session_id=session.id, chat_id=message.id, surface_key=f"widget:{place}", remote_id=place
        )
    found = await messages.shown_after(db, one.agent_id, 0)
    assert [(message.id, name) for _, message, name in found] == [(first.id, "support"), (second.id, "sales")]
    assert hidden.id not in [message.id for _, message, _ in found]
    after = found[0][0].id
    assert [message.id for _, message, _ in await messages.shown_after(db, one.agent_id, after)] == [second.id]
    assert await messages.shown_after(db, one.agent_id, after, session_id=one.id) == []
    assert await messages.shown_after(db, one.agent_id, await messages.last_shown(db)) == []
    assert await messages.shown_after(db, one.agent_id + 1, 0) == []


async def test_a_deleted_message_is_not_told(db: AsyncSession) -> None:
    session = await new_session(db, "a")
    message = await new_message(db, session)
    await messages.post(db, session_id=session.id, chat_id=message.id, surface_key="widget:a", remote_id="1")
    await messages.delete(db, message.id)
    assert await messages.shown_after(db, session.agent_id, 0) == []


async def test_sessions_that_logged_errors_come_with_the_last_one(db: AsyncSession) -> None:
    one, other = await new_session(db, "a"), await new_session(db, "b")
    await sessions.add_log(db, one.id, "k1", [{"level": "error", "text": "first"}, {"level": "error", "text": "last"}])
    await sessions.add_log(db, other.id, "k2", [{"level": "print", "text": "fine"}])
    hour_ago = now() - timedelta(hours=1)
    found = await sessions.with_errors(db, one.agent_id, hour_ago)
    assert [(session.id, errors, text) for session, errors, text in found] == [(one.id, 2, "last")]
    await sessions.add_log(db, other.id, "k3", [{"level": "error", "text": "later"}])
    found = await sessions.with_errors(db, one.agent_id, hour_ago)
    assert [session.id for session, _, _ in found] == [other.id, one.id]
    assert len(await sessions.with_errors(db, one.agent_id, hour_ago, limit=1)) == 1
    assert await sessions.with_errors(db, one.agent_id, now() + timedelta(seconds=5)) == []
    assert await sessions.with_errors(db, one.agent_id + 1, hour_ago) == []


async def test_a_revoked_key_is_listed_and_opens_nothing(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    stranger = await agents.ensure_agent(db, "another")
    key = await agents.create_key(db, agent.id, "ci")
    await agents.create_key(db, stranger.id, "theirs")
    (row,) = await agents.keys_of(db, agent.id)
    assert await agents.revoke_key(db, stranger.id, row.id) is None
    assert await agents.find_key(db, key) is not None
    revoked = await agents.revoke_key(db, agent.id, row.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    again = await agents.revoke_key(db, agent.id, row.id)
    assert again is not None
    assert again.revoked_at == revoked.revoked_at
    assert await agents.find_key(db, key) is None
    assert [(found.name, found.revoked_at is None) for found in await agents.keys_of(db, agent.id)] == [("ci", False)]
