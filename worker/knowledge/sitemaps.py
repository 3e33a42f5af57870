"""Sitemaps: https://www.sitemaps.org/protocol.html"""

import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from runllm.operations import Frozen
from worker.answering.documents import Unreadable
from worker.knowledge.addresses import normal
from worker.knowledge.fetching import Web

LARGEST = 50 * 1024 * 1024
"""What the protocol allows a sitemap to be, unpacked."""

_MOST_SITEMAPS = 500
_MOST_PAGES = 200_000
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_ENTITIES = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class Sitemap(Frozen):
    """What a sitemap, with all that it leads to, says: pages with the time of their last change; what went wrong."""

    pages: dict[str, str]
    notes: list[str] = []


async def read_sitemap(web: Web, url: str, now: datetime | None = None) -> Sitemap:
    """The pages of a sitemap and of the sitemaps that it lists.

    Raises:
        Unreadable: The first one is no sitemap, or cannot be read. Others that cannot are noted.
    """
    pages: dict[str, str] = {}
    notes: list[str] = []
    waiting, seen = [url], {url}
    while waiting and len(pages) < _MOST_PAGES:
        one = waiting.pop(0)
        try:
            answer = await web.get(one, limit=LARGEST)
            others, found = _parsed(answer.url, unpacked(answer.content), now or datetime.now(UTC))
        except Unreadable as error:
            if one == url:
                raise
            notes.append(f"{one} {error}")
            continue
        pages |= found
        new = [other for other in others if other not in seen][: _MOST_SITEMAPS - len(seen)]
        seen.update(new)
        waiting += new
    return Sitemap(pages=dict(list(pages.items())[:_MOST_PAGES]), notes=notes)


def unpacked(content: bytes) -> bytes:
    """A sitemap that may be packed.

    Raises:
        Unreadable: It is larger than a sitemap may be once it is unpacked.
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacking = zlib.decompressobj(wbits=31)
    try:
        data = unpacking.decompress(content, LARGEST)
    except zlib.error:
        raise Unreadable("is packed and cannot be unpacked") from None
    if unpacking.unconsumed_tail:
        raise Unreadable(f"has more than {LARGEST // 1024**2} MB once it is unpacked")
    return data


def _parsed(url: str, content: bytes, now: datetime) -> tuple[list[str], dict[str, str]]:
    """The sitemaps that it lists, and the pages."""
    if _ENTITIES.search(content):
        raise Unreadable("has a document type, which no sitemap needs: what that may hide is not looked at")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError):
        return _plain(url, content)
    match _name(root):
        case "sitemapindex":
            return [address for address, _ in _entries(root, url)], {}
        case "urlset":
            return [], {address: _stamp(changed, now) for address, changed in _entries(root, url)}
        case other:
            raise Unreadable(f"is no sitemap: it is XML with <{other[:40]}> at its top")


def _plain(url: str, content: bytes) -> tuple[list[str], dict[str, str]]:
    """A sitemap may also be a text with an address on each line."""
    lines = content.decode("utf-8", "replace").split()
    pages = [normal(line) for line in lines if line.startswith(("http://", "https://"))]
    if not pages or len(pages) != len(lines):
        raise Unreadable("is no sitemap: neither XML, nor a list of addresses")
    return [], {page: "" for page in pages if page is not None}


def _entries(root: ElementTree.Element, url: str) -> Iterator[tuple[str, str]]:
    for entry in root:
        fields = {_name(field): (field.text or "").strip() for field in entry}
        address = normal(fields.get("loc", ""), url) if fields.get("loc") else None
        if address is not None:
            yield address, fields.get("lastmod", "")


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _stamp(changed: str, now: datetime) -> str:
    """When a page was changed last, where that tells all: until a day is over it may stand for several changes."""
    recent = {(now - timedelta(days=days)).date().isoformat() for days in (-1, 0, 1)}
    return "" if _DATE.match(changed) and changed in recent else changed
