"""A message as Slack shows it: Markdown, sources, the workflow's blocks, buttons, feedback. Pure.

Text goes into Slack's own `markdown` block, which renders headings, lists, tables, code and links as they are meant;
`text` beside it is what notifications and screen readers say.
https://docs.slack.dev/reference/block-kit/blocks/markdown-block
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from gateways.adapter import Content
from gateways.slack.splitting import split
from runllm.bridge.messages import MessageType, Source
from runllm.errors import Rejected
from runllm.operations import Frozen

TEXT_LIMIT = 9_000
"""Of one message. A markdown block may have 12,000, but all blocks of a message together hardly more than 13,000."""

BLOCKS_LIMIT = 12_000
"""Of all blocks of a message, as JSON. What stands below a text that leaves no room for it is a message of its own."""

BUTTON_ACTION = "runllm_button"
FEEDBACK_ACTION = "runllm_feedback"
BUTTONS_BLOCK = "runllm_buttons"
FEEDBACK_BLOCK = "runllm_feedback"

_NOTIFICATION_LENGTH = 2_000
_LABEL_LENGTH = 75
_VALUE_LENGTH = 1_900
_ROW = 25
_MOST_SOURCES = 10
_BROADCAST = re.compile(r"<(?=!(?:channel|here|everyone|subteam))", re.IGNORECASE)
_MENTION = re.compile(r"<(?=[@#!])")
_JOINER = "\u2060"  # invisible: after it Slack no longer takes what follows for a mention


class Part(Frozen):
    """One message of Slack's: a long one of ours is several."""

    text: str
    blocks: list[dict[str, Any]]


def render(content: Content, *, has_own_name: bool = False) -> list[Part]:
    """The messages that show `content`, in order. Buttons and the question for feedback are on the last.

    Args:
        content: What to show.
        has_own_name: Slack shows the author's name itself, so the text need not.

    Raises:
        Rejected: There is nothing to show, or a button has an id that Slack cannot carry.
    """
    own = own_blocks(content.blocks, content.wait.wait_id if content.wait else 0)
    below = [*_sources(content.sources), *own]
    if content.enable_feedback and content.author == MessageType.ASSISTANT:
        below.append(_feedback(content.chat_id))
    text = _text(content, has_own_name)
    if not text.strip() and not own:
        raise Rejected("Slack takes no empty message. Give it a text, or blocks.")
    if not text.strip():
        return [Part(text=_spoken(content.prefix or "A message with blocks"), blocks=below)]
    parts = [Part(text=_spoken(piece), blocks=[_markdown(piece)]) for piece in split(text, TEXT_LIMIT)]
    together = [*parts[-1].blocks, *below]
    if len(json.dumps(together, ensure_ascii=False)) > BLOCKS_LIMIT:
        return [*parts, Part(text="More on this", blocks=below)]
    return [*parts[:-1], Part(text=parts[-1].text, blocks=together)]


def settled(blocks: Sequence[dict[str, Any]], note: str) -> list[dict[str, Any]]:
    """Blocks of a message whose buttons are over: `note` stands where they were."""
    kept: list[dict[str, Any]] = []
    is_noted = False
    for block in blocks:
        if not str(block.get("block_id", "")).startswith(BUTTONS_BLOCK):
            kept.append(block)
        elif not is_noted:
            kept.append(_context(note))
            is_noted = True
    return kept if is_noted or not note else [*kept, _context(note)]


def own_blocks(blocks: Sequence[dict[str, Any]], wait_id: int) -> list[dict[str, Any]]:
    """The workflow's blocks: ours become Slack's, and Slack's stay, with their text taken literally."""
    rendered: list[dict[str, Any]] = []
    groups = 0
    for block in blocks:
        if block.get("type") != "buttons":
            rendered.append(_literal(block))
            continue
        buttons = block.get("buttons") or []
        for start in range(0, len(buttons), _ROW):
            rendered.append(_row(buttons[start : start + _ROW], wait_id, groups))
            groups += 1
    return rendered


def escaped(text: str) -> str:
    """Text for mrkdwn, where three characters have a meaning.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(content: Content, has_own_name: bool) -> str:
    is_quoted = content.author == MessageType.USER or content.category is not None
    # A workflow may mention people in its own words; nobody else's words may, and nothing calls a whole channel.
    text = (_MENTION if is_quoted else _BROADCAST).sub(f"<{_JOINER}", content.text)
    if content.author_name and not has_own_name:
        name = re.sub(r"[*_`<>\[\]\n]", "", content.author_name).strip() or "Somebody"
        text = f"**{name}:**{_gap(text)}{text}"
    return f"{content.prefix}\n\n{text}" if content.prefix and text.strip() else text or content.prefix or ""


def _gap(text: str) -> str:
    """Between a name and what was said: what begins with a list, a table or code begins on a line of its own."""
    return "\n\n" if text.startswith(("```", "~~~", "|", "#", ">", "- ", "* ", "1. ")) else " "


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "markdown", "text": text}


def _spoken(text: str) -> str:
    """What a notification says: the words, without most of the marks."""
    words = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    words = re.sub(r"(\*\*|__|^#{1,6}\s|^```.*$)", "", words, flags=re.MULTILINE).strip()
    said = words or text
    return escaped(said if len(said) <= _NOTIFICATION_LENGTH else f"{said[:_NOTIFICATION_LENGTH]}…")


def _sources(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Where an answer comes from, in small print."""
    seen = list(dict.fromkeys((source.title, source.url) for source in sources))[:_MOST_SOURCES]
    if not seen:
        return []
    links = [
        f"<{url}|{escaped(title[:150]).replace('|', '¦')}>" if url else escaped(title[:150]) for title, url in seen
    ]
    return [_context("Sources: " + " · ".join(links))]


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text[:2_900], "verbatim": True}]}


def _row(buttons: Sequence[dict[str, Any]], wait_id: int, group: int) -> dict[str, Any]:
    elements = []
    for index, button in enumerate(buttons):
        value = button_value(wait_id, str(button["id"]))
        label = str(button.get("text") or button["id"])
        element = {
            "type": "button",
            "action_id": f"{BUTTON_ACTION}_{group}_{index}",
            "text": {"type": "plain_text", "text": _cut(label), "emoji": True},
            "value": value,
        }
        if button.get("style") in ("primary", "danger"):
            element["style"] = button["style"]
        elements.append(element)
    return {"type": "actions", "block_id": f"{BUTTONS_BLOCK}_{group}", "elements": elements}


def button_value(wait_id: int, button_id: str) -> str:
    """What a button carries: the wait it belongs to, so that an old click never answers a new question.

    Raises:
        Rejected: The id is longer than Slack can carry.
    """
    value = f"{wait_id}:{button_id}"
    if len(value) > _VALUE_LENGTH:
        raise Rejected(f"A button's id has {len(button_id)} characters, and Slack carries {_VALUE_LENGTH}. Shorten it.")
    return value


def _feedback(chat_id: int) -> dict[str, Any]:
    """Was this helpful? The answers are recorded by `gateways.slack.app`."""
    choices = (("yes", ":thumbsup: Helpful"), ("no", ":thumbsdown: Not helpful"))
    elements = [
        {
            "type": "button",
            "action_id": f"{FEEDBACK_ACTION}_{answer}",
            "text": {"type": "plain_text", "text": label, "emoji": True},
            "value": str(chat_id),
        }
        for answer, label in choices
    ]
    return {"type": "actions", "block_id": FEEDBACK_BLOCK, "elements": elements}


def _literal(value: Any) -> Any:
    """Blocks whose mrkdwn is shown as it is written, unless the workflow says otherwise."""
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {name: _literal(item) for name, item in value.items()}
    if fields.get("type") == "mrkdwn":
        return {"verbatim": True, **fields}
    if fields.get("type") == "markdown":
        fields.pop("verbatim", None)  # that block is literal already, and Slack refuses the field there
    return fields


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_LENGTH else f"{label[: _LABEL_LENGTH - 1]}…"
