"""Effects once: what is written before a platform or a model is called, and after."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gateways.adapter import Effect
from gateways.wire import Call
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import RateLimited
from runllm.operations import Frozen
from store import effects, inbox
from store.engine import Store
from worker.activities.failures import TOOK_NOTHING


@dataclass(frozen=True)
class Entry:
    """An effect in the ledger, as this attempt found it.

    Attributes:
        effect: What an adapter is given.
        attempt: The first is 1.
        is_done: An earlier attempt finished it: nothing is left to do but to return its result.
        remote_id: The platform's identifier, once it is done.
        result: What `close` was given by the attempt that finished it.
    """

    effect: Effect
    attempt: int
    is_done: bool
    remote_id: str | None
    result: dict[str, Any]


async def account(db: AsyncSession, call: Call[Any]) -> None:
    """Stores what became of the events that the session finished before this call."""
    if call.outcomes:
        await inbox.account(db, [(one.inbox_id, one.outcome, one.reason) for one in call.outcomes])


async def open_entry(db: AsyncSession, call: Call[Any], name: str, to: ChatSurface | None = None) -> Entry:
    """Writes down that the operation of `call` is about to be performed; accounts for finished events on the way."""
    await account(db, call)
    return await reopen(db, call.key, call.session_id, name, to)


async def open_part(
    db: AsyncSession, call: Call[Any], name: str, chat_id: int, to: ChatSurface, remote_id: str = ""
) -> Entry:
    """As `open_entry`, for one message on one target of an operation that has several.

    A change of a message that is there already names it by its `remote_id`.
    """
    key = part_key(call.key, chat_id, f"{surface_key(to)}/{remote_id}")
    return await reopen(db, key, call.session_id, name, to)


def part_key(key: str, chat_id: int, where: str) -> str:
    """The key of one part of an effect: the same on every retry, and short enough for the ledger's column."""
    return f"{key}:{chat_id}:{sha256(where.encode()).hexdigest()[:10]}"


async def reopen(db: AsyncSession, key: str, session_id: int, name: str, to: ChatSurface | None) -> Entry:
    """Another attempt at the effect of that key, whichever call it was that began it."""
    row, may_have_happened = await effects.start(db, key, session_id, name, surface_key(to) if to else "")
    return Entry(
        effect=Effect(key=key, session_id=session_id, earlier=may_have_happened),
        attempt=row.attempts,
        is_done=row.state == "done",
        remote_id=row.remote_id,
        result=row.result or {},
    )


async def close_entry(
    db: AsyncSession, entry: Entry, result: Frozen | dict[str, Any] | None = None, remote_id: str | None = None
) -> None:
    """Writes down that the effect happened, with what a retry is to return."""
    data = result.model_dump(mode="json") if isinstance(result, Frozen) else result
    await effects.finish(db, entry.effect.key, remote_id=remote_id, result=data)


@asynccontextmanager
async def trying(store: Store, entry: Entry) -> AsyncIterator[None]:
    """Around the call of a platform: an error that proves that nothing happened is written down.

    After any other error the effect stays started, and the next attempt looks for it before it sends. So it does where
    this attempt was only told to come back later: what became of an earlier one is as unknown as before.
    """
    try:
        yield
    except TOOK_NOTHING as error:
        if entry.effect.earlier and isinstance(error, RateLimited):
            raise
        async with store.begin() as db:
            await effects.fail(db, entry.effect.key, f"{type(error).__name__}: {error}")
        raise
