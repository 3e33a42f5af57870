"""The seam between kinds of sources and indexing: what a source holds, and what a page of it says."""

from collections.abc import Mapping
from typing import Protocol

from runllm.operations import Frozen
from worker.answering.documents import Parsed, Unreadable


class Listing(Frozen):
    """What a source holds now.

    Attributes:
        pages: Paths, each with what changes when the page does; empty where only reading tells.
        notes: What was left out, with the reason.
        is_complete: What is not listed is gone. Otherwise these are where reading begins, and links lead on.
        is_sure: Where it is not, some of it may be missing for now, and nothing is forgotten.
    """

    pages: Mapping[str, str]
    notes: list[str] = []
    is_complete: bool = True
    is_sure: bool = True


class Known(Frozen):
    """A page, as it was when it was indexed last."""

    path: str
    etag: str = ""
    last_modified: str = ""


class Got(Frozen):
    """A page, as it is now.

    Attributes:
        content: Its bytes.
        name: What it is called; the format goes by it where there is no `media_type`.
        url: Where people read it.
        title: Where the source knows a better one than the page.
        dated: When it was changed last, where the source knows.
        parsed: For sources that do not hold files: the document itself.
        note: What a person should know of how it was read.
    """

    content: bytes = b""
    name: str = ""
    media_type: str = ""
    url: str | None = None
    title: str = ""
    dated: str | None = None
    parsed: Parsed | None = None
    etag: str = ""
    last_modified: str = ""
    note: str | None = None


class Gone(Exception):
    """There is nothing to index at a page; `links` are where it leads instead."""

    def __init__(self, reason: str, links: list[str] | None = None) -> None:
        super().__init__(reason)
        self.links = links or []


class Unreachable(Unreadable):
    """The server of a page does not answer. It may be the only page, or all of them."""


class Reader(Protocol):
    """One kind of source. Kinds are rows of `worker.knowledge.readers.READERS`."""

    async def listing(self) -> Listing:
        """What the source holds.

        Raises:
            UsageError: It is not there, or not what it was said to be; the text says so, and what to do.
        """
        ...

    async def read(self, page: Known) -> Got | None:
        """A page; None where it is as it was.

        Raises:
            Gone: There is nothing to index.
            Unreadable: It cannot be read.
        """
        ...

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """Pages of the source that a page leads to.

        Raises:
            Gone: The page says that it is not to be indexed itself.
        """
        ...

    async def close(self) -> None:
        """Ends what reading needed."""
        ...
