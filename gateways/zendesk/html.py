"""Messages as Zendesk shows them: Markdown becomes HTML, nothing in it is a placeholder, and none is too long."""

import re
from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from gateways.adapter import Content
from runllm.bridge.messages import MessageType, Source

LONGEST = 60_000
"""Bytes of HTML in one comment. Zendesk silently cuts a comment after 64 kB."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def rendered(markdown: str) -> str:
    """Markdown as the HTML of a comment. HTML in it is shown as it was written."""
    return without_placeholders(_MARKDOWN.render(markdown).strip())


def without_placeholders(text: str) -> str:
    r"""Zendesk replaces `{{ticket.id}}` and its like in comments; `\{{` stays what it is.

    https://support.zendesk.com/hc/en-us/articles/4408886858138
    """
    return text.replace("{{", r"\{{")


def message_of(content: Content, note: str = "") -> str:
    """A message as one Markdown text: whose it is, what it says, what it rests on."""
    parts = [] if content.author_name is None else [f"**{plain(content.author_name)}**{note}:"]
    if content.author_name is None and note:
        parts.append(f"**{note.strip()}**:")
    parts += [content.prefix or "", content.text, _sources(content.sources)]
    return "\n\n".join(part for part in parts if part.strip())


def pages(markdown: str, longest: int = LONGEST) -> list[str]:
    """A text as HTML, in as many pieces as it takes to keep each below `longest` bytes."""
    whole = rendered(markdown)
    if _size(whole) <= longest:
        return [whole]
    return [rendered(piece) for piece in _pieces(markdown, longest)]


def plain(text: str) -> str:
    """A name on one line, in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def is_person(content: Content) -> bool:
    """Whether a person wrote it: a customer's words open a ticket that was waiting for them."""
    return content.author is MessageType.USER


def blackened(html: str) -> str:
    """A comment's HTML with all that can be read in it marked for redaction."""
    marker = _Blackener()
    marker.feed(html)
    marker.close()
    return "".join(marker.out)


class _Blackener(HTMLParser):
    """https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/#redact-ticket-comment-in-agent-workspace"""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        shown = "".join(f' {name}="{escape(value or "")}"' for name, value in attrs)
        self.out.append(f"<{tag}{shown}{' redact' if tag in ('a', 'img') else ''}>")

    def handle_endtag(self, tag: str) -> None:
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.out.append(f"<redact>{escape(data)}</redact>" if data.strip() else data)


def _sources(sources: Sequence[Source]) -> str:
    lines = [f"- [{plain(one.title)}](<{one.url}>)" if one.url else f"- {plain(one.title)}" for one in sources]
    return "\n".join(["Sources:", "", *dict.fromkeys(lines)]) if lines else ""


def _pieces(markdown: str, longest: int) -> list[str]:
    """Pieces of whole lines. A code block that goes on in the next piece is closed, and opened there again."""
    pieces: list[str] = []
    lines: list[str] = []
    fence = ""
    room = longest // 2  # escaping makes text longer: a piece that is still too long is halved below
    for line in _short_lines(markdown, room // 4):
        if lines and _size("\n".join([*lines, line])) > room:
            pieces.append("\n".join([*lines, _mark(fence)] if fence else lines))
            lines = [fence] if fence else []
        found = _FENCE.match(line)
        if found and not fence:
            fence = line
        elif found and line.strip().startswith(_mark(fence)) and not found[2].strip():
            fence = ""
        lines.append(line)
    pieces.append("\n".join(lines))
    return [one for piece in pieces for one in _halved(piece, longest)]


def _halved(piece: str, longest: int) -> list[str]:
    """A piece that grew too long as HTML, in two; for texts of nothing but `<` and the like."""
    lines = piece.split("\n")
    if _size(rendered(piece)) <= longest or len(lines) < 2:
        return [piece]
    middle = len(lines) // 2
    return [*_halved("\n".join(lines[:middle]), longest), *_halved("\n".join(lines[middle:]), longest)]


def _short_lines(markdown: str, longest: int) -> list[str]:
    """The lines of a text; one that is too long is broken between words, or else anywhere."""
    short: list[str] = []
    for line in markdown.split("\n"):
        rest = line
        while _size(rest) > longest:
            cut = rest.rfind(" ", 1, longest // 4)
            cut = cut if cut > 0 else longest // 4
            short.append(rest[:cut])
            rest = rest[cut:].lstrip(" ")
        short.append(rest)
    return short


def _mark(fence: str) -> str:
    found = _FENCE.match(fence)
    return found[1] if found else ""


def _size(text: str) -> int:
    return len(text.encode())
