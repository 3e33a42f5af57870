"""Messages, and where they are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from runllm.bridge.messages import AssistantChatMessage, MessageType, UserChatMessage
from store.models import Message, Posting, Session, now
from store.rows import change_one, find, insert_new
from store.sessions import next_seq, take_seqs


async def add(
    db: AsyncSession,
    *,
    session_id: int,
    author: str,
    text: str,
    author_id: str | None = None,
    author_name: str | None = None,
    category: str | None = None,
    sources: Sequence[dict[str, Any]] = (),
    attachments: Sequence[dict[str, Any]] = (),
    is_internal: bool = False,
    is_from_staff: bool = False,
    is_from_bot: bool = False,
    at: datetime | None = None,
    edited_at: datetime | None = None,
    key: str | None = None,
    model: str = "",
    input_tokens: int = 0,
    output_tokens: int = 0,
) -> Message:
    """Records what somebody said, now or `at` an earlier time.

    With a `key` that was used before it is the message from that time.
    """
    message = await insert_new(
        db,
        Message,
        session_id=session_id,
        author=author,
        text=text,
        author_id=author_id,
        author_name=author_name,
        category=category,
        sources=list(sources),
        attachments=list(attachments),
        is_internal=is_internal,
        is_from_staff=is_from_staff,
        is_from_bot=is_from_bot,
        created_at=at or now(),
        edited_at=edited_at,
        key=key,
        model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )
    if message is None and key is not None:
        message = await by_key(db, key)
    if message is None:
        raise LookupError(f"The message of session {session_id} with key {key!r} could neither be added nor found.")
    return message


async def get(db: AsyncSession, chat_id: int) -> Message | None:
    """The message of that number."""
    return await find(db, Message, Message.id == chat_id)


async def by_key(db: AsyncSession, key: str) -> Message | None:
    """The message that the operation with this effect key made."""
    return await find(db, Message, Message.key == key)


def as_chat_message(message: Message) -> UserChatMessage | AssistantChatMessage:
    """A recorded message as handlers and envelopes know it."""
    if message.author == MessageType.USER:
        return UserChatMessage(
            text=message.text,
            chat_id=message.id,
            user_identifier=message.author_id,
            attachments=message.attachments or None,
            author_name=message.author_name,
            is_internal=message.is_internal,
            is_from_staff=message.is_from_staff,
        )
    return AssistantChatMessage.model_validate(
        {"text": message.text, "chat_id": message.id, "category": message.category, "sources": message.sources}
    )


async def post(
    db: AsyncSession,
    *,
    session_id: int,
    chat_id: int,
    surface_key: str,
    remote_id: str,
    effect_key: str | None = None,
    extras: dict[str, Any] | None = None,
    is_new: bool = False,
) -> Posting:
    """Records that a message is shown on a surface. The same effect, or the same place, is recorded once.

    Whoever has looked whether the place is taken, in this transaction, or does not expect that, says `is_new`.
    """
    same: ColumnElement[bool] = (Posting.surface_key == surface_key) & (Posting.remote_id == remote_id)
    if effect_key is not None:
        same = or_(Posting.effect_key == effect_key, same)
    if not is_new and (earlier := await _first(db, same)) is not None:
        return earlier
    seq = await next_seq(db, session_id)
    posting = await insert_new(
        db,
        Posting,
        session_id=session_id,
        chat_id=chat_id,
        surface_key=surface_key,
        remote_id=remote_id,
        effect_key=effect_key,
        seq=seq,
        position=seq,
        extras=extras or {},
    ) or await _first(db, same)
    if posting is None:
        raise LookupError(f"The posting {remote_id!r} on {surface_key} could neither be added nor found.")
    return posting


async def touch(db: AsyncSession, posting: Posting, extras: dict[str, Any] | None = None) -> Posting:
    """Gives a posting a new place in the stream, because what is shown there has changed."""
    values: dict[str, Any] = {"seq": await next_seq(db, posting.session_id)}
    if extras is not None:
        values["extras"] = extras
    changed = await change_one(db, update(Posting).where(Posting.id == posting.id).values(**values), Posting)
    if changed is None:
        raise LookupError(f"There is no posting {posting.id} to change: it was removed from the record.")
    return changed


async def edit_text(db: AsyncSession, chat_id: int, text: str, at: datetime | None = None) -> Message | None:
    """Replaces the text of a message wherever it is shown, as was done `at` a time, or now.

    None where there is no such message.
    """
    return await _alter(db, chat_id, text=text, edited_at=at or now())


async def delete(db: AsyncSession, chat_id: int) -> Message | None:
    """Marks a message as deleted: it is no longer shown, nor part of the transcript."""
    return await _alter(db, chat_id, deleted_at=now())


async def feed(db: AsyncSession, surface_key: str, after_seq: int, limit: int = 200) -> list[tuple[Posting, Message]]:
    """What has changed on a surface since `after_seq`, in order; deleted messages too, so that they can be hidden."""
    query = (
        select(Posting, Message)
        .join(Message, Message.id == Posting.chat_id)
        .where(Posting.surface_key == surface_key, Posting.seq > after_seq)
        .order_by(Posting.seq)
        .limit(limit)
    )
    return [(posting, message) for posting, message in await db.execute(query)]


class Said(NamedTuple):
    """What a model is shown of a message: a long conversation has many, and is read with each question."""

    id: int
    author: str
    text: str
    author_id: str | None
    author_name: str | None
    is_internal: bool


async def transcript(db: AsyncSession, session_id: int, until_chat_id: int | None = None) -> list[Message]:
    """What was shown anywhere in a session and not deleted, in order, up to and including `until_chat_id`."""
    return list(await db.scalars(_shown(select(Message), session_id, until_chat_id)))


async def said(db: AsyncSession, session_id: int, until_chat_id: int | None = None) -> list[Said]:
    """The same, without what models do not need."""
    query = _SAID if until_chat_id is None else _SAID_UNTIL
    return [Said(*one) for one in await db.execute(query, {"session": session_id, "until": until_chat_id})]


def _shown(query: Any, session_id: Any, until_chat_id: Any) -> Any:
    shown = (
        select(Posting.chat_id, func.min(Posting.position).label("position"))
        .where(Posting.session_id == session_id)
        .group_by(Posting.chat_id)
        .subquery()
    )
    query = (
        query.join(shown, shown.c.chat_id == Message.id).where(Message.deleted_at.is_(None)).order_by(shown.c.position)
    )
    if until_chat_id is None:
        return query
    mine = (Posting.session_id == session_id) & (Posting.chat_id == until_chat_id)
    last = select(func.min(Posting.position)).where(mine).scalar_subquery()
    return query.where(or_(shown.c.position <= last, last.is_(None)))


_COLUMNS = select(Message.id, Message.author, Message.text, Message.author_id, Message.author_name, Message.is_internal)
# Put together once: that takes longer than to execute it.
_SAID = _shown(_COLUMNS, bindparam("session"), None)
_SAID_UNTIL = _shown(_COLUMNS, bindparam("session"), bindparam("until"))

_ASKER = (
    select(Message.author_id)
    .join(Posting, Posting.chat_id == Message.id)
    .where(Message.session_id == bindparam("session"), Message.author == "user", Message.is_internal.is_(False))
    .order_by(Posting.position, Message.id)
    .limit(1)
    .scalar_subquery()
)
_AGENT_AND_ASKER = select(Session.agent_id, _ASKER).where(Session.id == bindparam("session"))


async def name_of(db: AsyncSession, session_id: int, author_id: str) -> str | None:
    """What an author was called last in a session; None where they wrote nothing, or have no name."""
    mine = (Message.session_id == session_id) & (Message.author_id == author_id) & Message.author_name.is_not(None)
    return await db.scalar(select(Message.author_name).where(mine).order_by(Message.id.desc()).limit(1))


async def last_of(db: AsyncSession, session_ids: Sequence[int]) -> dict[int, tuple[Posting, Message]]:
    """The newest posting of each of these sessions, and its message."""
    newest = (
        select(func.max(Posting.position).label("position"), Posting.session_id)
        .where(Posting.session_id.in_(session_ids))
        .group_by(Posting.session_id)
        .subquery()
    )
    query = (
        select(Posting, Message)
        .join(newest, (newest.c.session_id == Posting.session_id) & (newest.c.position == Posting.position))
        .join(Message, Message.id == Posting.chat_id)
    )
    return {posting.session_id: (posting, message) for posting, message in await db.execute(query)}


async def agent_and_asker(db: AsyncSession, session_id: int) -> tuple[int, str | None] | None:
    """Whose session it is, an agent, and who wrote its first message, also where that was deleted.

    Notes of the team do not count. None where there is no such session.
    """
    found = (await db.execute(_AGENT_AND_ASKER, {"session": session_id})).one_or_none()
    return None if found is None else (found[0], found[1])


async def find_posting(db: AsyncSession, surface_key: str, remote_id: str) -> Posting | None:
    """The posting that a platform knows by `remote_id`."""
    return await find(db, Posting, Posting.surface_key == surface_key, Posting.remote_id == remote_id)


async def postings_of(db: AsyncSession, chat_id: int) -> list[Posting]:
    """Everywhere that a message is shown."""
    return list(await db.scalars(select(Posting).where(Posting.chat_id == chat_id).order_by(Posting.id)))


async def has_ours(db: AsyncSession, surface_key: str) -> bool:
    """Whether this engine has shown anything on a surface."""
    ours = exists().where(Posting.surface_key == surface_key, Posting.effect_key.is_not(None))
    return bool(await db.scalar(select(ours)))


async def _first(db: AsyncSession, condition: Any) -> Posting | None:
    return (await db.scalars(select(Posting).where(condition).order_by(Posting.id).limit(1))).first()


async def _alter(db: AsyncSession, chat_id: int, **values: Any) -> Message | None:
    """Changes a message; each of its postings gets a new place in the stream."""
    message = await get(db, chat_id)
    if message is None:
        return None
    postings = await postings_of(db, chat_id)
    if postings:
        # The session's row before the message's: the order in which all transactions take them.
        first = await take_seqs(db, message.session_id, len(postings)) - len(postings) + 1
        for seq, posting in enumerate(postings, first):
            await change_one(db, update(Posting).where(Posting.id == posting.id).values(seq=seq), Posting)
    return await change_one(db, update(Message).where(Message.id == chat_id).values(**values), Message)


async def heads(db: AsyncSession, surface_keys: Sequence[str]) -> dict[str, int]:
    """The last `seq` of each of these surfaces that shows anything: one look for all open streams."""
    query = select(Posting.surface_key, func.max(Posting.seq)).where(Posting.surface_key.in_(surface_keys))
    return {key: seq for key, seq in await db.execute(query.group_by(Posting.surface_key))}


async def shown_after(
    db: AsyncSession, agent_id: int, after: int, *, session_id: int | None = None, limit: int = 200
) -> list[tuple[Posting, Message, str]]:
    """What the sessions of an agent have shown since the posting of number `after`, each message once, in order.

    With each message go its first posting and the published name of its session.
    """
    earlier = aliased(Posting)
    is_first = ~exists().where(earlier.chat_id == Posting.chat_id, earlier.id < Posting.id)
    query = (
        select(Posting, Message, Session.published_name)
        .join(Message, Message.id == Posting.chat_id)
        .join(Session, Session.id == Posting.session_id)
        .where(Session.agent_id == agent_id, Posting.id > after, Message.deleted_at.is_(None), is_first)
        .order_by(Posting.id)
        .limit(limit)
    )
    if session_id is not None:
        query = query.where(Posting.session_id == session_id)
    return [(posting, message, name) for posting, message, name in await db.execute(query)]


async def last_shown(db: AsyncSession) -> int:
    """The number of the newest posting; 0 where there is none."""
    return await db.scalar(select(func.max(Posting.id))) or 0


async def find_in_places(db: AsyncSession, prefix: str, remote_id: str) -> Posting | None:
    """The first posting that a platform knows by `remote_id`, in any place whose key begins with `prefix`."""
    return await _first(db, (Posting.remote_id == remote_id) & Posting.surface_key.startswith(prefix, autoescape=True))


async def is_last(db: AsyncSession, posting: Posting) -> bool:
    """Whether nothing was shown after it in its place, apart from what is deleted."""
    later = select(Posting.id).join(Message, Message.id == Posting.chat_id)
    after = (Posting.surface_key == posting.surface_key) & (Posting.position > posting.position)
    return await db.scalar(later.where(after, Message.deleted_at.is_(None)).limit(1)) is None


async def last_author(db: AsyncSession, surface_key: str) -> str | None:
    """Who wrote the newest message of a person in a place; copies from elsewhere do not count."""
    query = (
        select(Message.author_id)
        .join(Posting, Posting.chat_id == Message.id)
        .where(
            Posting.surface_key == surface_key,
            Posting.effect_key.is_(None),
            Message.author == MessageType.USER,
            Message.author_id.is_not(None),
        )
        .order_by(Posting.position.desc())
        .limit(1)
    )
    return await db.scalar(query)


async def name_author(db: AsyncSession, author_id: str, name: str) -> None:
    """Writes down what an author is called, where the record did not know it when they wrote."""
    nameless = (Message.author_id == author_id) & Message.author_name.is_(None)
    await db.execute(update(Message).where(nameless).values(author_name=name))


async def take_over(db: AsyncSession, posting: Posting, chat_id: int, effect_key: str) -> None:
    """The place of a posting now shows another message, posted by another effect: a placeholder became an answer."""
    seq = await next_seq(db, posting.session_id)
    values = {"chat_id": chat_id, "effect_key": effect_key, "seq": seq, "position": seq, "extras": {}}
    await change_one(db, update(Posting).where(Posting.id == posting.id).values(**values), Posting)
