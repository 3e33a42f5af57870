"""One inbound event -> one transaction -> acknowledgement. What follows, delivery to the session, may take its time."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.adapter import Earlier, Inbound
from gateways.hints import Hints
from gateways.matching import Match, Route, is_listened, marked, match_routes
from gateways.wire import Envelope
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatWidget, surface_key
from runllm.operations import Frozen
from store import buttons, early, effects, feedback, inbox, messages, published, sessions
from store.engine import Store
from store.models import EarlyChange, InboxRow, Message, Session, now
from store.rows import alone

ClickResult = Literal["won", "already", "ended", "not_allowed", "unknown"]

EXPLANATIONS: dict[ClickResult, str] = {
    "won": "Thank you, that was your choice.",
    "already": "Somebody was faster: the first click counts. The message shows who chose what.",
    "ended": "This is no longer asked: time is up, or the conversation moved on. Write a message to go on.",
    "not_allowed": "This choice is not yours to make.",
    "unknown": "Nobody waits for this button: it belongs to no open question.",
}
"""What the person who clicked is told, and nobody else."""

CLOSED = "the session is closed"
ENDED_BEFORE = "the session ended before it read this"
AFTER_CLOSING = (CLOSED, ENDED_BEFORE)
"""Reasons for which a message is on record and was never answered: it came to a conversation that was over."""

NO_LISTENER = "no published workflow listens here"
RECORDED = "the record has this message already"
UNKNOWN = "the message that it changes is not in the record"
EARLY = f"{UNKNOWN}; it waits for it, in case it overtook it"
OUTDATED = "a later change of the message came before it"
DELETED = "it was deleted before it came"
FROM_BOT = "a program wrote it, and no listener here takes messages of programs"


class Accepted(Frozen):
    """What the record holds of an inbound event, from now on whatever happens.

    Attributes:
        inbox_id: Its row; 0 for a click that did not win and so is no event.
        ignored: Why nobody will answer it; empty where somebody will.
        repeated: It was there already: the same event came before.
        click: What became of a click.
        is_complete: Nobody has to be told of it: recording it was all there was to do.
    """

    inbox_id: int = 0
    session_id: int | None = None
    chat_id: int | None = None
    ignored: str = ""
    repeated: bool = False
    click: ClickResult | None = None
    is_complete: bool = False


@dataclass(frozen=True)
class Letter:
    """An event as it stands in the record, whose session was told all that came before it."""

    session: Session
    row: InboxRow
    message: Message | None


Hint = Callable[[Session, Inbound], None]

_Recorded = tuple[Accepted, Letter | None]
"""What the record holds, and what need not be read again to tell the session."""


class _BeatenError(Exception):
    """Another gateway recorded the same event since we looked; what this transaction wrote must go."""


class Routing:
    """Takes inbound events of all surfaces in."""

    def __init__(
        self,
        store: Store,
        deliver: Callable[[int, Letter | None], None],
        poke: Callable[[str], None],
        hints: Hints | None = None,
    ) -> None:
        """
        Args:
            deliver: Called with a session's id once it has something to be told, and with that where nothing else comes
                first. Must return at once.
            poke: Called with a surface's key once what it shows has changed. Must return at once.
            hints: Who is told of a message before it is on record.
        """
        self._store = store
        self._deliver = deliver
        self._poke = poke
        self._hints = hints or Hints()
        self._jobs: set[asyncio.Task[Accepted]] = set()

    async def take_in(self, inbound: Inbound) -> Accepted:
        """Writes the event down, once. When this returns, the platform may be told that we have it.

        A sender that hangs up meanwhile does not undo it.
        """
        job = asyncio.create_task(self._take_in(inbound), name=f"take in {inbound.kind}")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return await asyncio.shield(job)

    async def expect(self, inbound: Inbound) -> None:
        """Somebody writes, and such an event may come soon: who will look for an answer hears of it."""
        async with self._store.read() as db:
            session = await sessions.bound_session(db, surface_key(inbound.surface))
        self._hints.writes(inbound, session)

    async def _take_in(self, inbound: Inbound) -> Accepted:
        accepted, letter = await self._record_once(inbound)
        if accepted.session_id is not None and accepted.inbox_id and not accepted.ignored and not accepted.is_complete:
            self._deliver(accepted.session_id, letter)
        self._poke(surface_key(inbound.surface))
        return accepted

    async def _record_once(self, inbound: Inbound) -> _Recorded:
        """Two gateways may take the same event, or a conversation's first two, at once: the loser looks again."""
        self._hints.comes(inbound)
        # Nearly all messages to us are new, and the inbox refuses one that is not: only then is it looked for.
        look = inbound.kind != "message" or not inbound.is_ours
        for last in (False, False, True):
            try:
                async with self._store.begin() as db:
                    return await _record(db, inbound, self._hints.is_written, look=look)
            except (_BeatenError, IntegrityError):
                look = True
                if last:
                    raise
        raise AssertionError

    async def routes(self) -> list[Route]:
        """All published workflows that have a current version, with its listeners."""
        async with self._store.read() as db:
            return await routes_of(db)


async def routes_of(db: AsyncSession) -> list[Route]:
    """All published workflows that have a current version, with its listeners."""
    return [
        Route(published_name=name, agent_id=agent_id, listeners=listeners)
        for name, agent_id, listeners in await published.routes(db)
    ]


async def _record(db: AsyncSession, inbound: Inbound, hint: Hint, *, look: bool) -> _Recorded:
    seen = await inbox.by_dedupe_key(db, inbound.dedupe_key) if look else None
    if seen is not None:
        return _as_before(seen), None
    key = surface_key(inbound.surface)
    session, said_last = await sessions.bound_as(db, key) or (None, {})
    match inbound.kind:
        case "button":
            return await _record_click(db, inbound, key, session)
        case "edit" | "delete":
            return await _record_change(db, inbound, key, session)
        case "feedback":
            return await _record_feedback(db, inbound, key, session)
        case "status":
            return await _record_status(db, inbound, key, session)
        case "message" | "reaction":
            if session is not None and isinstance(inbound.surface, ChatWidget) and inbound.surface.config.context:
                await sessions.refresh(db, session.id, inbound.surface, said_last)  # maybe from another page
            return await _record_message(db, inbound, key, session, hint, look=look)


async def _record_message(
    db: AsyncSession, inbound: Inbound, key: str, session: Session | None, hint: Hint, *, look: bool
) -> _Recorded:
    if not inbound.is_ours and await effects.is_ours(db, key, inbound.remote_id):
        return await _add(db, inbound, key, session, ignored="the engine wrote this itself")
    is_looked_for = look and inbound.kind == "message" and session is not None
    if is_looked_for and await messages.find_posting(db, key, inbound.remote_id) is not None:
        return await _add(db, inbound, key, session, ignored=RECORDED)
    changes = await _waiting_for(db, inbound, key)
    if changes and changes[-1].kind == "delete":
        await inbox.catch_up(db, [one.inbox_id for one in changes], session.id if session else None, None)
        return await _add(db, inbound, key, session, ignored=DELETED)
    match = None
    if session is None:
        match = match_routes(await routes_of(db), marked(inbound))
        if match is None:
            return await _add(db, inbound, key, None, ignored=FROM_BOT if inbound.is_from_bot else NO_LISTENER)
        session = await sessions.create(
            db, agent_id=match.agent_id, published_name=match.published_name, surface=inbound.surface
        )
    hint(session, inbound)
    if match is not None:
        for one in inbound.earlier:
            await _write_down(db, session, key, one)
    if inbound.kind == "message":
        message = await _write_down(db, session, key, inbound, changes, is_new=inbound.is_ours)
    else:
        message = await _reacted_to(db, session, key, inbound.remote_id)
    return await _add(db, inbound, key, session, message=message, match=match)


async def _waiting_for(db: AsyncSession, inbound: Inbound, key: str) -> Sequence[EarlyChange]:
    """The edits, and then the deletion, of a message that were taken in before it."""
    if inbound.kind != "message" or inbound.is_ours:
        return ()
    await alone(db, f"changes {key} {inbound.remote_id}")
    return await early.take(db, key, inbound.remote_id)


async def _write_down(
    db: AsyncSession,
    session: Session,
    key: str,
    said: Inbound | Earlier,
    changes: Sequence[EarlyChange] = (),
    *,
    is_new: bool = False,
) -> Message | None:
    """What somebody said, as it is after `changes`, where it is shown; nothing where the record has it already.

    What nearly always `is_new` is not looked for before: where it is not, the database refuses it.
    """
    if not is_new and await messages.find_posting(db, key, said.remote_id) is not None:
        return None
    last = changes[-1] if changes else None
    is_ours = isinstance(said, Earlier) and await effects.is_ours(db, key, said.remote_id)
    message = await messages.add(
        db,
        session_id=session.id,
        author=MessageType.ASSISTANT if is_ours else MessageType.USER,
        text=said.text if last is None else last.text,
        edited_at=None if last is None else last.made_at or last.kept_at,
        author_id=said.user,
        author_name=said.author_name,
        attachments=said.attachments,
        is_internal=said.is_internal,
        is_from_staff=said.is_from_staff,
        is_from_bot=said.is_from_bot and not is_ours,
        at=said.at if isinstance(said, Earlier) else None,
    )
    posting = await messages.post(
        db, session_id=session.id, chat_id=message.id, surface_key=key, remote_id=said.remote_id, is_new=True
    )
    if posting.chat_id != message.id:
        raise _BeatenError
    if changes:
        await inbox.catch_up(db, [one.inbox_id for one in changes], session.id, message.id)
    return message


async def _reacted_to(db: AsyncSession, session: Session, key: str, remote_id: str) -> Message | None:
    """The person's message that a reaction is about: what a handler that it wakes is to answer."""
    posting = await messages.find_posting(db, key, remote_id)
    message = await messages.get(db, posting.chat_id) if posting and posting.session_id == session.id else None
    return message if message is not None and message.author == MessageType.USER else None


async def _record_change(db: AsyncSession, inbound: Inbound, key: str, session: Session | None) -> _Recorded:
    await alone(db, f"changes {key} {inbound.remote_id}")
    posting = await messages.find_posting(db, key, inbound.remote_id)
    if posting is None:
        return await _keep_change(db, inbound, key, session)
    session = session or await sessions.bound_session(db, key)  # it may have begun while this one stood in line
    if session is None:
        return await _add(db, inbound, key, session, ignored=UNKNOWN)
    if posting.effect_key is not None:  # a moderator who removes what we posted does not unsay what somebody said
        return await _add(db, inbound, key, session, ignored="what changed is our own copy; the message stays")
    message = await messages.get(db, posting.chat_id)
    if message is None or (inbound.kind == "edit" and message.text == inbound.text):
        return await _add(db, inbound, key, session, ignored="the text stayed the same")
    if inbound.kind == "edit":
        if message.deleted_at or (inbound.changed_at and message.edited_at and inbound.changed_at < message.edited_at):
            return await _add(db, inbound, key, session, ignored=OUTDATED)
        await messages.edit_text(db, message.id, inbound.text, inbound.changed_at)
    else:
        await messages.delete(db, message.id)
    return await _add(db, inbound, key, session, message=message)


async def _keep_change(db: AsyncSession, inbound: Inbound, key: str, session: Session | None) -> _Recorded:
    """Platforms promise no order: where a message could still become part of the record, its change waits for it."""
    if session is None and not is_listened(await routes_of(db), inbound):
        return await _add(db, inbound, key, session, ignored=UNKNOWN)
    accepted, _ = await _add(db, inbound, key, session, ignored=EARLY)
    await early.keep(
        db,
        inbox_id=accepted.inbox_id,
        surface_key=key,
        remote_id=inbound.remote_id,
        kind=inbound.kind,
        text=inbound.text,
        made_at=inbound.changed_at,
    )
    return accepted, None


async def _record_status(db: AsyncSession, inbound: Inbound, key: str, session: Session | None) -> _Recorded:
    """A change of status is on the session's log, whether or not a handler listens for it."""
    if session is None:
        return await _add(db, inbound, key, None, ignored=NO_LISTENER)
    line_key = hashlib.sha256(inbound.dedupe_key.encode()).hexdigest()[:32]
    line = f"{inbound.surface.type} {key.rpartition(':')[2]} is {inbound.text} now"
    await sessions.add_log(db, session.id, line_key, [{"level": "print", "text": line}])
    return await _add(db, inbound, key, session)


async def _record_feedback(db: AsyncSession, inbound: Inbound, key: str, session: Session | None) -> _Recorded:
    """An opinion is complete once it is recorded: no handler runs for it. A person's later one replaces it."""
    posting = await messages.find_posting(db, key, inbound.remote_id)
    if session is None and posting is not None:
        session = await sessions.get(db, posting.session_id)  # a thread that was opened apart is bound to no session
    if session is None or posting is None or inbound.is_helpful is None:
        return await _add(db, inbound, key, session, ignored="the message that it is about is not in the record")
    await feedback.record(
        db,
        session_id=session.id,
        chat_id=posting.chat_id,
        is_helpful=inbound.is_helpful,
        author_id=inbound.user or "",
        comment=inbound.comment,
    )
    await messages.touch(db, posting)
    return await _add(db, inbound, key, session, handled="the opinion is recorded")


async def _record_click(db: AsyncSession, inbound: Inbound, key: str, session: Session | None) -> _Recorded:
    """The first click wins. The others are answered at once and are no events."""
    wait = await buttons.get(db, session.id, inbound.wait_id) if session is not None else None
    if wait is None or wait.surface_key != key:
        # A thread that was opened apart is bound to no session, or to one that was begun there later.
        wait = await buttons.on_surface(db, key, inbound.wait_id)
        session = await sessions.get(db, wait.session_id) if wait is not None else session
    if session is None or wait is None:
        return Accepted(session_id=session.id if session is not None else None, click="unknown"), None
    result = await buttons.click(db, session.id, inbound.wait_id, inbound.button_id, inbound.user, inbound.author_name)
    if result != "won":
        return Accepted(session_id=session.id, click=result), None
    for posting in await messages.postings_of(db, wait.chat_id) if wait.chat_id else ():
        await messages.touch(db, posting)
    accepted, letter = await _add(db, inbound, key, session)
    return accepted.model_copy(update={"click": "won"}), letter


async def _add(
    db: AsyncSession,
    inbound: Inbound,
    key: str,
    session: Session | None,
    *,
    message: Message | None = None,
    match: Match | None = None,
    ignored: str = "",
    handled: str = "",
) -> _Recorded:
    if session is not None and session.phase == "closed" and not ignored and not handled:
        ignored = CLOSED
    envelope = Envelope(
        kind=inbound.kind,
        event_id=inbound.event_id,
        surface=inbound.surface,
        happening=marked(inbound).happening,
        trigger=match.trigger if match else None,
        listens_to=match.listens_to if match else [],
        wait_id=inbound.wait_id,
        button_id=inbound.button_id,
        user=inbound.user,
        at=now(),
    )
    row = await inbox.add(
        db,
        dedupe_key=inbound.dedupe_key,
        kind=inbound.kind,
        session_id=session.id if session else None,
        chat_id=message.id if message else None,
        surface_key=key,
        envelope=envelope.model_dump(mode="json", exclude={"message", "inbox_id"}, exclude_none=True),
        outcome="ignored" if ignored else "handled" if handled else None,
        reason=ignored or handled,
    )
    if row is None:
        raise _BeatenError
    accepted = Accepted(
        inbox_id=row.id,
        session_id=row.session_id,
        chat_id=row.chat_id,
        ignored=ignored,
        is_complete=bool(handled),
    )
    if session is None or row.outcome is not None or (match is None and await inbox.has_earlier(db, row)):
        return accepted, None
    return accepted, Letter(session, row, message)


def _as_before(row: InboxRow) -> Accepted:
    return Accepted(
        inbox_id=row.id,
        session_id=row.session_id,
        chat_id=row.chat_id,
        ignored=row.reason if row.outcome == "ignored" else "",
        repeated=True,
        click="won" if row.kind == "button" else None,
        is_complete=row.outcome == "handled",
    )
