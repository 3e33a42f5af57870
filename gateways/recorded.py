"""Surfaces that we show ourselves: to post there is to write the posting, so a message is there exactly once."""

from typing import Any, Protocol

from gateways.adapter import Content, Effect
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import Rejected
from store import messages
from store.engine import Store


class Pokes(Protocol):
    """Tells open streams that a surface has changed. It never fails and never waits."""

    def poke(self, surface_key: str) -> None:
        """Says that what the surface shows has changed."""
        ...


class RecordedSurface:
    """The adapter of the chat widget and of the admin console. A posting's remote id is its effect's key."""

    def __init__(self, store: Store, hub: Pokes) -> None:
        self._store = store
        self._hub = hub

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Shows a message. An earlier attempt left a posting with this effect's key, or nothing."""
        key = surface_key(to)
        async with self._store.begin() as db:
            posting = await messages.post(
                db,
                session_id=effect.session_id,
                chat_id=content.chat_id,
                surface_key=key,
                remote_id=effect.key,
                effect_key=effect.key,
                extras=extras_of(content),
            )
        self._hub.poke(key)
        return posting.remote_id

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Shows a message again, as the record has it now."""
        await self._touch(to, remote_id, {})

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Hides a message here; the record keeps it."""
        await self._touch(to, remote_id, {"hidden": True})

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Shows `note` beside the buttons. That they are disabled follows from their wait."""
        await self._touch(to, remote_id, {"note": note})

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """Nobody can send files here, so there are none to read."""
        raise Rejected(f"{attachment.get('name', 'The file')} is not kept by this engine.")

    async def _touch(self, to: ChatSurface, remote_id: str, change: dict[str, Any]) -> None:
        key = surface_key(to)
        async with self._store.begin() as db:
            posting = await messages.find_posting(db, key, remote_id)
            if posting is None:
                raise Rejected(f"{key} shows no message {remote_id}, so it cannot be changed there.")
            if change and {**posting.extras, **change} == posting.extras:
                return
            await messages.touch(db, posting, {**posting.extras, **change})
        self._hub.poke(key)


def extras_of(content: Content) -> dict[str, Any]:
    """What a surface shows beside the message itself. Only what is set, so that most postings have none."""
    extras = {
        "prefix": content.prefix,
        "blocks": content.blocks,
        "wait_id": content.wait.wait_id if content.wait else None,
        "as": content.author_name,
        "feedback": content.enable_feedback,
    }
    return {name: value for name, value in extras.items() if value}
