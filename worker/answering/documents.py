"""A file or page of documentation -> its title and passages. The format goes by the file's name or its media type."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Literal

from worker.answering.blocks import Block, Draft, Heading, Unreadable
from worker.answering.markdown import as_words, parse_markdown
from worker.answering.mdx import parse_mdx
from worker.answering.passages import Parsed, cut
from worker.answering.webpage import fragment_parts, parse_html

Format = Literal["markdown", "mdx", "rst", "html", "pdf"]

FORMATS: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "mdx",
    ".rst": "rst",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
}

MEDIA_TYPES: dict[str, Format] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/plain": "markdown",
    "text/x-rst": "rst",
    "text/prs.fallenstein.rst": "rst",
    "application/pdf": "pdf",
}

_HAS_TAG = re.compile(r"</?[a-z][a-z0-9]*[\s/>]|<!--", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_HEAD = 2048
_BINARY_LOOK = 8192


def _markdown(source: str) -> Draft:
    return parse_markdown(source, _html_in_markdown)


def _html_in_markdown(html: str) -> list[Heading | Block]:
    return fragment_parts(html) if _HAS_TAG.search(html) else list(as_words(html))


def _rst(source: str) -> Draft:
    from worker.answering.restructured import parse_rst  # docutils takes long to import, and few folders need it

    return parse_rst(source)


_TEXT_PARSERS: dict[str, Callable[[str], Draft]] = {
    "markdown": _markdown,
    "mdx": parse_mdx,
    "rst": _rst,
    "html": parse_html,
}


def is_document(path: str) -> bool:
    """Whether there is a parser for files of that name."""
    return PurePosixPath(path).suffix.lower() in FORMATS


def format_of(path: str, media_type: str = "") -> Format | None:
    """The format of a document; a media type counts more than a name."""
    kind = media_type.partition(";")[0].strip().lower()
    by_name = FORMATS.get(PurePosixPath(path).suffix.lower())
    if kind == "text/plain" and by_name is not None:
        return by_name
    return MEDIA_TYPES.get(kind) if kind not in ("", "application/octet-stream") else by_name


def parse(path: str, source: str | bytes, media_type: str = "", title: str = "") -> Parsed:
    """The passages of the document at `path`. One without a title is called after its file.

    Raises:
        Unreadable: There are no words to be had from it.
    """
    kind = format_of(path, media_type)
    if kind is None:
        raise Unreadable(f"has a format that cannot be read ({media_type or PurePosixPath(path).suffix or 'unknown'})")
    note = None
    if kind == "pdf":
        from worker.answering.pdf import parse_pdf

        draft = parse_pdf(source if isinstance(source, bytes) else source.encode())
    else:
        if isinstance(source, bytes):
            source, note = as_text(source, media_type, is_html=kind == "html")
        draft = _TEXT_PARSERS[kind](source)
    return parsed(draft, title or draft.title or name_of(path), note)


def parsed(draft: Draft, title: str, note: str | None = None) -> Parsed:
    """A draft, cut into passages."""
    return Parsed(
        title=title,
        passages=cut(title, draft.parts),
        dated=as_date(draft.dated),
        links=draft.links,
        canonical=draft.canonical,
        is_hidden=draft.is_hidden,
        note=draft.note or note,
    )


def as_text(content: bytes, media_type: str = "", *, is_html: bool = False) -> tuple[str, str | None]:
    """The text in bytes, and a note where its encoding had to be guessed.

    Raises:
        Unreadable: It is not text.
    """
    for mark, wide in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(wide, errors="replace"), None
    if b"\0" in content[:_BINARY_LOOK]:
        raise Unreadable("is not text")
    declared = _charset(media_type, content if is_html else b"")
    if declared and declared not in ("utf-8", "utf8"):
        try:
            return content.decode(declared, errors="replace"), None
        except LookupError:
            pass
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        if content[error.start :].count(b"\xef\xbf") or _is_mostly_utf8(content):
            return content.decode("utf-8-sig", errors="replace"), "has broken UTF-8; what could not be read is marked"
        return content.decode("cp1252", errors="replace"), "is not UTF-8 and was read as Windows-1252"


def _is_mostly_utf8(content: bytes) -> bool:
    """Whether more characters beyond ASCII are good UTF-8 than are not."""
    text = content.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    return sum(not one.isascii() for one in text) - bad > bad


def _charset(media_type: str, html: bytes) -> str:
    declared = re.search(r"charset=[\"']?([\w-]+)", media_type, re.IGNORECASE)
    if declared:
        return declared[1].lower()
    in_page = _CHARSET.search(html[:_HEAD])
    return in_page[1].decode("ascii", "replace").lower() if in_page else ""


def as_date(text: str | None) -> str | None:
    """A date as documents and servers write it, in ISO 8601 and UTC; None where it is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC).isoformat()
    except OverflowError:
        return None


def name_of(path: str) -> str:
    """A file's name as a title: `getting-started.md` is "Getting started"; an index is called after its folder."""
    file = PurePosixPath(path)
    stem = file.parent.name if file.stem.lower() in ("index", "readme") and file.parent.name else file.stem
    name = " ".join(stem.replace("-", " ").replace("_", " ").split())
    return name[:1].upper() + name[1:]


__all__ = ["Parsed", "Unreadable", "as_date", "as_text", "format_of", "is_document", "name_of", "parse", "parsed"]
