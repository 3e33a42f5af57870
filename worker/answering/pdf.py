"""PDF files, page by page: the outline gives the headings, and each passage the page that it is on."""

import io
import re
from collections.abc import Iterator
from typing import Any

from pypdf import PdfReader
from pypdf.errors import PdfReadError

from worker.answering.blocks import Block, Draft, Heading, Unreadable

MOST_PAGES = 3000

_PARAGRAPH = re.compile(r"\n\s*\n")
_HYPHEN = re.compile(r"(?<=\w)-\n(?=[a-z])")


def parse_pdf(content: bytes) -> Draft:
    """The words of a PDF.

    Raises:
        Unreadable: It is encrypted, broken, or has no words in it.
    """
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("is encrypted; save it without a password")
        if len(reader.pages) > MOST_PAGES:
            raise Unreadable(f"has more than {MOST_PAGES:,} pages")
        parts = list(_parts(reader))
        title = str(reader.metadata.title or "").strip() if reader.metadata else ""
        changed = _date(reader)
    except PdfReadError as error:
        raise Unreadable(f"is no PDF that can be read ({str(error)[:100] or type(error).__name__})") from None
    if not any(isinstance(part, Block) for part in parts):
        raise Unreadable("has no words in it; a scan needs text recognition first")
    return Draft(title=title, parts=parts, dated=changed)


def _parts(reader: PdfReader) -> Iterator[Heading | Block]:
    headings = dict(_outline(reader, reader.outline))
    for number, page in enumerate(reader.pages):
        text = _HYPHEN.sub("", page.extract_text())
        blocks = [Block(kind="text", text=one) for one in _paragraphs(text)]
        if blocks:
            yield Heading(level=2, text=headings.get(number, f"Page {number + 1}"), anchor=f"page={number + 1}")
            yield from blocks


def _outline(reader: PdfReader, entries: Any) -> Iterator[tuple[int, str]]:
    """The first entry of the outline on each page; entries below an entry come as a list."""
    for entry in reversed(entries):
        if isinstance(entry, list):
            yield from _outline(reader, entry)
        else:
            number = reader.get_destination_page_number(entry)
            if number is not None and entry.title:
                yield number, str(entry.title)


def _paragraphs(text: str) -> Iterator[str]:
    for one in _PARAGRAPH.split(text):
        words = " ".join(one.split())
        if words:
            yield words


def _date(reader: PdfReader) -> str | None:
    try:
        found = reader.metadata and (reader.metadata.modification_date or reader.metadata.creation_date)
    except ValueError:  # dates in PDFs are often malformed
        return None
    return found.isoformat() if found else None
