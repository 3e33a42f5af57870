"""Messages on further surfaces: the whole conversation once, or every new message of a mirror. No echo, no doubles."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from temporalio import activity

from gateways.adapter import Content
from gateways.wire import Call, Copied, Relay, Relayed
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import SurfaceError
from runllm.operations import SyncConversation
from store import messages
from store.models import Message, Posting
from worker.activities.contents import BACKSTAGE, content_of
from worker.activities.context import Context
from worker.activities.conversations import recorded
from worker.activities.failures import FOR_GOOD
from worker.activities.files import files_of
from worker.activities.ledger import account, close_entry, open_entry, open_part, trying
from worker.activities.posting import post_once

log = logging.getLogger(__name__)

RELAY = "surfaces.relay"

PATIENCE = 10.0
"""Seconds that a surface of a mirror has, before the others go on without it."""

LINES = "lines"
"""Name in a posting's extras of the lines that stand in the place of files."""


class CopyActivities:
    """Repeats on one surface what was said on another."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=SyncConversation.name)
    async def sync_conversation(self, call: Call[SyncConversation]) -> Copied:
        """Copies, in order, all messages that the target does not show yet, and may show."""
        to = call.operation.to
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, SyncConversation.name, to)
            said = await messages.transcript(db, call.session_id)
        if entry.is_done:
            return Copied()
        for row in said:
            if not row.is_internal or to.type in BACKSTAGE:
                await self._copy(call, SyncConversation.name, row, to)
        async with self._context.store.begin() as db:
            await close_entry(db, entry)
        return Copied()

    @activity.defn(name=RELAY)
    async def relay(self, call: Call[Relay]) -> Relayed | None:
        """Repeats one inbound event of a mirror. A target that fails or is slow keeps it from no other.

        None is what histories from before hold: all targets took it.

        Raises:
            SurfaceError: The call insists, and a target did not take it.
        """
        event = call.operation
        async with self._context.store.begin() as db:
            await account(db, call)
            row = await recorded(db, call.session_id, event.chat_id)
        targets = _others(event.to, event.from_surface)
        became = await asyncio.gather(*(self._became(call, row, to) for to in targets), return_exceptions=True)
        for one in became:
            if isinstance(one, BaseException):
                raise one
        return _summed(dict(zip(map(surface_key, targets), became, strict=True)))  # type: ignore[arg-type]  # see above

    async def _became(self, call: Call[Relay], row: Message, to: ChatSurface) -> "_Became":
        """What became of the event on one target."""
        if row.is_internal and to.type not in BACKSTAGE:
            return _Became("kept_back")
        try:
            async with asyncio.timeout(None if call.operation.insists else PATIENCE):
                return _Became("shown" if await self._repeat(call, row, to) else "nothing")
        except (SurfaceError, TimeoutError) as error:
            log.warning("Session %d: mirroring to %s: %s", call.session_id, to.type, type(error).__name__)
            if call.operation.insists:
                raise
            why = str(error) or f"no answer in {PATIENCE:.0f} s"
            return _Became("refused" if isinstance(error, FOR_GOOD) else "later", why)

    async def _repeat(self, call: Call[Relay], row: Message, to: ChatSurface) -> bool:
        """Repeats the event on one target; says whether there was anything to do."""
        match call.operation.kind:
            case "message" if row.deleted_at is None:
                await self._copy(call, RELAY, row, to)
                return True
            case "edit" | "delete" as kind:
                copies = await self._copies(row, to)
                for posting in copies:
                    await self._change(call, kind, row, posting, to)
                return bool(copies)
            case _:
                return False

    async def _copy(self, call: Call[Relay] | Call[SyncConversation], name: str, row: Message, to: ChatSurface) -> None:
        """Posts `row` on `to`, unless it is there already: written there, sent there, or copied before."""
        async with self._context.store.begin() as db:
            if any(posting.surface_key == surface_key(to) for posting in await messages.postings_of(db, row.id)):
                return
            part = await open_part(db, call, name, row.id, to)
        if part.is_done:
            return
        files, lines = await files_of(self._context, row, to, part.attempt)
        content = copy_of(row, lines).model_copy(update={"files": files})
        await post_once(self._context, part, to, content, extras={LINES: lines} if lines else None)

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
                await adapter.edit(part.effect, to, posting.remote_id, copy_of(row, posting.extras.get(LINES, ())))
            else:
                await adapter.delete(part.effect, to, posting.remote_id)
        async with self._context.store.begin() as db:
            await close_entry(db, part, remote_id=posting.remote_id)


def copy_of(row: Message, lines: Sequence[str] = ()) -> Content:
    """A message as a copy shows it: under its author's name, and without asking for feedback a second time.

    `lines` stand below the text: what became of files that could not come along.
    """
    content = content_of(row, enable_feedback=False)
    text = "\n\n".join(filter(None, [content.text, *lines]))
    return content.model_copy(update={"text": text, "author_name": name_of(row)})


def name_of(row: Message) -> str | None:
    """What a copy calls the author; None for the agent, who speaks for itself."""
    if row.author_name or row.author != MessageType.USER:
        return row.author_name
    return "Another bot" if row.is_from_bot else "Support" if row.is_from_staff else "Customer"


@dataclass(frozen=True)
class _Became:
    """What became of an event on one surface, and why."""

    how: Literal["shown", "nothing", "later", "refused", "kept_back"]
    why: str = ""


def _summed(became: dict[str, _Became]) -> Relayed:
    return Relayed(
        shown=[key for key, one in became.items() if one.how == "shown"],
        later={key: one.why for key, one in became.items() if one.how == "later"},
        refused={key: one.why for key, one in became.items() if one.how == "refused"},
        kept_back=[key for key, one in became.items() if one.how == "kept_back"],
    )


def _others(targets: Iterable[ChatSurface], origin: ChatSurface) -> list[ChatSurface]:
    """Each target once, without the surface that the event comes from."""
    by_key = {surface_key(target): target for target in targets}
    by_key.pop(surface_key(origin), None)
    return list(by_key.values())
