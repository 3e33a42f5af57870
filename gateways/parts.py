"""A message in several parts, for platforms that limit how long one may be: each part is sent once.

Every part is an effect of its own in the ledger, so a retry sends only what is missing, and what comes back from the
platform is known as ours, part by part.
"""

from collections.abc import Awaitable, Callable

from gateways.adapter import Effect
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import NotConnected, RateLimited, Rejected
from store import effects
from store.engine import Store
from store.models import EffectRow

PART = "surfaces.part"
"""Name of the operation of a part in the ledger."""

_TOOK_NOTHING = (NotConnected, Rejected, RateLimited)

Send = Callable[[Effect, int], Awaitable[str]]
"""Sends one part, by its index, and returns the platform's identifier of it."""


async def post_parts(store: Store, effect: Effect, to: ChatSurface, count: int, send: Send) -> list[str]:
    """Sends `count` parts in order and returns their identifiers. A message of one part has no rows beside its own."""
    if count == 1:
        return [await send(effect, 0)]
    return [await post_part(store, effect, to, index, send) for index in range(count)]


async def parts_of(store: Store, key: str) -> list[str]:
    """Identifiers of all parts that were sent for the effect `key`, in order; empty for a message of one part."""
    async with store.read() as db:
        rows = await effects.with_prefix(db, f"{key}/", PART)
    return [row.remote_id for row in sorted(rows, key=_number) if row.remote_id]


async def post_part(store: Store, effect: Effect, to: ChatSurface, index: int, send: Send) -> str:
    """Sends the part of that index, unless it was sent before, and returns its identifier."""
    key = f"{effect.key}/{index}"
    async with store.begin() as db:
        before = await db.get(EffectRow, key)
        if before is not None and before.state == "done" and before.remote_id:
            return before.remote_id
        earlier = before is not None and before.state == "started"
        await effects.start(db, key, effect.session_id, PART, surface_key(to))
    part = Effect(key=key, session_id=effect.session_id, earlier=earlier)
    try:
        remote_id = await send(part, index)
    except _TOOK_NOTHING as error:
        if earlier and isinstance(error, RateLimited):
            raise  # what became of the attempt before is as unknown as it was
        async with store.begin() as db:
            await effects.fail(db, key, type(error).__name__)
        raise
    async with store.begin() as db:
        await effects.finish(db, key, remote_id=remote_id)
    return remote_id


def _number(row: EffectRow) -> int:
    return int(row.key.rpartition("/")[2])
