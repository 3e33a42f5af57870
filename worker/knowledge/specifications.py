"""OpenAPI files, on the worker's disk or on the web: each operation is a page."""

import asyncio
from hashlib import sha256
from pathlib import Path

from runllm.errors import UsageError
from worker.answering.documents import Parsed, Unreadable
from worker.answering.folders import read_file
from worker.answering.parsing import Parser, Part
from worker.knowledge.addresses import normal
from worker.knowledge.fetching import Web
from worker.knowledge.reading import Gone, Got, Known, Listing

LARGEST = 30_000_000

_INTRODUCTION = "introduction"


class SpecificationReader:
    """The operations of an API. The file is read once for as long as the reader lives."""

    def __init__(self, location: str, base_url: str | None, web: Web, parser: Parser) -> None:
        self._location = location
        self._is_on_web = location.startswith(("http://", "https://"))
        self._url = base_url or (location if self._is_on_web else None)
        self._web = web
        self._parser = parser
        self._parts: dict[str, Part] | None = None

    async def listing(self) -> Listing:
        """The operations, each with the number of what it says."""
        parts = await self._operations()
        stamps = {path: sha256(part.model_dump_json().encode()).hexdigest() for path, part in parts.items()}
        return Listing(pages=stamps, notes=[] if parts else ["It describes no operations"])

    async def read(self, page: Known) -> Got | None:
        """An operation."""
        part = (await self._operations()).get(page.path)
        if part is None:
            raise Gone("is not in the file any more")
        anchored = [
            one if one.anchor else one.model_copy(update={"anchor": part.anchor}) for one in part.parsed.passages
        ]
        parsed = part.parsed.model_copy(update={"passages": anchored})
        return Got(parsed=parsed, name=page.path, url=self._url)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: the file has all operations."""
        return []

    async def close(self) -> None:
        """Closes its connections."""
        await self._web.close()

    async def _operations(self) -> dict[str, Part]:
        if self._parts is None:
            try:
                found = await self._parser.parse_openapi(await self._content())
            except (Gone, Unreadable) as error:
                raise UsageError(f"{self._location} {error}. Name an OpenAPI file, in JSON or YAML") from None
            self._parts = {part.path or _INTRODUCTION: part for part in found}
        return self._parts

    async def _content(self) -> bytes:
        if not self._is_on_web:
            return await asyncio.to_thread(read_file, Path(self._location), LARGEST)
        return (await self._web.get(normal(self._location) or "", limit=LARGEST)).content
