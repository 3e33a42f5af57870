"""Messages on further surfaces: the whole conversation once, or every new message of a mirror. No echo, no doubles."""

import logging
from collections.abc import Iterable

from temporalio import activity

from gateways.adapter import Content
from gateways.wire import Call, Relay
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import SurfaceError
from runllm.operations import SyncConversation
from store import messages
from store.models import Message, Posting
from worker.activities.contents import content_of
from worker.activities.context import Context
from worker.activities.conversations import recorded
from worker.activities.failures import first_to_raise
from worker.activities.ledger import account, close_entry, open_entry, open_part, trying
from worker.activities.posting import post_once

log = logging.getLogger(__name__)

RELAY = "surfaces.relay"


class CopyActivities:
    """Repeats on one surface what was said on another."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=SyncConversation.name)
    async def sync_conversation(self, call: Call[SyncConversation]) -> None:
        """Copies, in order, all messages that the target does not show yet."""
        to = call.operation.to
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, SyncConversation.name, to)
            said = await messages.transcript(db, call.session_id)
        if entry.is_done:
            return
        for row in said:
            if row.deleted_at is None:
                await self._copy(call, SyncConversation.name, row, to)
        async with self._context.store.begin() as db:
            await close_entry(db, entry)

    @activity.defn(name=RELAY)
    async def relay(self, call: Call[Relay]) -> None:
        """Repeats one inbound event of a mirror. A target that fails does not keep it from the others."""
        event = call.operation
        async with self._context.store.begin() as db:
            await account(db, call)
            row = await recorded(db, call.session_id, event.chat_id)
        failed: list[SurfaceError] = []
        for to in _others(event.to, event.from_surface):
            try:
                await self._repeat(call, row, to)
            except SurfaceError as error:
                log.warning("Session %d: mirroring to %s: %s", call.session_id, to.type, type(error).__name__)
                failed.append(error)
        if failed:
            raise first_to_raise(failed)

    async def _repeat(self, call: Call[Relay], row: Message, to: ChatSurface) -> None:
        match call.operation.kind:
            case "message" if row.deleted_at is None:
                await self._copy(call, RELAY, row, to)
            case "edit" | "delete" as kind:
                for posting in await self._copies(row, to):
                    await self._change(call, kind, row, posting, to)
            case _:
                return

    async def _copy(self, call: Call[Relay] | Call[SyncConversation], name: str, row: Message, to: ChatSurface) -> None:
        """Posts `row` on `to`, unless it is there already: written there, sent there, or copied before."""
        async with self._context.store.begin() as db:
            if any(posting.surface_key == surface_key(to) for posting in await messages.postings_of(db, row.id)):
                return
            part = await open_part(db, call, name, row.id, to)
        if part.is_done:
            return
        await post_once(self._context, part, to, copy_of(row))

    async def _copies(self, row: Message, to: ChatSurface) -> list[Posting]:
        """What this engine posted of `row` on `to`: only that can be changed."""
        async with self._context.store.read() as db:
            found = await messages.postings_of(db, row.id)
        return [one for one in found if one.surface_key == surface_key(to) and one.effect_key is not None]

    async def _change(self, call: Call[Relay], kind: str, row: Message, posting: Posting, to: ChatSurface) -> None:
        async with self._context.store.begin() as db:
            part = await open_part(db, call, RELAY, row.id, to, posting.remote_id)
        if part.is_done:
            return
        adapter = self._context.adapter(to)
        async with trying(self._context.store, part):
            if kind == "edit":
                await adapter.edit(part.effect, to, posting.remote_id, copy_of(row))
            else:
                await adapter.delete(part.effect, to, posting.remote_id)
        async with self._context.store.begin() as db:
            await close_entry(db, part, remote_id=posting.remote_id)


def copy_of(row: Message) -> Content:
    """A message as a copy shows it: under its author's name, and without asking for feedback a second time."""
    name = row.author_name or ("Customer" if row.author == MessageType.USER else None)
    return content_of(row, enable_feedback=False).model_copy(update={"author_name": name})


def _others(targets: Iterable[ChatSurface], origin: ChatSurface) -> list[ChatSurface]:
    """Each target once, without the surface that the event comes from."""
    by_key = {surface_key(target): target for target in targets}
    by_key.pop(surface_key(origin), None)
    return list(by_key.values())
