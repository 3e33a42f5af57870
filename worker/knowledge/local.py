"""Folders and single files: on the worker's disk, or a file on the web."""

import asyncio
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from runllm.errors import UsageError
from worker.answering.documents import FORMATS, Parsed, Unreadable, format_of, is_document
from worker.answering.folders import address, list_folder, read_document, read_file
from worker.knowledge.addresses import normal
from worker.knowledge.fetching import Web
from worker.knowledge.reading import Gone, Got, Known, Listing
from worker.knowledge.sites import fetched, got


class FolderReader:
    """The documents in a folder and below."""

    def __init__(self, location: str, base_url: str | None) -> None:
        self._location = location
        self._base_url = base_url

    async def listing(self) -> Listing:
        """The files. Only reading them tells whether they have changed."""
        found = await asyncio.to_thread(list_folder, self._location)
        return Listing(pages=dict.fromkeys(found.paths, ""), notes=found.notes)

    async def read(self, page: Known) -> Got | None:
        """A file."""
        content = await asyncio.to_thread(read_document, self._location, page.path)
        return Got(content=content, name=page.path, url=address(self._base_url, page.path))

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: the folder has all files."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


class FileReader:
    """One file."""

    def __init__(self, location: str, base_url: str | None) -> None:
        self._file = Path(location)
        self._base_url = base_url

    async def listing(self) -> Listing:
        """The file itself."""
        if not await asyncio.to_thread(self._file.is_file):
            raise UsageError(
                f"There is no file {self._file} that the worker can read. Pass an absolute path on its disk"
            )
        if not is_document(self._file.name):
            raise UsageError(f"{self._file} is no document. Files with these endings are read: {', '.join(FORMATS)}")
        return Listing(pages={self._file.name: ""})

    async def read(self, page: Known) -> Got | None:
        """The file."""
        content = await asyncio.to_thread(read_file, self._file)
        return Got(content=content, name=self._file.name, url=self._base_url)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


class DownloadReader:
    """One file on the web, such as a PDF."""

    def __init__(self, location: str, base_url: str | None, web: Web) -> None:
        self._url = normal(location) or ""
        self._base_url = base_url
        self._web = web
        if not self._url:
            raise UsageError(f"{location} is no address of a file. Write it like https://example.com/manual.pdf")

    async def listing(self) -> Listing:
        """The file itself, once it is known to be there."""
        try:
            answer = await self._web.get(self._url)
        except (Gone, Unreadable) as error:
            raise UsageError(f"{self._url} {error}. Check the address") from None
        if format_of(urlsplit(answer.url).path, answer.media_type) is None:
            kind = answer.media_type.partition(";")[0] or PurePosixPath(self._url).suffix or "of an unknown type"
            raise UsageError(f"{self._url} is no document ({kind})")
        return Listing(pages={self._url: ""})

    async def read(self, page: Known) -> Got | None:
        """The file."""
        answer = await fetched(self._web, page)
        found = None if answer is None else got(answer)
        return found and found.model_copy(update={"url": self._base_url or found.url})

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: one file is all that was asked for."""
        return []

    async def close(self) -> None:
        """Closes its connections."""
        await self._web.close()
