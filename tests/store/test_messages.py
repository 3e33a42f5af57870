from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.messages import AssistantChatMessage, Source, UserChatMessage
from store import messages
from store.models import Message, Posting, Session
from tests.store.samples import new_message, new_session

pytestmark = pytest.mark.store


async def _post(
    db: AsyncSession, session: Session, message: Message, remote_id: str, where: str = "widget:a"
) -> Posting:
    return await messages.post(db, session_id=session.id, chat_id=message.id, surface_key=where, remote_id=remote_id)


async def test_an_operation_that_is_retried_finds_its_message(db: AsyncSession) -> None:
    session = await new_session(db)
    first = await messages.add(db, session_id=session.id, author="assistant", text="first", key="1:1")
    again = await messages.add(db, session_id=session.id, author="assistant", text="second", key="1:1")
    assert (again.id, again.text) == (first.id, "first")
    found = await messages.by_key(db, "1:1")
    assert found is not None
    assert found.id == first.id


async def test_messages_without_a_key_are_all_different(db: AsyncSession) -> None:
    session = await new_session(db)
    assert (await new_message(db, session)).id != (await new_message(db, session)).id


@pytest.mark.parametrize("text", ["", "a\0b", "half \ud83d", "\U0001f600 whole", "x" * 1_000_000])
async def test_any_text_can_be_recorded(db: AsyncSession, text: str) -> None:
    message = await new_message(db, await new_session(db), text)
    stored = await messages.get(db, message.id)
    assert stored is not None
    assert stored.text == text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")


async def test_a_recorded_message_is_what_handlers_know(db: AsyncSession) -> None:
    session = await new_session(db)
    asked = await messages.add(
        db, session_id=session.id, author="user", text="how?", author_id="U1", author_name="Ada", attachments=[{"a": 1}]
    )
    source = Source(title="Guide", url=None, quote="so")
    answered = await messages.add(
        db,
        session_id=session.id,
        author="assistant",
        text="so",
        category="answered",
        sources=[source.model_dump(mode="json")],
    )
    assert messages.as_chat_message(asked) == UserChatMessage(
        text="how?", chat_id=asked.id, user_identifier="U1", author_name="Ada", attachments=[{"a": 1}]
    )
    found = messages.as_chat_message(answered)
    assert isinstance(found, AssistantChatMessage)
    assert (found.text, found.chat_id, found.category, found.sources) == ("so", answered.id, "answered", [source])


async def test_a_posting_is_recorded_once_for_each_effect_and_each_place(db: AsyncSession) -> None:
    session = await new_session(db)
    message = await new_message(db, session)
    common: dict[str, Any] = {"session_id": session.id, "chat_id": message.id, "surface_key": "widget:a"}
    first = await messages.post(db, **common, remote_id="1", effect_key="1:1", extras={"prefix": "Bot"})
    same_effect = await messages.post(db, **common, remote_id="2", effect_key="1:1")
    same_place = await messages.post(db, **common, remote_id="1")
    assert {first.id, same_effect.id, same_place.id} == {first.id}
    assert (first.seq, first.position, first.extras) == (1, 1, {"prefix": "Bot"})
    found = await messages.find_posting(db, "widget:a", "1")
    assert found is not None
    assert found.id == first.id
    assert await messages.find_posting(db, "widget:b", "1") is None


async def test_a_stream_resumes_after_a_number_and_sees_changes(db: AsyncSession) -> None:
    session = await new_session(db)
    one, two = await new_message(db, session, "one"), await new_message(db, session, "two")
    first = await _post(db, session, one, "1")
    await _post(db, session, two, "2")
    await _post(db, session, two, "2", "slack:x")

    async def texts(after: int) -> list[tuple[int, str]]:
        return [(posting.seq, message.text) for posting, message in await messages.feed(db, "widget:a", after)]

    assert await texts(0) == [(1, "one"), (2, "two")]
    assert await texts(1) == [(2, "two")]
    await messages.touch(db, first, {"buttons": "over"})
    assert await texts(3) == [(4, "one")]
    await messages.edit_text(db, two.id, "two, better")
    assert await texts(4) == [(5, "two, better")]
    assert [posting.seq for posting in await messages.postings_of(db, two.id)] == [5, 6]
    assert [seq for seq, _ in await texts(0)] == [4, 5]


async def test_touching_keeps_what_is_shown_unless_told_otherwise(db: AsyncSession) -> None:
    session = await new_session(db)
    message = await new_message(db, session)
    posting = await messages.post(
        db, session_id=session.id, chat_id=message.id, surface_key="s", remote_id="1", extras={"a": 1}
    )
    assert (await messages.touch(db, posting)).extras == {"a": 1}
    touched = await messages.touch(db, posting, {})
    assert (touched.extras, touched.seq, touched.position) == ({}, 3, 1)


async def test_a_feed_is_limited(db: AsyncSession) -> None:
    session = await new_session(db)
    for number in range(3):
        await _post(db, session, await new_message(db, session), str(number))
    assert [posting.seq for posting, _ in await messages.feed(db, "widget:a", 0, limit=2)] == [1, 2]


async def test_the_transcript_has_each_shown_message_once_in_the_order_of_the_conversation(db: AsyncSession) -> None:
    session, other = await new_session(db, "a"), await new_session(db, "b")
    drafted = await new_message(db, session, "answer", "assistant")
    asked = await new_message(db, session, "question")
    await new_message(db, session, "never shown", "assistant")
    await _post(db, other, await new_message(db, other, "elsewhere"), "0", "widget:b")
    shown = await _post(db, session, asked, "1")
    await _post(db, session, drafted, "2")
    await _post(db, session, asked, "1", "slack:x")
    await messages.touch(db, shown)
    assert [row.text for row in await messages.transcript(db, session.id)] == ["question", "answer"]


async def test_the_transcript_ends_with_a_given_message(db: AsyncSession) -> None:
    session = await new_session(db)
    rows = [await new_message(db, session, text) for text in ("one", "two", "three")]
    for row in rows:
        await _post(db, session, row, str(row.id))
    unseen = await new_message(db, session, "unseen")
    assert [row.text for row in await messages.transcript(db, session.id, rows[1].id)] == ["one", "two"]
    assert [row.text for row in await messages.transcript(db, session.id, unseen.id)] == ["one", "two", "three"]


async def test_a_deleted_message_leaves_the_transcript_and_the_stream_says_so(db: AsyncSession) -> None:
    session = await new_session(db)
    message = await new_message(db, session, "oops")
    await _post(db, session, message, "1")
    await messages.delete(db, message.id)
    assert await messages.transcript(db, session.id) == []
    [(posting, seen)] = await messages.feed(db, "widget:a", 1)
    assert posting.seq == 2
    assert seen.deleted_at is not None


async def test_editing_a_message_that_is_not_there_says_so(db: AsyncSession) -> None:
    assert await messages.edit_text(db, 99, "x") is None
    assert await messages.delete(db, 99) is None


async def test_an_edit_is_marked(db: AsyncSession) -> None:
    message = await new_message(db, await new_session(db), "before")
    edited = await messages.edit_text(db, message.id, "after")
    assert edited is not None
    assert (edited.text, edited.edited_at is not None) == ("after", True)
