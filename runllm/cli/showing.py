"""What commands print: tables that fit a terminal of 80 columns, times as people say them, JSON for programs."""

import json
from datetime import UTC, datetime
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NARROWEST = 80


def console() -> Console:
    """Where people read. A pipe gets the width of a terminal that was not made wide."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_NARROWEST)


def table(*columns: str, last: str = "") -> Table:
    """A table without frames; the column `last` takes the room that is left, and breaks its lines."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", max_width=_widest(column))
    if last:
        made.add_column(last, overflow="fold", ratio=1)
    return made


def _widest(column: str) -> int:
    return 24 if column in ("workflow", "handler", "name") else 30


def row(made: Table, *cells: object) -> None:
    """Adds a row. Cells are text as it is: what customers write is no markup."""
    made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))


def as_json(value: Any) -> None:
    """Prints what a program reads."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def when(at: str | None, now: datetime | None = None) -> str:
    """How long ago something was."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(at)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now" if seconds < 1 else f"{seconds:.0f} s ago"


def clock(at: str | None) -> str:
    """The time of day here."""
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S") if at else ""


def one_line(text: str, longest: int = 60) -> str:
    """A text on one line, cut."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
