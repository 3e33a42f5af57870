"""The workflow that indexes one knowledge source: durable, with its progress for everybody to see.

The sandbox imports this file anew for each run, so it knows activities by name only.
"""

from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from gateways.wire import INDEX_WORKFLOW, SCHEDULED_INDEX_WORKFLOW, index_workflow_id
    from runllm.operations import Frozen

LIST = "knowledge.list_files"
INDEX = "knowledge.index_files"
REMOVE = "knowledge.remove_vanished"
CONCLUDE = "knowledge.conclude"
EMBED = "knowledge.embed_passages"
EMBED_WORKFLOW = "EmbedSource"

FILES_AT_ONCE = 50
"""Pages that one activity reads: a killed worker repeats the reading of so many at most, never their indexing."""

NOTES_KEPT = 50

R = TypeVar("R")

_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))


class Listed(Frozen):
    """What a source holds: how many pages, and what was left out, with the reason."""

    total: int
    notes: list[str] = []


class Slice(Frozen):
    """Which pages to index: those after the one with the number `after`, in the order in which they were found.

    What was indexed since `since` is not read again: another attempt did it.
    """

    source_id: int
    after: int = 0
    done: int = 0
    limit: int = FILES_AT_ONCE
    since: datetime | None = None


class Indexed(Frozen):
    """What became of a slice. `last` is the number of its last page; None where there was nothing left.

    `empty` pages had nothing to index, and `total` is how many pages are known by now.
    """

    last: int | None = None
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    empty: int = 0
    total: int = 0
    notes: list[str] = []


class Embedded(Frozen):
    """How far a source's passages have got their vectors. `is_last` where there is nothing left to do."""

    embedded: int = 0
    passages: int = 0
    is_last: bool = True


class Progress(Frozen):
    """How far indexing has got, as the query `progress` tells it."""

    total: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    empty: int = 0
    cursor: int = 0
    since: datetime | None = None
    notes: list[str] = []

    @property
    def done(self) -> int:
        """Pages that were looked at."""
        return self.changed + self.unchanged + self.failed + self.empty

    def after(self, slice: Indexed) -> "Progress":
        """The progress with one more slice in it."""
        return self.model_copy(
            update={
                "changed": self.changed + slice.changed,
                "unchanged": self.unchanged + slice.unchanged,
                "failed": self.failed + slice.failed,
                "empty": self.empty + slice.empty,
                "total": max(self.total, slice.total),
                "cursor": slice.last or self.cursor,
                "notes": [*self.notes, *slice.notes][:NOTES_KEPT],
            }
        )

    def as_markdown(self, state: str) -> str:
        """The progress for Temporal's Web UI."""
        lines = [
            f"**{state}**: {self.done} of {self.total} pages",
            f"{self.changed} indexed, {self.unchanged} unchanged, {self.removed} removed, {self.failed} failed",
            *(f"- {note}" for note in self.notes),
        ]
        return "\n\n".join(lines[:2]) + ("\n\n" + "\n".join(lines[2:]) if self.notes else "")


class Conclusion(Frozen):
    """How indexing ended: all is well where `error` is None."""

    source_id: int
    progress: Progress
    error: str | None = None


@workflow.defn(name=INDEX_WORKFLOW)
class IndexSource:
    """Indexes what is new or changed in a source, and forgets what is gone."""

    def __init__(self) -> None:
        self._progress = Progress()

    @workflow.query
    def progress(self) -> Progress:
        """How far it has got."""
        return self._progress

    @workflow.run
    async def run(self, source_id: int, carried: Progress | None = None) -> Progress:
        """Indexes source `source_id`; `carried` is the progress of the run that this one continues."""
        try:
            if carried is None:
                since = workflow.now()
                listed: Listed = await _call(LIST, source_id, Listed, "List the pages")
                self._show(Progress(total=listed.total, since=since, notes=listed.notes[:NOTES_KEPT]), "Indexing")
            else:
                self._show(carried, "Indexing")
            await self._index(source_id)
            removed: int = await _call(REMOVE, source_id, int, "Forget documents that are gone")
            self._show(self._progress.model_copy(update={"removed": removed}), "Done")
            await self._conclude(source_id, None)
            if self._progress.changed and workflow.patched("vectors"):
                await self._start_embedding(source_id)
        except ActivityError as error:
            if isinstance(error.cause, CancelledError):
                raise
            reason = error.cause.message if isinstance(error.cause, ApplicationError) else str(error.cause)
            self._show(self._progress, "Failed")
            await self._conclude(source_id, reason)
            raise ApplicationError(reason, type="IndexingFailed", non_retryable=True) from error
        return self._progress

    async def _index(self, source_id: int) -> None:
        while True:
            now = self._progress
            wanted = Slice(source_id=source_id, after=now.cursor, done=now.done, since=now.since)
            slice: Indexed = await _call(INDEX, wanted, Indexed, f"Index pages {now.done + 1} and on")
            if slice.last is None:
                return
            self._show(now.after(slice), "Indexing")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(args=[source_id, self._progress])

    async def _start_embedding(self, source_id: int) -> None:
        """Passages are found by their words already, so nobody waits for their vectors."""
        try:
            await workflow.start_child_workflow(
                EMBED_WORKFLOW,
                source_id,
                id=f"{workflow.info().workflow_id}-vectors",
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("the vectors of source %d are being made already", source_id)

    async def _conclude(self, source_id: int, error: str | None) -> None:
        conclusion = Conclusion(source_id=source_id, progress=self._progress, error=error)
        await _call(CONCLUDE, conclusion, type(None), "Record how it ended")

    def _show(self, progress: Progress, state: str) -> None:
        self._progress = progress
        workflow.set_current_details(progress.as_markdown(state))


@workflow.defn(name=SCHEDULED_INDEX_WORKFLOW)
class IndexOnSchedule:
    """What a schedule starts. It runs the indexing of a source under the one id that it may have at a time."""

    @workflow.run
    async def run(self, source_id: int) -> None:
        """Indexes source `source_id`, unless somebody does already. How that ends is told by the source."""
        try:
            await workflow.execute_child_workflow(INDEX_WORKFLOW, source_id, id=index_workflow_id(source_id))
        except (WorkflowAlreadyStartedError, ChildWorkflowError):
            return


@workflow.defn(name=EMBED_WORKFLOW)
class EmbedSource:
    """Gives a source's passages their vectors, so that they are found by their meaning too."""

    def __init__(self) -> None:
        self._embedded = Embedded(is_last=False)

    @workflow.query
    def progress(self) -> Embedded:
        """How far it has got."""
        return self._embedded

    @workflow.run
    async def run(self, source_id: int) -> Embedded:
        """Makes the vectors that source `source_id` lacks."""
        while not self._embedded.is_last:
            now: Embedded = await _call(EMBED, source_id, Embedded, "Make vectors of passages")
            self._embedded = now
            state = "Done" if now.is_last else "Making vectors"
            workflow.set_current_details(f"**{state}**: {now.embedded} of {now.passages} passages have theirs")
            if not now.is_last and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(source_id)
        return self._embedded


async def _call(name: str, argument: object, result: type[R], summary: str) -> R:
    found: R = await workflow.execute_activity(
        name,
        argument,
        result_type=result,
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=_RETRIES,
        summary=summary,
    )
    return found
