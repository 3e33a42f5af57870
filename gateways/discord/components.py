"""Buttons: how a message asks for a choice or an opinion, and how it looks when that is over.

At most five in a row and five rows: https://discord.com/developers/docs/components/reference#button
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from gateways.adapter import Content
from gateways.discord.inbound import CHOICE, DISLIKED, LIKED
from gateways.wire import button_value
from runllm.bridge.messages import MessageType
from runllm.errors import Rejected

_ROW, _BUTTON = 1, 2
_STYLES = {"primary": 1, "danger": 4}
_GREY = 2
_IN_A_ROW, _ROWS = 5, 5
_LONGEST_ID, _LONGEST_LABEL = 100, 80


def rows_of(content: Content, session_id: int) -> list[dict[str, Any]]:
    """The rows of buttons of a message: the choices, then the thumbs below an answer.

    Raises:
        Rejected: There are more than Discord shows.
    """
    buttons = [button for block in content.blocks if block.get("type") == "buttons" for button in block["buttons"]]
    wait_id = content.wait.wait_id if content.wait is not None else 0
    asks = content.enable_feedback and content.author == MessageType.ASSISTANT and content.category is not None
    most = _IN_A_ROW * (_ROWS - asks)
    if len(buttons) > most:
        raise Rejected(f"Discord shows at most {most} buttons in such a message, and this one has {len(buttons)}.")
    choices = [_choice(session_id, wait_id, button) for button in buttons]
    rows = [choices[start : start + _IN_A_ROW] for start in range(0, len(choices), _IN_A_ROW)]
    return [_row(row) for row in (*rows, *([_thumbs()] if asks else []))]


def disabled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, with choices that nobody can click. Thumbs stay: an opinion may come later."""
    return [
        {**_known(row, "type"), "components": [_off(button) for button in row.get("components", ())]} for row in rows
    ]


def label_of(rows: Sequence[Mapping[str, Any]], custom_id: str) -> str:
    """What the button with that id says."""
    buttons = (button for row in rows for button in row.get("components", ()))
    return next((str(one.get("label", "")) for one in buttons if one.get("custom_id") == custom_id), "")


def custom_id_of(session_id: int, wait_id: int, button_id: str) -> str:
    """What a button carries. An id that Discord has no room for travels as a digest."""
    plain = CHOICE + button_value(session_id, wait_id, button_id)
    return plain if len(plain) <= _LONGEST_ID else CHOICE + button_value(session_id, wait_id, digest_of(button_id))


def digest_of(button_id: str) -> str:
    """A short stand-in for a long button id."""
    return "#" + sha256(button_id.encode(errors="replace")).hexdigest()[:32]


def _choice(session_id: int, wait_id: int, button: Mapping[str, Any]) -> dict[str, Any]:
    label = " ".join(str(button["text"]).split())
    return {
        "type": _BUTTON,
        "style": _STYLES.get(str(button.get("style")), _GREY),
        "label": label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…",
        "custom_id": custom_id_of(session_id, wait_id, str(button["id"])),
    }


def _thumbs() -> list[dict[str, Any]]:
    return [
        {"type": _BUTTON, "style": _GREY, "emoji": {"name": emoji}, "custom_id": custom_id}
        for emoji, custom_id in (("👍", LIKED), ("👎", DISLIKED))
    ]


def _row(buttons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": _ROW, "components": list(buttons)}


def _off(button: Mapping[str, Any]) -> dict[str, Any]:
    shown = _known(button, "type", "style", "label", "custom_id")
    if "emoji" in button:
        shown["emoji"] = _known(button["emoji"], "name")
    is_choice = str(button.get("custom_id", "")).startswith(CHOICE)
    return {**shown, "disabled": True} if is_choice else shown


def _known(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}
