"""What Slack refuses of blocks. https://docs.slack.dev/reference/block-kit/blocks"""

import json
from collections.abc import Iterator
from typing import Any

MARKDOWN_LIMIT = 12_000
TOTAL_LIMIT = 13_100
"""Of all blocks of a message together. Not documented; see slackapi/bolt-js#2509."""

_FIELDS = {
    "actions": {"elements"},
    "context": {"elements"},
    "divider": set(),
    "header": {"text"},
    "image": {"image_url", "alt_text", "title", "slack_file"},
    "markdown": {"text"},
    "rich_text": {"elements"},
    "section": {"text", "fields", "accessory", "expand"},
    "table": {"rows", "column_settings"},
}
_BUTTON = {"type", "text", "action_id", "url", "value", "style", "confirm", "accessibility_label"}
_TEXT = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}


def problems(blocks: Any) -> list[str]:
    """What is wrong with the blocks of a message, as Slack says it."""
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    if len(blocks) > 50:
        return ["no more than 50 items allowed [json-pointer:/blocks]"]
    found = [
        f"{problem} [json-pointer:/blocks/{n}{path}]" for n, one in enumerate(blocks) for path, problem in _of(one)
    ]
    ids = [one.get("block_id") for one in blocks if isinstance(one, dict) and one.get("block_id")]
    if len(ids) != len(set(ids)):
        found.append("block_id already exists [json-pointer:/blocks]")
    texts = [one["text"] for one in blocks if isinstance(one, dict) and one.get("type") == "markdown"]
    if sum(len(text) for text in texts if isinstance(text, str)) > MARKDOWN_LIMIT:
        found.append("must be less than 12001 characters [json-pointer:/blocks/text]")
    return found


def too_long(blocks: list[dict[str, Any]]) -> bool:
    """Whether all blocks together are longer than Slack takes."""
    return len(json.dumps(blocks, ensure_ascii=False)) > TOTAL_LIMIT


def _of(block: Any) -> Iterator[tuple[str, str]]:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in _FIELDS:
        yield "/type", f"unsupported type: {kind}"
        return
    for name in set(block) - _FIELDS[kind] - {"type", "block_id"}:
        yield f"/{name}", f"invalid additional property: {name}"
    if len(str(block.get("block_id", ""))) > 255:
        yield "/block_id", "must be less than 256 characters"
    match kind:
        case "markdown":
            yield from _length("/text", block.get("text"), MARKDOWN_LIMIT)
        case "header":
            yield from _text("/text", block.get("text"), 150, ("plain_text",))
        case "section":
            yield from _section(block)
        case "context":
            yield from _context(block.get("elements"))
        case "actions":
            yield from _actions(block.get("elements"))
        case "image" if not block.get("alt_text") or not (block.get("image_url") or block.get("slack_file")):
            yield "", "missing required field: alt_text or image_url"


def _section(block: dict[str, Any]) -> Iterator[tuple[str, str]]:
    fields = block.get("fields")
    if not block.get("text") and not fields:
        yield "", "missing required field: text"
    if block.get("text") is not None:
        yield from _text("/text", block["text"], 3_000)
    if fields is not None and (not isinstance(fields, list) or len(fields) > 10):
        yield "/fields", "no more than 10 items allowed"
    for index, field in enumerate(fields if isinstance(fields, list) else ()):
        yield from _text(f"/fields/{index}", field, 2_000)
    if isinstance(block.get("accessory"), dict) and block["accessory"].get("type") == "button":
        yield from _button("/accessory", block["accessory"])


def _context(elements: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield "/elements", "must have 1 to 10 items"
        return
    for index, element in enumerate(elements):
        if not isinstance(element, dict) or element.get("type") != "image":
            yield from _text(f"/elements/{index}", element, 3_000)


def _actions(elements: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= 25:
        yield "/elements", "must have 1 to 25 items"
        return
    for index, element in enumerate(elements):
        if isinstance(element, dict) and element.get("type") == "button":
            yield from _button(f"/elements/{index}", element)
        elif not isinstance(element, dict) or not element.get("type"):
            yield f"/elements/{index}/type", "missing required field: type"
    ids = [element.get("action_id") for element in elements if isinstance(element, dict)]
    if len([one for one in ids if one]) != len({one for one in ids if one}):
        yield "/elements", "action_id already exists"


def _button(path: str, button: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in set(button) - _BUTTON:
        yield f"{path}/{name}", f"invalid additional property: {name}"
    yield from _text(f"{path}/text", button.get("text"), 75, ("plain_text",))
    if len(str(button.get("value", ""))) > 2_000:
        yield f"{path}/value", "must be less than 2001 characters"
    if len(str(button.get("action_id", ""))) > 255:
        yield f"{path}/action_id", "must be less than 256 characters"
    if button.get("style", "primary") not in ("primary", "danger"):
        yield f"{path}/style", "must be one of: primary, danger"


def _text(
    path: str, text: Any, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> Iterator[tuple[str, str]]:
    kind = text.get("type") if isinstance(text, dict) else None
    if kind not in kinds:
        yield path, f"must be a text object of type {' or '.join(kinds)}"
        return
    for name in set(text) - _TEXT[kind]:
        yield f"{path}/{name}", f"invalid additional property: {name}"
    yield from _length(f"{path}/text", text.get("text"), most)


def _length(path: str, text: Any, most: int) -> Iterator[tuple[str, str]]:
    if not isinstance(text, str) or not text:
        yield path, "must be more than 0 characters"
    elif len(text) > most:
        yield path, f"must be less than {most + 1} characters"
