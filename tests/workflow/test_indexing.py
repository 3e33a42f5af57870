"""Indexing on a real server: what is new is indexed, what is gone is forgotten, what is broken is told."""

import asyncio
import os
import shutil
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from gateways.indexing import Indexing
from gateways.temporal import Temporal
from gateways.wire import INDEX_WORKFLOW, KNOWLEDGE_QUEUE, SCHEDULED_INDEX_WORKFLOW, index_workflow_id
from store import agents, knowledge, vectors
from store.engine import Store
from store.models import Document
from tests.fakes.website import Website, page, website
from worker.activities.workers import knowledge_sandbox, knowledge_worker
from worker.answering.embedding import Chosen
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.folders import LARGEST
from worker.answering.indexing import FILES_AT_ONCE, EmbedSource, IndexSource, Progress

pytestmark = pytest.mark.workflow

DOCS = Path(__file__).parents[2] / "examples" / "docs"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/home/runllm.db")
    async with opened.begin() as db:
        await agents.ensure_agent(db)
    yield opened
    await opened.close()


class Shelf:
    """A folder of documents, and the workflow that indexes it."""

    def __init__(self, client: Client, store: Store, folder: Path, source_id: int) -> None:
        self.client = client
        self.store = store
        self.folder = folder
        self.source_id = source_id
        self.queue = f"knowledge-{uuid.uuid4().hex[:8]}"

    @classmethod
    async def of(cls, client: Client, store: Store, folder: Path) -> "Shelf":
        async with store.begin() as db:
            source = await knowledge.add_source(db, 1, "folder", str(folder), "https://docs.example.com/")
        return cls(client, store, folder, source.id)

    async def start(self, carried: Progress | None = None, queue: str = "") -> WorkflowHandle[IndexSource, Progress]:
        return await self.client.start_workflow(
            INDEX_WORKFLOW,
            args=[self.source_id, *([carried] if carried else [])],
            id=f"index-{uuid.uuid4().hex}",
            task_queue=queue or self.queue,
            result_type=Progress,
        )

    async def index(self, carried: Progress | None = None) -> Progress:
        async with knowledge_worker(self.client, self.store, self.queue):
            return await (await self.start(carried)).result()

    async def documents(self) -> dict[str, Document]:
        async with self.store.read() as db:
            return {one.path: one for one in await knowledge.documents(db, self.source_id)}

    async def state(self) -> tuple[str, int, int, str]:
        async with self.store.read() as db:
            source = await knowledge.get_source(db, self.source_id)
        assert source is not None
        return source.state, source.done, source.total, source.error or ""


@pytest.fixture
async def shelf(client: Client, store: Store, tmp_path: Path) -> Shelf:
    folder = tmp_path / "docs"
    folder.mkdir()
    return await Shelf.of(client, store, folder)


async def test_the_sample_documentation_is_indexed_and_unchanged_files_cost_nothing(
    client: Client, store: Store
) -> None:
    shelf = await Shelf.of(client, store, DOCS)
    async with knowledge_worker(client, store, shelf.queue):
        handle = await shelf.start()
        first = await handle.result()
        told = await handle.query(IndexSource.progress)
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    count = len([one for one in DOCS.rglob("*") if one.is_file()])
    assert (first.changed, first.unchanged, first.failed, first.total) == (count, 0, 0, count)
    assert told == first
    assert f"**Done**: {count} of {count} pages" in metadata.current_details
    assert await shelf.state() == ("done", count, count, "")
    before = await shelf.documents()
    assert before["guides/sso.md"].title == "Single sign-on"
    assert before["guides/sso.md"].url == "https://docs.example.com/guides/sso.md"

    second = await shelf.index()
    assert (second.changed, second.unchanged) == (0, count)
    after = await shelf.documents()
    assert {path: one.indexed_at for path, one in after.items()} == {
        path: one.indexed_at for path, one in before.items()
    }


async def test_changes_are_followed(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        (shelf.folder / f"{name}.md").write_text(f"# {name}\n\nText of {name}.")
    await shelf.index()
    (shelf.folder / "a.md").write_text("# New title\n\nOther words.")
    (shelf.folder / "b.md").unlink()
    (shelf.folder / "deep").mkdir()
    (shelf.folder / "deep" / "d.html").write_text("<title>D</title><p>Fresh.")
    progress = await shelf.index()
    assert (progress.changed, progress.unchanged, progress.removed) == (2, 1, 1)
    assert {path: one.title for path, one in (await shelf.documents()).items()} == {
        "a.md": "New title",
        "c.md": "c",
        "deep/d.html": "D",
    }


async def test_passages_get_their_vectors_and_a_second_time_costs_nothing(client: Client, store: Store) -> None:
    shelf = await Shelf.of(client, store, DOCS)
    embedder = Counting()
    embedding = PassageEmbedding(store, Chosen(embedder))
    async with knowledge_worker(client, store, shelf.queue, embedding=embedding):
        first = await shelf.start()
        await first.result()
        handle = client.get_workflow_handle_for(EmbedSource.run, f"{first.id}-vectors")
        made = await handle.result()
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        await (await shelf.start()).result()
    assert made.embedded == made.passages == embedder.texts > 50
    assert f"**Done**: {made.passages} of {made.passages} passages have theirs" in metadata.current_details
    async with store.read() as db:
        assert (await vectors.stamp(db, 1, embedder.name)).count == made.passages


class Counting:
    """An embedder that counts what it is given."""

    name = "counting"

    def __init__(self) -> None:
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return np.eye(len(texts), 4, dtype=np.float32) + 0.5


async def test_a_broken_file_is_told_and_does_not_stop_the_others(shelf: Shelf, tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text("# Secret\n\nNobody may read this.")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.md").write_text("# Other")
    folder = shelf.folder
    (folder / "binary.md").write_bytes(b"\x7fELF\0\0\0")
    (folder / "good.md").write_text("# Good\n\nFine.")
    (folder / "huge.md").write_text("x" * (LARGEST + 1))
    (folder / "latin.md").write_bytes("# Über\n\nGrüße".encode("cp1252"))
    (folder / "leak.md").symlink_to(outside)
    (folder / "leaky").symlink_to(tmp_path / "elsewhere")
    (folder / "nowhere.md").symlink_to(tmp_path / "missing.md")
    (folder / "same.md").symlink_to(folder / "good.md")
    (folder / ".hidden.md").write_text("# Hidden")
    (folder / "code.py").write_text("print()")
    progress = await shelf.index()
    documents = await shelf.documents()
    assert sorted(documents) == ["good.md", "latin.md", "same.md"]
    assert documents["latin.md"].title == "Über"
    assert (progress.changed, progress.failed) == (3, 2)
    assert set(progress.notes) == {
        "binary.md is not text",
        "huge.md has more than 5 MB",
        "latin.md is not UTF-8 and was read as Windows-1252",
        "leak.md is a link that leaves the folder",
        "leaky is a link to a folder and is not followed",
        "nowhere.md is a link that leaves the folder",
    }
    state, _, _, error = await shelf.state()
    assert state == "done"
    assert "and 1 more" in error


async def test_a_folder_that_is_gone_fails_clearly_and_forgets_nothing(shelf: Shelf) -> None:
    (shelf.folder / "a.md").write_text("# A\n\nText.")
    await shelf.index()
    shutil.rmtree(shelf.folder)
    with pytest.raises(WorkflowFailureError) as failed:
        await shelf.index()
    assert "There is no folder" in str(failed.value.cause)
    state, _, _, error = await shelf.state()
    assert state == "failed"
    assert str(shelf.folder) in error
    assert list(await shelf.documents()) == ["a.md"]


async def test_an_empty_folder_says_what_it_looked_for(shelf: Shelf) -> None:
    await shelf.index()
    state, done, total, error = await shelf.state()
    assert (state, done, total) == ("done", 0, 0)
    assert ".md" in error


async def test_a_run_goes_on_where_the_one_before_it_stopped(shelf: Shelf) -> None:
    for number in range(5):
        (shelf.folder / f"{number}.md").write_text(f"# {number}\n\nText.")
    async with shelf.store.begin() as db:
        await knowledge.add_pages(db, shelf.source_id, [f"{number}.md" for number in range(5)])
    progress = await shelf.index(Progress(total=5, changed=3, cursor=3))
    assert (progress.changed, progress.total) == (5, 5)
    assert sorted(await shelf.documents()) == ["3.md", "4.md"], "what the earlier run did is not done again"


async def test_its_history_replays(shelf: Shelf) -> None:
    for number in range(FILES_AT_ONCE + 1):
        (shelf.folder / f"{number}.md").write_text(f"# {number}\n\nText.")
    async with knowledge_worker(shelf.client, shelf.store, shelf.queue):
        handle = await shelf.start()
        await handle.result()
    history = await handle.fetch_history()
    replayer = Replayer(
        workflows=[IndexSource], workflow_runner=knowledge_sandbox(), data_converter=shelf.client.data_converter
    )
    await replayer.replay_workflow(history)


@asynccontextmanager
async def activity_worker(
    environment: WorkflowEnvironment, home: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """The activity worker's own process, once it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.activities",
        stdin=PIPE,
        stdout=PIPE,
        env={
            "PATH": os.environ["PATH"],
            "RUNLLM_HOME": str(home),
            "RUNLLM_TETHER": "1",
            "RUNLLM_EMBEDDINGS": "none",
            "TEMPORAL_ADDRESS": environment.client.service_client.config.target_host,
            **(settings or {}),
        },
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def never_past(store: Store, documents: int) -> AsyncIterator[None]:
    """With so many documents in the store, the transaction that writes the next one does not end.

    So whoever writes is killed in the middle of it, however late the test comes to it.
    """
    async with store.begin() as db:
        await db.execute(
            text(
                "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
            )
        )
        await db.execute(
            text(
                "CREATE TRIGGER never_past BEFORE INSERT ON documents"
                f" WHEN (SELECT count(*) FROM documents) >= {documents:d}"
                " BEGIN SELECT count(*) FROM endless; END"
            )
        )
    yield
    async with store.begin() as db:
        await db.execute(text("DROP TRIGGER never_past"))
        await db.execute(text("DROP VIEW endless"))


@pytest.mark.slow
@pytest.mark.faults
async def test_killed_half_way_it_resumes(
    environment: WorkflowEnvironment, client: Client, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    body = "\n\n".join(f"## Section {n}\n\n{'Words of the section. ' * 20}" for n in range(20))
    for number in range(300):
        (folder / f"{number:03}.md").write_text(f"# Page {number}\n\n{body}")
    shelf = await Shelf.of(client, store, folder)
    async with never_past(store, 150), activity_worker(environment, tmp_path / "home") as worker:
        handle = await shelf.start(queue=KNOWLEDGE_QUEUE)
        while len(await shelf.documents()) < 150:
            assert worker.returncode is None
        worker.kill()
        await worker.wait()
    before = await shelf.documents()
    assert len(before) == 150
    async with activity_worker(environment, tmp_path / "home") as worker:
        progress = await asyncio.wait_for(handle.result(), 60)
        assert (progress.done, progress.failed) == (300, 0)
        assert progress.unchanged <= FILES_AT_ONCE, "only the interrupted slice was read again"
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 10) == 0
    after = await shelf.documents()
    assert len(after) == 300
    assert all(after[path].indexed_at == one.indexed_at for path, one in before.items()), "nothing was indexed twice"


@pytest.mark.long
@pytest.mark.faults
async def test_a_site_of_two_hundred_pages_that_was_killed_half_way_is_read_on(
    environment: WorkflowEnvironment, client: Client, store: Store, tmp_path: Path
) -> None:
    site = Website()
    paths = [f"/page-{number}" for number in range(199)]
    site.pages = {"/": page("Start", "Begin.", *paths), **{path: page(path, "Words. " * 300) for path in paths}}
    async with website(site):
        async with store.begin() as db:
            source = await knowledge.add_source(db, 1, "site", f"{site.url}/")
        shelf = Shelf(client, store, tmp_path, source.id)
        allowed = {"RUNLLM_ALLOWED_NETWORKS": "127.0.0.0/8", "RUNLLM_REQUESTS_PER_SECOND": "500"}
        async with never_past(store, 100), activity_worker(environment, tmp_path / "home", allowed) as worker:
            handle = await shelf.start(queue=KNOWLEDGE_QUEUE)
            while len(await shelf.documents()) < 100:
                assert worker.returncode is None
            worker.kill()
            await worker.wait()
        before = await shelf.documents()
        asked_before = Counter(site.asked)
        assert len(before) == 100
        async with activity_worker(environment, tmp_path / "home", allowed):
            progress = await asyncio.wait_for(handle.result(), 90)
        assert (progress.done, progress.total, progress.failed, progress.removed) == (200, 200, 0, 0)
        after = await shelf.documents()
        assert len(after) == 200
        assert all(after[path].indexed_at == one.indexed_at for path, one in before.items()), (
            "nothing was indexed twice"
        )
        pages_read = {path for path in asked_before if path.startswith("/page-")} - {"/page-0"}
        twice = [path for path in pages_read if site.asked.count(path) > 1]
        assert len(twice) <= 1, "only the page that was on its way when it was killed may be asked for again"

        documents = {path: one.indexed_at for path, one in after.items()}
        site.forget()
        async with activity_worker(environment, tmp_path / "home", allowed):
            again = await asyncio.wait_for((await shelf.start(queue=KNOWLEDGE_QUEUE)).result(), 90)
        assert (again.changed, again.unchanged, again.removed) == (0, 200, 0)
        assert set(site.sent) <= {"/"}, "no page was sent again"
        assert {path: one.indexed_at for path, one in (await shelf.documents()).items()} == documents


async def test_a_schedule_indexes_a_source_and_never_twice_at_a_time(client: Client, shelf: Shelf) -> None:
    (shelf.folder / "a.md").write_text("# A\n\nText.")
    async with knowledge_worker(client, shelf.store, shelf.queue):
        await client.execute_workflow(
            SCHEDULED_INDEX_WORKFLOW, shelf.source_id, id=f"scheduled-{uuid.uuid4().hex}", task_queue=shelf.queue
        )
        assert list(await shelf.documents()) == ["a.md"]
    async with client_of_nobody(client, shelf) as running, knowledge_worker(client, shelf.store, shelf.queue):
        await client.execute_workflow(
            SCHEDULED_INDEX_WORKFLOW, shelf.source_id, id=f"scheduled-{uuid.uuid4().hex}", task_queue=shelf.queue
        )
        assert (await running.describe()).status == WorkflowExecutionStatus.RUNNING, "it was left alone"


@asynccontextmanager
async def client_of_nobody(client: Client, shelf: Shelf) -> AsyncIterator[WorkflowHandle[IndexSource, Progress]]:
    """The indexing of the source, under way on a queue that nobody works on."""
    handle: WorkflowHandle[IndexSource, Progress] = await client.start_workflow(
        INDEX_WORKFLOW, shelf.source_id, id=index_workflow_id(shelf.source_id), task_queue=f"nobody-{uuid.uuid4().hex}"
    )
    yield handle
    await handle.terminate()


async def test_temporal_keeps_the_schedule_of_a_source(client: Client, shelf: Shelf) -> None:
    class Here(Temporal):
        async def client(self) -> Client:
            return client

    indexing = Indexing(shelf.store, Here({"target_host": "here"}))
    assert await indexing.schedule(shelf.source_id, 3600)
    handle = client.get_schedule_handle(f"runllm-index-{shelf.source_id}")
    assert (await handle.describe()).schedule.spec.intervals[0].every == timedelta(hours=1)
    assert await indexing.schedule(shelf.source_id, 7200)
    assert (await handle.describe()).schedule.spec.intervals[0].every == timedelta(hours=2)
    assert await indexing.schedule(shelf.source_id, None)
    assert await indexing.schedule(shelf.source_id, None), "one that is gone is gone"
    with pytest.raises(RPCError):
        await handle.describe()


@pytest.mark.slow
async def test_the_process_ends_with_its_parent(environment: WorkflowEnvironment, store: Store, tmp_path: Path) -> None:
    async with activity_worker(environment, tmp_path / "home") as worker:
        assert worker.stdin is not None
        worker.stdin.close()
        assert await asyncio.wait_for(worker.wait(), 10) == 0
