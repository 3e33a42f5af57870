"""Draws a conversation as a reader of the documentation would meet it: names, words, buttons; as SVG, always the same.

The words come from what the platforms' stand-ins hold after a run. Nothing in a picture differs from run to run.
"""

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 680
_LEFT = 64
_LINE = 20
_LETTERS = 82
"""How many fit into a line, in a font a little wider than the reader's may be."""
_FONT = "font-family='-apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
_COLOURS = ("#4a6fa5", "#7a5195", "#bc5090", "#2f855a", "#b7791f")


@dataclass(frozen=True)
class Said:
    """One message.

    Attributes:
        author: Who wrote it.
        text: What it says; lines as they are, long ones are wrapped.
        buttons: What can be clicked below it.
        is_app: Whether the engine wrote it.
        is_internal: Whether customers do not see it.
    """

    author: str
    text: str
    buttons: Sequence[str] = ()
    is_app: bool = False
    is_internal: bool = False


def picture(title: str, said: Sequence[Said]) -> str:
    """The conversation below a heading."""
    people = list(dict.fromkeys(one.author for one in said))
    parts, y = [_words(20, 30, title, size=15, weight=600)], 48
    for one in said:
        drawn, height = _message(one, y, _COLOURS[people.index(one.author) % len(_COLOURS)])
        parts.append(drawn)
        y += height
    inside = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {y + 8}' width='{WIDTH}' role='img' {_FONT}>\n"
        f"<title>{escape(title)}</title>\n"
        f"<rect x='.5' y='.5' width='{WIDTH - 1}' height='{y + 7}' rx='8' fill='#ffffff' stroke='#d0d5dd'/>\n"
        f"{inside}\n</svg>\n"
    )


def _message(said: Said, y: int, colour: str) -> tuple[str, int]:
    lines = wrapped(said.text)
    rows = _rows(said.buttons)
    height = 34 + _LINE * len(lines) + (6 if rows else 0) + 34 * len(rows)
    parts = [f"<rect x='1' y='{y}' width='{WIDTH - 2}' height='{height}' fill='#fff8e1'/>"] if said.is_internal else []
    parts += [
        f"<rect x='20' y='{y + 8}' width='32' height='32' rx='6' fill='{colour}'/>",
        f"<text x='36' y='{y + 30}' font-size='15' fill='#ffffff' text-anchor='middle'>{escape(said.author[0])}</text>",
        _words(_LEFT, y + 20, said.author, weight=600),
    ]
    mark = "internal" if said.is_internal else "app" if said.is_app else ""
    if mark:
        parts.append(_words(_LEFT + 12 + 8 * len(said.author), y + 20, mark, size=11, colour="#667085"))
    parts += [_words(_LEFT, y + 42 + _LINE * number, line) for number, line in enumerate(lines)]
    for number, row in enumerate(rows):
        for x, label in row:
            parts.append(_button(x, y + 34 + _LINE * len(lines) + 34 * number, label))
    return "\n".join(parts), height


def _rows(labels: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Where each button begins, row by row."""
    rows: list[list[tuple[int, str]]] = []
    x = WIDTH
    for label in labels:
        if x + _wide(label) > WIDTH - 12:
            rows.append([])
            x = _LEFT
        rows[-1].append((x, label))
        x += _wide(label) + 8
    return rows


def _wide(label: str) -> int:
    return 26 + 8 * len(label)


def _button(x: int, y: int, label: str) -> str:
    return (
        f"<rect x='{x}.5' y='{y}.5' width='{_wide(label)}' height='28' rx='5' fill='#ffffff' stroke='#98a2b3'/>"
        f"{_words(x + 13, y + 19, label, size=13, weight=600)}"
    )


def wrapped(text: str) -> list[str]:
    """The lines of a text; marks of bold and code go, for a picture is no place for them."""
    plain = re.sub(r"[*`]{1,2}(\S(?:.*?\S)?)[*`]{1,2}", r"\1", text.strip())
    found: list[str] = []
    for line in plain.splitlines():
        found += textwrap.wrap(line, _LETTERS, break_on_hyphens=False) or [""]
    return found


def _words(x: int, y: int, text: str, size: int = 14, weight: int = 400, colour: str = "#1d2939") -> str:
    return f"<text x='{x}' y='{y}' font-size='{size}' font-weight='{weight}' fill='{colour}'>{escape(text)}</text>"


def keep(name: str, title: str, said: Sequence[Said]) -> None:
    """Writes the picture of that name, where asked to, and asserts that the documentation has this one.

    Raises:
        AssertionError: The documentation shows something else.
    """
    file, drawn = PICTURES / f"{name}.svg", picture(title, said)
    if os.environ.get("WRITE_PAGES"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(drawn, encoding="utf-8")
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    assert there == drawn, f"docs/pictures/{name}.svg shows another run; `make pages` draws this one"
