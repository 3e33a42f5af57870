"""A message to a surface: posted once, and written down where people see it."""

from typing import Any

from gateways.adapter import Content
from runllm.bridge.surfaces import ChatSurface, surface_key
from store import messages
from worker.activities.context import Context
from worker.activities.ledger import Entry, close_entry, trying


async def post_once(
    context: Context,
    entry: Entry,
    to: ChatSurface,
    content: Content,
    result: dict[str, Any] | None = None,
    extras: dict[str, Any] | None = None,
) -> str:
    """Posts `content` as the effect of `entry`, and closes that with `result`. Returns the platform's identifier.

    `extras` is what later changes of the message have to know of it.
    """
    async with trying(context.store, entry):
        remote_id = await context.adapter(to).post(entry.effect, to, content)
    async with context.store.begin() as db:
        await messages.post(  # on our own surfaces the adapter has written it: the same key finds it
            db,
            session_id=entry.effect.session_id,
            chat_id=content.chat_id,
            surface_key=surface_key(to),
            remote_id=remote_id,
            effect_key=entry.effect.key,
            extras=extras,
        )
        await close_entry(db, entry, result, remote_id)
    return remote_id
