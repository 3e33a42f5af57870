"""Messages of the record as a platform is to show them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gateways.adapter import Content
from gateways.wire import Call
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import ChatSurface, SurfaceType
from runllm.errors import UsageError
from runllm.operations import MessageRef, PostMessage
from store import messages
from store.models import Message
from worker.activities.conversations import recorded

BACKSTAGE = (SurfaceType.ZENDESK_TICKET, SurfaceType.ADMIN_CONSOLE)
"""Surfaces that can show a message to the support team alone."""


def content_of(row: Message, **how: Any) -> Content:
    """The message `row`; `how` sets the fields of `Content` that the record does not know."""
    return Content(
        chat_id=row.id,
        text=row.text,
        author=MessageType(row.author),
        author_name=row.author_name,
        category=AnswerCategory(row.category) if row.category else None,
        sources=[Source.model_validate(source) for source in row.sources],
        attachments=row.attachments,
        **{"is_internal": row.is_internal, **how},
    )


def content_to_post(row: Message, operation: PostMessage) -> Content:
    """The message `row` as an agent wants it posted."""
    return content_of(
        row,
        prefix=operation.prefix,
        ephemeral=operation.ephemeral,
        enable_feedback=operation.enable_feedback and row.author == MessageType.ASSISTANT,
        blocks=operation.blocks or [],
        wait=operation.wait,
        is_internal=row.is_internal or operation.is_internal,
    )


def refuse_to_leak(content: Content, to: ChatSurface) -> None:
    """What only the support team may see goes to no surface where customers are.

    Raises:
        UsageError: It would.
    """
    if content.is_internal and to.type not in BACKSTAGE:
        raise UsageError(
            f"Message {content.chat_id} is an internal comment, and customers can see a {to.type}. "
            "Send it to a Zendesk ticket or the console, or send text of your own"
        )


def button_ids(blocks: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of all buttons in `blocks`.

    Raises:
        UsageError: A message is to wait for a button and has none.
    """
    groups = [block.get("buttons") or [] for block in blocks if block.get("type") == "buttons"]
    ids = [str(button["id"]) for buttons in groups for button in buttons if "id" in button]
    if not ids:
        raise UsageError(
            "A message that waits for a button has none. "
            'Pass blocks=[{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}]}]'
        )
    return ids


async def message_to_post(db: AsyncSession, call: Call[Any], ref: MessageRef, *, is_internal: bool = False) -> Message:
    """The row behind `ref`. Plain text gets a row of its own, under the effect's key.

    A recorded message whose text the handler changed: the row gets the new text if nobody has seen it yet. If somebody
    has, or a person wrote it, a new row does: nobody's words change under their eyes.
    """
    mine = await messages.by_key(db, call.key)
    if mine is not None:
        return mine
    if ref.chat_id is None:
        return await messages.add(
            db,
            session_id=call.session_id,
            author=MessageType.ASSISTANT,
            text=ref.text or "",
            is_internal=is_internal,
            key=call.key,
        )
    row = await recorded(db, call.session_id, ref.chat_id)
    is_new = row.author == MessageType.ASSISTANT and not await messages.postings_of(db, row.id)
    if ref.text is None or ref.text == row.text or is_new:
        row.text = row.text if ref.text is None else ref.text
        if row.author == MessageType.ASSISTANT:  # its words are internal as long as it says them internally only
            row.is_internal = is_internal and (row.is_internal or is_new)
        return row
    return await messages.add(
        db,
        session_id=call.session_id,
        author=row.author,
        author_id=row.author_id,
        author_name=row.author_name,
        text=ref.text,
        category=row.category,
        sources=row.sources,
        attachments=row.attachments,
        is_internal=is_internal or (row.is_internal and row.author == MessageType.USER),
        is_from_staff=row.is_from_staff,
        is_from_bot=row.is_from_bot,
        key=call.key,
    )
