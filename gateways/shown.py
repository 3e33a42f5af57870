"""What a client of ours is shown: a row of the record as an event of the stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gateways.files import described
from runllm.bridge.messages import MessageType
from store import buttons as waits
from store import feedback, messages
from store.models import ButtonWaitRow, Message, Posting

_VIA = {"slack": "Slack", "zendesk": "Zendesk", "discord": "Discord", "widget": "Chat", "console": "Console"}
_STYLES = ("primary", "danger")


@dataclass(frozen=True)
class Shown:
    """A posting with all that is shown with it."""

    posting: Posting
    message: Message
    wait: ButtonWaitRow | None = None
    is_helpful: bool | None = None
    via: str | None = None

    def as_event(self) -> dict[str, Any]:
        """The data of the durable event `message`. All of it: clients replace what they have by it."""
        posting, message, extras = self.posting, self.message, self.posting.extras
        buttons = _buttons(extras.get("blocks", ()))
        is_gone = message.deleted_at is not None or bool(extras.get("hidden"))
        return {
            "seq": posting.seq,
            "position": posting.position,
            "id": posting.remote_id,
            "chat_id": message.id,
            "author": message.author,
            "author_name": extras.get("as") or message.author_name,
            "via": self.via,
            "text": "" if is_gone else message.text,
            "prefix": extras.get("prefix"),
            "category": message.category,
            "sources": [] if is_gone else message.sources,
            "files": [] if is_gone else [str(file.get("name") or "a file") for file in message.attachments],
            "attachments": [] if is_gone else [described(file) for file in message.attachments],
            "buttons": [] if is_gone else buttons,
            "wait": _wait(self.wait, extras.get("note")),
            # Answers are rated, not what a workflow says or asks beside them.
            "feedback": bool(extras.get("feedback") and message.category) and not buttons and not is_gone,
            "helpful": self.is_helpful,
            "edited": message.edited_at is not None,
            "deleted": is_gone,
            "at": posting.at.isoformat(),
        }


async def shown_after(
    db: AsyncSession, surface_key: str, after: int, user: str | None, limit: int = 200
) -> list[Shown]:
    """What has changed on a surface since `after`, as `user` is to see it."""
    rows = await messages.feed(db, surface_key, after, limit)
    if not rows:
        return []
    opinions = {
        opinion.chat_id: opinion.is_helpful
        for opinion in await feedback.of_session(db, rows[0][0].session_id)
        if opinion.author_id == (user or "")
    }
    return [
        Shown(
            posting,
            message,
            wait=await _wait_of(db, posting),
            is_helpful=opinions.get(message.id),
            via=await _via(db, posting, message),
        )
        for posting, message in rows
    ]


async def _wait_of(db: AsyncSession, posting: Posting) -> ButtonWaitRow | None:
    wait_id = posting.extras.get("wait_id")
    return await waits.get(db, posting.session_id, wait_id) if wait_id else None


async def _via(db: AsyncSession, posting: Posting, message: Message) -> str | None:
    """Where a person wrote what we only copied here."""
    if message.author != MessageType.USER or posting.effect_key is None:
        return None
    written = [other for other in await messages.postings_of(db, message.id) if other.effect_key is None]
    return _VIA.get(written[0].surface_key.partition(":")[0]) if written else None


def _buttons(blocks: Sequence[Any]) -> list[dict[str, str]]:
    """The buttons of a message's blocks; what is malformed is left out, the rest is shown."""
    groups = [block.get("buttons") for block in blocks if isinstance(block, dict) and block.get("type") == "buttons"]
    found = [button for group in groups if isinstance(group, list) for button in group if isinstance(button, dict)]
    return [
        {
            "id": str(button["id"]),
            "text": str(button.get("text") or button["id"]),
            "style": next((style for style in _STYLES if style == button.get("style")), "default"),
        }
        for button in found
        if button.get("id") is not None
    ]


def _wait(wait: ButtonWaitRow | None, note: str | None) -> dict[str, Any] | None:
    if wait is None:
        return {"id": 0, "state": "cancelled", "clicked": None, "note": note} if note else None
    return {"id": wait.wait_id, "state": wait.state, "clicked": wait.clicked_button, "note": note}
