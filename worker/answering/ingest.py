"""What the indexing workflow calls: reads files, cuts them into passages, and keeps the record in step with them."""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from temporalio import activity

from runllm.errors import UsageError
from store import knowledge
from store.engine import Store
from store.models import KnowledgeSource
from worker.answering import indexing
from worker.answering.documents import parse
from worker.answering.folders import FolderFiles, Unreadable, address, list_folder, read_document
from worker.answering.indexing import Conclusion, Indexed, Listed, Slice

log = logging.getLogger(__name__)

FORMAT = "1"
"""Changes whenever documents are cut differently: then unchanged files are indexed again."""

_ERROR_NOTES = 5


class IndexingActivities:
    """Indexes folders. Everything here may be repeated: a file that has not changed is not written again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Callable[..., Any]]:
        """The activities for `KNOWLEDGE_QUEUE`."""
        return [self.list_files, self.index_files, self.remove_vanished, self.conclude]

    @activity.defn(name=indexing.LIST)
    async def list_files(self, source_id: int) -> Listed:
        """What there is to index."""
        source = await self._source(source_id)
        files = await _files(source)
        async with self._store.begin() as db:
            await knowledge.set_progress(db, source_id, state="running", done=0, total=len(files.paths))
        return Listed(total=len(files.paths), notes=files.notes)

    @activity.defn(name=indexing.INDEX)
    async def index_files(self, slice: Slice) -> Indexed:
        """Indexes the next files; one that cannot be indexed does not keep the others from it."""
        source = await self._source(slice.source_id)
        paths = [path for path in (await _files(source)).paths if path > slice.after][: slice.limit]
        changed = failed = 0
        notes: list[str] = []
        for path in paths:
            try:
                is_new, note = await self._index(source, path)
                changed += is_new
            except Unreadable as error:
                failed, note = failed + 1, str(error)
            except Exception as error:  # a parser's own mistake is that file's bad luck, not the source's
                log.exception("Source %d: %s cannot be indexed", source.id, path)
                failed, note = failed + 1, f"cannot be parsed ({type(error).__name__})"
            if note is not None:
                notes.append(f"{path} {note}")
        if paths:
            async with self._store.begin() as db:
                await knowledge.set_progress(db, source.id, state="running", done=slice.done + len(paths))
        return Indexed(
            last=paths[-1] if paths else None,
            changed=changed,
            unchanged=len(paths) - changed - failed,
            failed=failed,
            notes=notes,
        )

    @activity.defn(name=indexing.REMOVE)
    async def remove_vanished(self, source_id: int) -> int:
        """Forgets documents that are no longer there. Where the folder cannot be read, nothing is forgotten."""
        source = await self._source(source_id)
        files = await _files(source)
        async with self._store.begin() as db:
            return await knowledge.remove_documents_not_in(db, source_id, files.paths)

    @activity.defn(name=indexing.CONCLUDE)
    async def conclude(self, conclusion: Conclusion) -> None:
        """Records how it ended, with what people should know."""
        progress = conclusion.progress
        told = progress.notes[:_ERROR_NOTES]
        more = len(progress.notes) - len(told)
        notes = "; ".join([*told, f"and {more} more"] if more else told) or None
        async with self._store.begin() as db:
            await knowledge.set_progress(
                db,
                conclusion.source_id,
                state="failed" if conclusion.error else "done",
                done=progress.done,
                total=max(progress.total, progress.done) if not conclusion.error else progress.total,
                error=conclusion.error or notes,
            )

    async def _index(self, source: KnowledgeSource, path: str) -> tuple[bool, str | None]:
        """Indexes one file. Returns whether it was new or changed, and a note."""
        content, text, note = await asyncio.to_thread(read_document, source.location, path)
        digest = sha256(f"{FORMAT}\n{source.base_url}\n".encode() + content).hexdigest()
        async with self._store.read() as db:
            before = await knowledge.document_by_path(db, source.id, path)
        if before is not None and before.content_hash == digest:
            return False, note
        document = await asyncio.to_thread(parse, path, text)
        passages = [knowledge.NewPassage.model_validate(cut.model_dump()) for cut in document.passages]
        async with self._store.begin() as db:
            url = address(source.base_url, path)
            await knowledge.put_document(db, source, path, url, document.title, digest, passages)
        return True, note

    async def _source(self, source_id: int) -> KnowledgeSource:
        async with self._store.read() as db:
            source = await knowledge.get_source(db, source_id)
        if source is None:
            raise UsageError(f"There is no knowledge source {source_id}. Add one: runllm docs add FOLDER")
        return source


async def _files(source: KnowledgeSource) -> FolderFiles:
    if source.kind != "folder":
        raise UsageError(f"Sources of the kind {source.kind!r} cannot be indexed. Add a folder")
    return await asyncio.to_thread(list_folder, source.location)
