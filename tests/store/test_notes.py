"""Feedback, facts, audit: rows that are written once and listed."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from store import audit, facts, feedback
from tests.store.samples import new_message, new_session

pytestmark = pytest.mark.store


async def test_a_person_has_one_opinion_of_a_message(db: AsyncSession) -> None:
    session = await new_session(db)
    message = await new_message(db, session)
    common: dict[str, Any] = {"session_id": session.id, "chat_id": message.id}
    await feedback.record(db, **common, author_id="U1", is_helpful=True)
    await feedback.record(db, **common, author_id="U2", is_helpful=True)
    changed = await feedback.record(db, **common, author_id="U1", is_helpful=False, comment="wrong version")
    assert (changed.is_helpful, changed.comment) == (False, "wrong version")
    opinions = await feedback.of_session(db, session.id)
    assert sorted((row.author_id, row.is_helpful) for row in opinions) == [("U1", False), ("U2", True)]


async def test_a_fact_is_proposed_once(db: AsyncSession) -> None:
    session = await new_session(db)
    for text in ("first", "again"):
        await facts.propose(
            db, agent_id=session.agent_id, session_id=session.id, key="1:1:0", text=text, stated_by="Ada"
        )
    assert [(row.text, row.state) for row in await facts.of_session(db, session.id)] == [("first", "proposed")]


async def test_the_audit_trail_is_read_backwards(db: AsyncSession) -> None:
    await audit.record(db, actor="laptop", action="publish", subject="support", detail={"build_id": "v1"})
    await audit.record(db, actor="x" * 500, action="rollback", subject="support")
    newest, oldest = await audit.recent(db)
    assert (newest.action, newest.detail, len(newest.actor)) == ("rollback", {}, 200)
    assert oldest.detail == {"build_id": "v1"}
    assert len(await audit.recent(db, limit=1)) == 1
