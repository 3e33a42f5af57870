"""The blocks of a document, whatever it was written in, and the pieces in which a passage can be quoted."""

import re
from collections.abc import Sequence
from typing import Literal

from runllm.operations import Frozen

BlockKind = Literal["text", "code", "item", "table"]


class Block(Frozen):
    """A paragraph, a list item, a piece of code or a table, as Markdown. `head` is a table's first two lines."""

    kind: BlockKind
    text: str
    head: str = ""


class Heading(Frozen):
    """A heading: everything up to the next one of its level or above belongs to it."""

    level: int
    text: str
    anchor: str = ""


class Draft(Frozen):
    """A document as the parser of its format leaves it, before it is cut into passages.

    Attributes:
        title: Empty where the document has none.
        parts: Headings and blocks, in order.
        dated: When it says that it was written or changed last, in ISO 8601.
        links: Addresses that it links to, as they are written.
        canonical: The address that it says is its own.
        is_hidden: It asks not to be found.
        note: What a person should know of how it was read.
    """

    title: str = ""
    parts: Sequence["Heading | Block"] = ()
    dated: str | None = None
    links: list[str] = []
    canonical: str | None = None
    is_hidden: bool = False
    note: str | None = None


class Unreadable(Exception):
    """A document that cannot be indexed; the text says why."""


class Piece(Frozen):
    """The smallest part of a passage that makes sense alone: a sentence, a list item, a table's row, code."""

    kind: BlockKind
    text: str
    head: str = ""


_FENCE = re.compile(r"^(`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"^\|(?:\s*:?-+:?\s*\|)+$")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
# A full stop ends a sentence where a capital, a digit, a quotation mark or code follows.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]?\s+(?=[\"“(`*A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|incl|no|Dr|Mr|Ms)\.$", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : end.start()]):
            found.append(text[start : end.end()].strip())
            start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def pieces(text: str) -> list[Piece]:
    """The pieces of a passage's Markdown, in order."""
    found: list[Piece] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if fence := _FENCE.match(line):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[1]), len(lines) - 1)
            found.append(Piece(kind="code", text="\n".join(lines[at : end + 1])))
            at = end + 1
        elif at + 1 < len(lines) and line.startswith("|") and _TABLE_RULE.match(lines[at + 1]):
            head = f"{line}\n{lines[at + 1]}"
            end = next((n for n in range(at + 2, len(lines)) if not lines[n].startswith("|")), len(lines))
            found.extend(Piece(kind="table", text=row, head=head) for row in lines[at + 2 : end])
            at = end
        elif _ITEM.match(line):
            found.append(Piece(kind="item", text=line))
            at += 1
        else:
            found.extend(Piece(kind="text", text=one) for one in sentences(line))
            at += 1
    return found


def joined(chosen: list[Piece]) -> str:
    """Pieces as Markdown again. Only sentences, items and rows go on without a blank line; rows get their head back."""
    out = ""
    last: Piece | None = None
    for piece in chosen:
        goes_on = last is not None and piece.kind != "code" and (last.kind, last.head) == (piece.kind, piece.head)
        if last is not None:
            out += " " if goes_on and piece.kind == "text" else "\n" if goes_on else "\n\n"
        if piece.head and not goes_on:
            out += f"{piece.head}\n"
        out += piece.text
        last = piece
    return out
