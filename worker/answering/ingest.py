"""What the indexing workflow calls: reads pages, cuts them into passages, and keeps the record in step with them.

Everything here may be repeated. What is the same as before is not written again.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from runllm.errors import RateLimited, UsageError
from store import knowledge
from store.engine import Store
from store.models import Document, KnowledgePage, KnowledgeSource, now
from worker.answering import indexing
from worker.answering.documents import Parsed, Unreadable, as_date
from worker.answering.indexing import Conclusion, Indexed, Listed, Slice
from worker.answering.parsing import Parser
from worker.knowledge.readers import Means, reader_of
from worker.knowledge.reading import Gone, Got, Known, Reader, Unreachable
from worker.knowledge.settings import KnowledgeSettings

log = logging.getLogger(__name__)

FORMAT = "2"
"""Changes whenever documents are cut differently: then unchanged pages are indexed again."""

_ERROR_NOTES = 5
_LOOKED_AT = 5000
_SHOWN_EVERY = 1.0
_SECONDS = 60.0
"""One activity reads for so long at most, or a slow site would show no progress."""

_DECIDED_BY_PEOPLE = "facts"
"""The kind of source whose documents somebody has taken back where they are gone: no brake keeps those."""

_GIVES_UP_AFTER = 8
"""So many pages in a row that nobody answers for: then nobody answers for the others either."""

Fate = Literal["changed", "unchanged", "failed", "empty"]


@dataclass
class _Tally:
    """What became of the pages of a slice so far."""

    counts: dict[Fate, int] = field(
        default_factory=lambda: dict.fromkeys(("changed", "unchanged", "failed", "empty"), 0)
    )
    notes: list[str] = field(default_factory=list)
    last: int | None = None
    read: int = 0
    shown: float = field(default_factory=time.monotonic)
    unanswered: int = 0

    @property
    def seen(self) -> int:
        return sum(self.counts.values())


class IndexingActivities:
    """Indexes sources of all kinds."""

    def __init__(self, store: Store, settings: KnowledgeSettings | None = None, parser: Parser | None = None) -> None:
        self._store = store
        self._settings = settings or KnowledgeSettings()
        self._means = Means(store, self._settings, parser or Parser())

    def all(self) -> list[Callable[..., Any]]:
        """The activities for `KNOWLEDGE_QUEUE`."""
        return [self.list_files, self.index_files, self.remove_vanished, self.conclude]

    @activity.defn(name=indexing.LIST)
    async def list_files(self, source_id: int) -> Listed:
        """What there is to index."""
        source = await self._source(source_id)
        async with self._reader(source) as reader, self._tell_of_waits(source_id):
            listing = await reader.listing()
        wanted = {path: _stamp(source, stamp) if stamp else "" for path, stamp in listing.pages.items()}
        async with self._store.begin() as db:
            total = await knowledge.list_pages(db, source_id, wanted, is_complete=listing.is_complete)
            await knowledge.set_progress(db, source_id, state="running", done=0, total=total)
        return Listed(total=total, notes=listing.notes)

    @activity.defn(name=indexing.INDEX)
    async def index_files(self, slice: Slice) -> Indexed:
        """Indexes the next pages; one that cannot be indexed does not keep the others from it."""
        source = await self._source(slice.source_id)
        tally, until = _Tally(), time.monotonic() + _SECONDS
        async with self._reader(source) as reader, self._tell_of_waits(source.id):
            while pages := await self._next(slice, tally, until):
                for page in pages:
                    await self._take(source, reader, page, slice.since, tally)
                    await self._show(source, slice, tally)
                    if tally.read >= slice.limit or time.monotonic() > until:
                        break
        async with self._store.begin() as db:
            total = await knowledge.count_pages(db, source.id)
            if tally.seen:
                done = slice.done + tally.seen
                await knowledge.set_progress(db, source.id, state="running", done=done, total=max(total, done))
        return Indexed(last=tally.last, total=total, notes=tally.notes, **tally.counts)

    @activity.defn(name=indexing.REMOVE)
    async def remove_vanished(self, source_id: int) -> int:
        """Forgets documents that are no longer there, unless that is most of them, and pages of a site that nothing
        leads to any more."""
        source = await self._source(source_id)
        async with self._store.read() as db:
            pages = await knowledge.links_of(db, source_id)
        leads = any(links for _, links in pages.values())
        listing = None
        if leads:
            async with self._reader(source) as reader:
                listing = await reader.listing()
        async with self._store.begin() as db:
            if listing is not None and listing.is_sure:
                reached = _reached(set(listing.pages), {path: links for path, (_, links) in pages.items()})
                await knowledge.forget_pages(db, [number for path, (number, _) in pages.items() if path not in reached])
            if source.kind == _DECIDED_BY_PEOPLE:
                return await knowledge.remove_orphans(db, source_id)
            return await knowledge.remove_vanished(db, source)

    @activity.defn(name=indexing.CONCLUDE)
    async def conclude(self, conclusion: Conclusion) -> None:
        """Records how it ended, with what people should know."""
        progress = conclusion.progress
        told = progress.notes[:_ERROR_NOTES]
        more = len(progress.notes) - len(told)
        notes = "; ".join([*told, f"and {more} more"] if more else told) or None
        async with self._store.begin() as db:
            if conclusion.error:  # what somebody said of this sync is not said of the next one
                await knowledge.accept_removals(db, conclusion.source_id, yes=False)
            await knowledge.set_progress(
                db,
                conclusion.source_id,
                state="failed" if conclusion.error else "done",
                done=progress.done,
                total=max(progress.total, progress.done) if conclusion.error else progress.done,
                error=conclusion.error or notes,
            )

    async def index_now(self, source_id: int) -> None:
        """Indexes a source here and now, without a workflow: for scripts and measurements."""
        await self.list_files(source_id)
        last: int | None = 0
        while last is not None:
            last = (await self.index_files(Slice(source_id=source_id, after=last))).last
        await self.remove_vanished(source_id)

    async def _next(self, slice: Slice, tally: _Tally, until: float) -> list[KnowledgePage]:
        """The pages to look at next; none where the slice is full."""
        if tally.read >= slice.limit or tally.seen >= _LOOKED_AT or time.monotonic() > until:
            return []
        async with self._store.read() as db:
            return await knowledge.pages_after(db, slice.source_id, tally.last or slice.after, 500)

    async def _show(self, source: KnowledgeSource, slice: Slice, tally: _Tally) -> None:
        """Lets people see how far it is, about once a second."""
        if time.monotonic() - tally.shown < _SHOWN_EVERY:
            return
        tally.shown = time.monotonic()
        async with self._store.begin() as db:
            done = slice.done + tally.seen
            total = max(await knowledge.count_pages(db, source.id), done)
            await knowledge.set_progress(db, source.id, state="running", done=done, total=total)

    @asynccontextmanager
    async def _tell_of_waits(self, source_id: int) -> AsyncIterator[None]:
        """Around reading: a server that wants to be left alone for long is no error, but people should know."""
        try:
            yield
        except RateLimited as limited:
            minutes = max(1, round(limited.retry_after / 60))
            async with self._store.begin() as db:
                error = f"{limited} for {minutes} minutes; indexing goes on by itself then"
                await knowledge.set_progress(db, source_id, state="running", error=error)
            raise

    async def _take(
        self, source: KnowledgeSource, reader: Reader, page: KnowledgePage, since: datetime | None, tally: _Tally
    ) -> None:
        """Indexes one page where it has changed, and keeps count."""
        fate, note = _known_fate(page, since)
        if fate is None:
            tally.read += 1
            fate, note, is_answered = await self._index(source, reader, page)
            tally.unanswered = 0 if is_answered else tally.unanswered + 1
            if tally.unanswered >= _GIVES_UP_AFTER:
                raise UsageError(f"{source.location} has stopped answering: {page.path} {note}. What was indexed stays")
        tally.counts[fate] += 1
        tally.last = page.id
        if note is not None:
            tally.notes.append(f"{page.path} {note}")

    async def _index(
        self, source: KnowledgeSource, reader: Reader, page: KnowledgePage
    ) -> tuple[Fate, str | None, bool]:
        """Indexes one page. Returns what became of it, a note, and whether anybody answered for it."""
        try:
            return *(await self._read(source, reader, page)), True
        except Gone as gone:
            async with self._store.begin() as db:
                await self._add_pages(db, source, gone.links)
            await self._set(page, is_gone=True, links=gone.links, problem=None, etag="", last_modified="", stamp="")
            return "empty", None, True
        except Unreadable as error:
            await self._set(page, problem=str(error), stamp="")
            return "failed", str(error), not isinstance(error, Unreachable)

    async def _read(self, source: KnowledgeSource, reader: Reader, page: KnowledgePage) -> tuple[Fate, str | None]:
        stamp = page.wanted or _stamp(source, "")
        is_same = page.stamp == stamp
        known = Known(
            path=page.path, etag=page.etag if is_same else "", last_modified=page.last_modified if is_same else ""
        )
        got = await reader.read(known)
        if got is None:
            return "unchanged", page.problem
        async with self._store.read() as db:
            before = await knowledge.document_by_path(db, source.id, page.path)
        values = {"stamp": stamp, "etag": got.etag, "last_modified": got.last_modified, "is_gone": False}
        bytes_alone_tell = got.parsed is None and not got.media_type
        digest = sha256(f"{FORMAT}\n{got.url}\n{got.name}\n".encode() + got.content).hexdigest()
        if bytes_alone_tell and before is not None and before.content_hash == digest:
            await self._set(page, **values)
            return "unchanged", page.problem
        parsed = got.parsed or await self._means.parser.parse(got.name, got.content, got.media_type, got.title)
        links = await reader.follow(page.path, parsed)
        passages = [knowledge.NewPassage.model_validate(one.model_dump()) for one in parsed.passages]
        if not bytes_alone_tell:
            digest = knowledge.digest_of(got.url, parsed.title, passages)
        is_changed = before is None or before.content_hash != digest
        note = got.note or parsed.note
        async with self._store.begin() as db:
            if is_changed:
                await _put(db, source, page.path, got, parsed, digest, passages)
            await self._add_pages(db, source, links)
        await self._set(page, **values, links=links, problem=note)
        return "changed" if is_changed else "unchanged", note

    async def _add_pages(self, db: AsyncSession, source: KnowledgeSource, links: list[str]) -> None:
        """Pages that a page leads to become pages of the source, as long as it has not too many."""
        if not links:
            return
        room = self._settings.site_pages - await knowledge.count_pages(db, source.id)
        if room > 0:
            await knowledge.add_pages(db, source.id, links[:room])

    async def _set(self, page: KnowledgePage, **values: Any) -> None:
        """Records what was found at a page, where that is new."""
        if any(getattr(page, name) != value for name, value in values.items()):
            async with self._store.begin() as db:
                await knowledge.set_page(db, page.id, read_at=now(), **values)

    @asynccontextmanager
    async def _reader(self, source: KnowledgeSource) -> AsyncIterator[Reader]:
        reader = reader_of(source, self._means)
        try:
            yield reader
        finally:
            await reader.close()

    async def _source(self, source_id: int) -> KnowledgeSource:
        async with self._store.read() as db:
            source = await knowledge.get_source(db, source_id)
        if source is None:
            raise UsageError(f"There is no knowledge source {source_id}. Add one: runllm docs add FOLDER")
        return source


def _known_fate(page: KnowledgePage, since: datetime | None) -> tuple[Fate | None, str | None]:
    """What is known of a page without reading it, and its note; None where it has to be read."""
    if since is not None and page.read_at is not None and page.read_at >= since:  # by an attempt before this one
        return (
            ("empty", None) if page.is_gone else ("changed", page.problem) if page.stamp else ("failed", page.problem)
        )
    if page.wanted and page.stamp == page.wanted:
        return "unchanged", page.problem
    return None, None


def _stamp(source: KnowledgeSource, stamp: str) -> str:
    """What a page should be like, and how it should be cut: short, and nothing that a listing may hold is too long."""
    return sha256(f"{FORMAT}\n{source.base_url}\n{stamp}".encode("utf-8", "replace")).hexdigest()[:32]


def _reached(begins: set[str], links: dict[str, list[str]]) -> set[str]:
    """All pages that can be reached."""
    reached, waiting = set(begins), list(begins)
    while waiting:
        for path in links.get(waiting.pop(), ()):
            if path not in reached:
                reached.add(path)
                waiting.append(path)
    return reached


async def _put(
    db: AsyncSession, source: KnowledgeSource, path: str, got: Got, parsed: Parsed, digest: str, passages: list[Any]
) -> Document:
    dated = parsed.dated or as_date(got.dated)
    return await knowledge.put_document(
        db,
        source,
        path,
        got.url,
        parsed.title,
        digest,
        passages,
        dated_at=datetime.fromisoformat(dated) if dated else None,
    )
