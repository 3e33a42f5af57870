"""Long Markdown in parts, cut where a reader would cut it, each part good Markdown by itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)+\|?\s*$")
_BREAKS = (". ", "! ", "? ", "; ", ", ", " ")
_SHORTEST_SHARE = 0.3
_LONGEST_LANGUAGE = 20


@dataclass
class _Part:
    """A part in the making."""

    lines: list[str]
    length: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.length += len(line) + 1

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip("\n")


def split(text: str, most: int) -> list[str]:
    """`text` in parts of at most `most` characters; at least one.

    Cut between paragraphs where possible, then lines, sentences, words. A code block or a table that must be cut is
    closed in the one part and opened again in the next, with its language or its heading.
    """
    if len(text) <= most:
        return [text]
    parts: list[str] = []
    part = _Part([])
    fence = ""
    for block in _blocks(text):
        table: list[str] = []
        if part.lines and part.length + _size(block) > most:
            parts.append(part.text)
            part = _Part([])
        for line, fence_after, table_after in _lines(block, fence, table, most):
            closing = _closing(fence)
            if closing and not fence_after:
                part.add(closing)  # there is always room for it
                fence = ""
                continue
            if part.lines and part.length + len(line) + len(closing or _closing(fence_after)) + 1 > most:
                if closing:
                    part.add(closing)
                parts.append(part.text)
                part = _Part([])
                for repeated in [fence] if fence else table if table_after else []:
                    part.add(repeated)
            part.add(line)
            fence, table = fence_after, table_after
        part.add("")
    if part.text:
        parts.append(part.text)
    return parts or [text[:most]]


def _blocks(text: str) -> Iterator[list[str]]:
    """Paragraphs, lists, whole code blocks and tables: what stays together where it can."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if not line.strip() and not fence:
            if block:
                yield block
            block = []
            continue
        block.append(line)
        fence = _fence_after(fence, line)
    if block:
        yield block


def _size(block: list[str]) -> int:
    return sum(len(line) + 1 for line in block)


def _lines(block: list[str], fence: str, table: list[str], most: int) -> Iterator[tuple[str, str, list[str]]]:
    """The lines of a block, none too long, each with the code block and the table that are open after it."""
    for index, line in enumerate(block):
        fence_after = _fence_after(fence, line)
        if not fence and not fence_after and index and _TABLE_RULE.match(line) and "|" in block[index - 1]:
            heading = [block[index - 1], line]
            table = heading if _size(heading) <= most // 3 else []  # too long to be worth repeating
        elif table and "|" not in line:
            table = []
        # Room for what a part repeats and closes: a fence line, or the heading of a table.
        room = most - max(2 * len(fence) + 8, _size(table))
        for piece in _pieces(line, max(room, most // 2), is_code=bool(fence)):
            yield piece, fence_after, table
        fence = fence_after


def _pieces(line: str, most: int, is_code: bool) -> Iterator[str]:
    """A line that is too long, in pieces: after a sentence, else between words, else anywhere."""
    while len(line) > most:
        at = most
        for mark in () if is_code else _BREAKS:
            found = line.rfind(mark, int(most * _SHORTEST_SHARE), most)
            if found >= 0:
                at = found + len(mark)
                break
        yield line[:at].rstrip() if not is_code else line[:at]
        line = line[at:]
    yield line


def _fence_after(fence: str, line: str) -> str:
    """What opens the code block that is open after `line` again; empty where none is."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return f"{found.group(1)}{''.join(found.group(2).split()[:1])[:_LONGEST_LANGUAGE]}"
    marks, rest = found.group(1), found.group(2)
    opened = _FENCE.match(fence)
    closes = opened is not None and marks[0] == opened.group(1)[0] and len(marks) >= len(opened.group(1))
    return "" if closes and not rest.strip() else fence


def _closing(fence: str) -> str:
    found = _FENCE.match(fence) if fence else None
    return found.group(1) if found else ""
