"""Messages, threads and tickets: each operation changes its platform once."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from gateways.adapter import Requester
from gateways.wire import Call
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import ChatSurface, DiscordThread, SlackThread, ZendeskTicket, surface_key
from runllm.errors import UsageError
from runllm.operations import (
    CreateDiscordThread,
    CreateSlackThread,
    CreateZendeskTicket,
    Posted,
    PostMessage,
    UpdateZendeskTicket,
)
from store import buttons, messages, sessions
from worker.activities.contents import button_ids, content_to_post, message_to_post, refuse_to_leak
from worker.activities.context import Context
from worker.activities.conversations import as_text, conversation
from worker.activities.ledger import Entry, close_entry, open_entry, trying
from worker.activities.posting import post_once
from worker.answering.protocol import Turn

T = TypeVar("T", SlackThread, DiscordThread)

DEFAULT_DESCRIPTION = "Conversation:\n\n{conversation}"
STATUSES = ("new", "open", "pending", "on-hold", "solved", "closed")
_TITLE_LENGTH = 150


class SurfaceActivities:
    """What an agent does to platforms, apart from copying conversations."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=PostMessage.name)
    async def post_message(self, call: Call[PostMessage]) -> Posted:
        """Sends a message. Its buttons' wait is open before anybody can click."""
        operation = call.operation
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, PostMessage.name, operation.to)
            if entry.is_done:
                return Posted(remote_id=entry.remote_id or "")
            row = await message_to_post(db, call, operation.message, is_internal=operation.is_internal)
            content = content_to_post(row, operation)
            refuse_to_leak(content, operation.to)
            if operation.wait is not None:
                await buttons.open_wait(
                    db,
                    session_id=call.session_id,
                    wait_id=operation.wait.wait_id,
                    chat_id=row.id,
                    surface_key=surface_key(operation.to),
                    button_ids=button_ids(content.blocks),
                    allowed_users=operation.wait.allowed_users,
                )
        # What settling the buttons needs to know later; the text stays where it is, in the record.
        result = operation.model_dump(mode="json", exclude={"message": {"text"}})
        remote_id = await post_once(self._context, entry, operation.to, content, result)
        return Posted(remote_id=remote_id)

    @activity.defn(name=CreateSlackThread.name)
    async def create_slack_thread(self, call: Call[CreateSlackThread]) -> SlackThread:
        """Opens a Slack thread, or finds the one that this session has in the channel."""
        operation = call.operation
        channel_key = f"slack:{operation.team_id}:{operation.channel_id}" if operation.reuse else None
        found = await self._opened(call, CreateSlackThread.name, channel_key, SlackThread)
        if not isinstance(found, Entry):
            return found
        async with trying(self._context.store, found):
            opener = self._context.openers.slack
            thread = await opener.open_slack_thread(found.effect, operation.team_id, operation.channel_id)
        await self._keep(found, thread, channel_key)
        return thread

    @activity.defn(name=CreateDiscordThread.name)
    async def create_discord_thread(self, call: Call[CreateDiscordThread]) -> DiscordThread:
        """Opens a Discord thread, or finds the one that this session has in the channel."""
        operation = call.operation
        channel_key = f"discord:{operation.guild_id}:{operation.channel_id}" if operation.reuse else None
        found = await self._opened(call, CreateDiscordThread.name, channel_key, DiscordThread)
        if not isinstance(found, Entry):
            return found
        async with trying(self._context.store, found):
            opener = self._context.openers.discord
            thread = await opener.open_discord_thread(found.effect, operation.guild_id, operation.channel_id)
        await self._keep(found, thread, channel_key)
        return thread

    @activity.defn(name=CreateZendeskTicket.name)
    async def create_zendesk_ticket(self, call: Call[CreateZendeskTicket]) -> ZendeskTicket:
        """Opens a ticket that tells the conversation. Comments on it belong to this session from the start."""
        operation = call.operation
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, CreateZendeskTicket.name)
            if entry.is_done:
                return ZendeskTicket.model_validate(entry.result)
            turns = (await conversation(db, call.session_id)).turns
            requester = await requester_of(db, call.session_id)
        # Customers write braces, so this is a replacement, never a format string.
        description = (operation.description or DEFAULT_DESCRIPTION).replace("{conversation}", as_text(turns))
        title = operation.title or title_of(turns)
        async with trying(self._context.store, entry):
            opener = self._context.openers.zendesk
            ticket = await opener.open_ticket(
                entry.effect,
                operation.domain,
                title,
                description,
                operation.tags or [],
                requester,
                operation.follow_up_of,
            )
        async with self._context.store.begin() as db:
            await sessions.bind(db, call.session_id, ticket)
            await close_entry(db, entry, ticket.model_dump(mode="json"), ticket.id)
        return ticket

    @activity.defn(name=UpdateZendeskTicket.name)
    async def update_zendesk_ticket(self, call: Call[UpdateZendeskTicket]) -> None:
        """Adds tags to a ticket and sets its status."""
        operation = call.operation
        if operation.status not in STATUSES:
            raise UsageError(f"A ticket cannot be {operation.status!r}. Use one of: {', '.join(STATUSES)}")
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, UpdateZendeskTicket.name, operation.to)
        if entry.is_done:
            return
        async with trying(self._context.store, entry):
            opener = self._context.openers.zendesk
            await opener.update_ticket(entry.effect, operation.to, operation.tags, operation.status)
        async with self._context.store.begin() as db:
            await close_entry(db, entry)

    async def _opened(
        self,
        call: Call[CreateSlackThread] | Call[CreateDiscordThread],
        name: str,
        channel_key: str | None,
        kind: type[T],
    ) -> T | Entry:
        """The thread, where there is one already; otherwise the effect that is to open it."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, name)
            if entry.is_done:
                return kind.model_validate(entry.result)
            before = await sessions.thread_in_channel(db, call.session_id, channel_key) if channel_key else None
            if not isinstance(before, kind):
                return entry
            await close_entry(db, entry, before.model_dump(mode="json"))
            return before

    async def _keep(self, entry: Entry, thread: ChatSurface, channel_key: str | None) -> None:
        """A thread of the conversation is bound to its session; one that was opened apart is not."""
        async with self._context.store.begin() as db:
            if channel_key is not None:
                await sessions.bind(db, entry.effect.session_id, thread, channel_key=channel_key)
            await close_entry(db, entry, thread.model_dump(mode="json"))


async def requester_of(db: AsyncSession, session_id: int) -> Requester | None:
    """Who asked first, where the platform gave a name; a widget's visitor whom nobody knows is no requester."""
    said = await messages.transcript(db, session_id)
    asker = next((row for row in said if row.author == MessageType.USER), None)
    if asker is None or not asker.author_id or not (asker.author_name or "").strip():
        return None
    return Requester(user=asker.author_id, name=asker.author_name or "")


def title_of(turns: Sequence[Turn]) -> str:
    """The first thing a person said, on one line."""
    first = next((turn.text for turn in turns if turn.author == "user"), "Support conversation")
    line = " ".join(first.split())
    return line if len(line) <= _TITLE_LENGTH else f"{line[: _TITLE_LENGTH - 1].rstrip()}…"
