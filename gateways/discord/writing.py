"""How a message is written for Discord: its Markdown, its length, names and sources.

Discord's Markdown has no tables, no images and three kinds of headings, and a message has at most 2,000 characters:
https://discord.com/developers/docs/resources/message#create-message
"""

import re
from collections.abc import Iterator, Sequence

from gateways.adapter import Content
from runllm.bridge.messages import Source

LONGEST = 2000
NOTE_ROOM = 200
"""Kept free in messages with buttons, for who clicked what."""
_MOST_SOURCES = 5
_LONGEST_OPENING = 60
_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})\s*([^`]*)$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_SPECIAL = re.compile(r"([\\*_~`|>\[\]()#])")


def length(text: str) -> int:
    """Characters, counted as UTF-16 does: the longest of all ways to count them, so Discord never finds more."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def escaped(text: str) -> str:
    """`text` without any meaning in Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def pieces_of(content: Content) -> list[str]:
    """A message as one or several messages of Discord. There is always one; it is empty where there is no text."""
    room = LONGEST - (NOTE_ROOM if content.blocks or content.wait else 0)
    return split(whole(content), room) or [""]


def whole(content: Content) -> str:
    """A message with all that stands in its text: who says it, and what it rests on."""
    text = as_discord(content.text).strip()
    if content.prefix:
        text = f"{content.prefix.strip()}\n{text}"
    if content.author_name:
        is_plain = "\n" not in text and text[:1] not in ("`", "~", "#", ">", "-", "*", "|")
        text = f"**{escaped(content.author_name)}:**{' ' if is_plain else chr(10)}{text}"
    footer = _sources(content.sources)
    return f"{text}\n\n{footer}" if footer else text


def noted(text: str, note: str) -> str:
    """The last piece of a message with buttons, and below it what became of them."""
    room = LONGEST - length(text) - len("\n-# ")
    return f"{text}\n-# {_cut(escaped(note), room)}" if room > 1 else text


def as_discord(text: str) -> str:
    """Markdown in Discord's dialect. What is in code stays as it is."""
    lines: list[str] = []
    table: list[str] = []
    fence = ""
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        if table and (fence or "|" not in line):
            lines += _table(table)
            table = []
        fence, was = _fence_after(fence, line), fence
        if fence or was:
            lines.append(line)
        elif "|" in line and line.strip() != "||":
            table.append(line)
        else:
            lines.append(_line(line))
    return "\n".join(lines[:-1])  # without the empty line that ended the last table


def split(text: str, room: int) -> list[str]:
    """Cuts a text into pieces of at most `room` characters.

    The cuts are between paragraphs, lines, sentences or words, the first of these that leaves a piece at least half
    full. Code that goes over a cut is closed before it and opened again after it.
    """
    pieces: list[str] = []
    rest, opening = text.strip("\n"), ""
    while rest.strip():
        head = f"{opening}\n" if opening else ""
        if length(head + rest) <= room:
            pieces.append(head + rest)
            break
        piece, rest, opening = _first_piece(head, rest, room)
        pieces.append(piece)
    return [piece.strip("\n") for piece in pieces if piece.strip()]


def _first_piece(head: str, rest: str, room: int) -> tuple[str, str, str]:
    """The first piece of `head + rest`, what is left of `rest`, and the fence that is open there."""
    space = room - length(head) - len("\n```````")
    at = _best_cut(rest, _fits(rest, space), _fence_line(head))
    piece = head + rest[:at].rstrip("\n")
    opening = _fence_line(piece)
    rest = rest[at:]
    if opening:
        marker = _FENCE.match(opening)
        closing = marker[1] if marker else "```"
        opening = opening if length(opening) <= _LONGEST_OPENING else closing
        return f"{piece}\n{closing}", rest.removeprefix("\n"), opening
    return piece.rstrip(), rest.lstrip("\n"), ""


def _fits(text: str, space: int) -> int:
    """How many characters of `text` take at most `space`."""
    units = 0
    for index, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > space:
            return max(index, 1)
    return len(text)


def _best_cut(text: str, most: int, opening: str) -> int:
    """Where to cut `text` within its first `most` characters."""
    window, least = text[:most], most // 2
    for paragraph in reversed(list(re.finditer(r"\n\s*\n", window))):
        if paragraph.start() >= least and not _fence_line(f"{opening}\n{window[: paragraph.start()]}"):
            return paragraph.start()
    for ending in (r"\n", r"[.!?…。]\s", r"\s"):
        cuts = [found.end() for found in re.finditer(ending, window) if found.end() >= least]
        if cuts:
            return cuts[-1]
    return most


def _fence_line(text: str) -> str:
    """The line that opened the code which is still open at the end of `text`; empty where none is."""
    fence = opening = ""
    for line in text.split("\n"):
        after = _fence_after(fence, line)
        if after and not fence:
            opening = line.strip()
        fence = after
    return opening if fence else ""


def _fence_after(fence: str, line: str) -> str:
    """The fence that is open after `line`, where `fence` was open before it."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    closes = found[1][0] == fence[0] and len(found[1]) >= len(fence) and not found[2].strip()
    return "" if closes else fence


def _line(line: str) -> str:
    line = re.sub(r"^\s{0,3}#{4,6}\s+(.+?)\s*#*$", r"**\1**", line)
    return re.sub(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)", lambda found: f"[{found[1] or 'image'}]({found[2]})", line)


def _table(rows: Sequence[str]) -> Iterator[str]:
    """A table as code, where its columns stand under each other; lines with a bar in them that are no table stay."""
    if len(rows) < 2 or not _TABLE_RULE.match(rows[1]):
        yield from map(_line, rows)
        return
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in (rows[0], *rows[2:])]
    count = max(map(len, cells))
    cells = [row + [""] * (count - len(row)) for row in cells]
    widths = [max(len(row[column]) for row in cells) for column in range(count)]
    yield "```"
    for number, row in enumerate(cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)
    yield "```"


def _sources(sources: Sequence[Source]) -> str:
    """Where an answer comes from, in small print; each address once, and without a preview."""
    by_place = {source.url or source.title: source for source in sources}
    shown = [
        f"[{escaped(source.title)}](<{source.url}>)" if source.url else escaped(source.title)
        for source in list(by_place.values())[:_MOST_SOURCES]
    ]
    return f"-# {' · '.join(shown)}" if shown else ""


def _cut(text: str, room: int) -> str:
    return text if length(text) <= room else f"{text[: max(_fits(text, room - 1), 0)].rstrip()}…"
