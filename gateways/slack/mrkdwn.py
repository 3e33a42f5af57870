"""What people write in Slack, as Markdown. Pure.

https://docs.slack.dev/messaging/formatting-message-text
"""

import html
import re
from collections.abc import Mapping

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_TOKEN = re.compile(r"<([^<>\n]+)>")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_PERSON = re.compile(r"<@([UWB][A-Z0-9]+)(?:\|[^>]*)?>")


def as_markdown(text: str, names: Mapping[str, str], bot_user_id: str = "") -> str:
    """Slack's own markup as Markdown. A mention of the bot at the beginning is how one addresses it, and is left out.

    Args:
        text: The message as Slack sends it.
        names: What people are called, by their ids.
        bot_user_id: The bot's id.
    """
    if bot_user_id:
        text = re.sub(rf"^\s*<@{re.escape(bot_user_id)}(?:\|[^>]*)?>[\s,:]*", "", text)
    pieces = _CODE.split(text)
    return "".join(_code(piece, names) if odd else _prose(piece, names) for odd, piece in _with_parity(pieces)).strip()


def mentioned(text: str) -> list[str]:
    """The ids of all people and bots whom a message mentions."""
    return list(dict.fromkeys(_PERSON.findall(text)))


def _with_parity(pieces: list[str]) -> list[tuple[bool, str]]:
    return [(bool(index % 2), piece) for index, piece in enumerate(pieces)]


def _prose(text: str, names: Mapping[str, str]) -> str:
    text = _STRUCK.sub(r"~~\1~~", _BOLD.sub(r"**\1**", text))
    return html.unescape(_TOKEN.sub(lambda found: _token(found.group(1), names, links=True), text))


def _code(text: str, names: Mapping[str, str]) -> str:
    """Code stays as it is, apart from what Slack put into it: entities, and links around addresses."""
    if text.startswith("```") and not text.startswith("```\n"):
        text = f"```\n{text[3:]}"
    if text.startswith("```") and not text.endswith("\n```"):
        text = f"{text[:-3]}\n```"
    return html.unescape(_TOKEN.sub(lambda found: _token(found.group(1), names, links=False), text))


def _token(inside: str, names: Mapping[str, str], *, links: bool) -> str:
    """What stands between angle brackets: a person, a channel, a group, a date, or a link."""
    target, _, label = inside.partition("|")
    match target[:1]:
        case "@":
            return f"@{names.get(target[1:]) or label or target[1:]}"
        case "#":
            return f"#{label or target[1:]}"
        case "!":
            return label if label else f"@{target[1:].partition('^')[0]}"
    shown = target.removeprefix("mailto:") if target.startswith("mailto:") else target
    if not label or label in (target, shown) or not links:
        return label if label and not links else shown
    return f"[{label}]({target})"
