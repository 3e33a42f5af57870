"""`runllm doctor`: each thing that can be wrong is a sentence with what to do."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueStats
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse

from store import knowledge, leases, published, sessions
from store.models import InboxRow, now
from tests.unit.cli.terminal import Terminal, fits, roll_out, terminal
from tests.unit.cli.test_conversations import conversation
from tests.unit.gateways.conftest import Gateway, bundle, empty_record, gateway, settings, store, temporal
from tests.unit.gateways.doubles import FakeTemporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name


class Queues:
    """Plays Temporal's matching service: who polls, and what waits."""

    def __init__(self) -> None:
        self.workers = 1
        self.builds = ["build-of-support"]
        self.waiting = 0
        self.age = timedelta()

    async def describe_task_queue(self, question: DescribeTaskQueueRequest, **options: Any) -> Any:
        pollers = [PollerInfo(deployment_options=WorkerDeploymentOptions(build_id=build)) for build in self.builds]
        answer = DescribeTaskQueueResponse(pollers=pollers if self.workers else [])
        answer.stats.CopyFrom(TaskQueueStats(approximate_backlog_count=self.waiting))
        answer.stats.approximate_backlog_age.FromTimedelta(self.age)
        return answer


@pytest.fixture
async def queues(gateway: Gateway, temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch) -> Queues:
    """A Temporal that answers, with a worker on each queue, and one that deploys."""
    async with gateway.store.begin() as db:
        await leases.acquire(db, leases.DEPLOYER, "worker-1", 60)
    queues = Queues()
    monkeypatch.setattr(temporal, "workflow_service", queues, raising=False)
    return queues


async def sentences(terminal: Terminal, code: int) -> str:
    """All that the doctor says, on one line."""
    result = await terminal.run("doctor", code=code)
    assert fits(result)
    return " ".join(result.stdout.split())


async def indexed(terminal: Terminal, **progress: Any) -> None:
    async with terminal.gateway.store.begin() as db:
        source = await knowledge.add_source(db, 1, "folder", "/pages", None)
        await knowledge.put_document(db, source, "a.md", None, "A", "1", [knowledge.NewPassage(text="Words.")])
        await knowledge.set_progress(db, source.id, **{"state": "done", **progress})


async def test_a_sound_engine_needs_nobody(terminal: Terminal, queues: Queues) -> None:
    await indexed(terminal)
    said = await sentences(terminal, 0)
    for words in (
        "The server at", "The API key is valid.", "Temporal answers", "There are workers for activities",
        "There are workers for support", "The worker worker-1 deploys what is published.",
        "Every message is accounted for.", "support is live as build", "Documentation is indexed",
        "No session has logged an error",
    ):  # fmt: skip
        assert words in said
    findings = (await terminal.json("doctor"))["findings"]
    assert {finding["verdict"] for finding in findings} == {"good"}


async def test_a_server_that_is_away_and_a_wrong_key_are_all_that_is_said(terminal: Terminal) -> None:
    away = await terminal.json("doctor", "--server", "http://127.0.0.1:1", code=1)
    assert [finding["verdict"] for finding in away["findings"]] == ["bad"]
    wrong = await terminal.json("doctor", "--api-key", "wrong", code=1)
    assert [finding["verdict"] for finding in wrong["findings"]] == ["good", "bad"]


async def test_temporal_out_of_reach(terminal: Terminal) -> None:
    assert "The gateways cannot reach Temporal" in await sentences(terminal, 1)


async def test_a_queue_without_a_worker_and_one_that_grows(terminal: Terminal, queues: Queues) -> None:
    queues.workers, queues.waiting = 0, 3
    said = await sentences(terminal, 1)
    assert "Nobody works on support (task queue workflow-support; 3 tasks waiting). Start a worker" in said
    queues.workers, queues.age = 1, timedelta(minutes=2)
    assert "The workers do not keep up with activities: the oldest of 3 tasks has" in await sentences(terminal, 1)


async def test_nobody_deploys_and_a_version_has_no_host(terminal: Terminal, queues: Queues) -> None:
    queues.builds = ["another"]
    async with terminal.gateway.store.begin() as db:
        await leases.release(db, leases.DEPLOYER, "worker-1")
    said = await sentences(terminal, 1)
    assert "No worker deploys what is published, or ends old versions. Start a worker" in said
    assert "Nobody serves the conversations of support, build build-of-support: its session host does not run." in said
    assert "logs/host-support-build-of-support.log" in said
    assert "support is live" not in said


async def test_messages_that_nobody_accounted_for(terminal: Terminal, queues: Queues) -> None:
    number = await conversation(terminal.gateway)
    assert "1 message on the way just now." in await sentences(terminal, 0)
    async with terminal.gateway.store.begin() as db:
        await db.execute(update(InboxRow).values(received_at=now() - timedelta(minutes=5)))
    said = await sentences(terminal, 1)
    assert f"1 message came in more than 30 s ago and nobody has accounted for it, in session {number}." in said


async def test_versions_that_failed_or_do_not_drain(terminal: Terminal, queues: Queues) -> None:
    async with terminal.gateway.store.begin() as db:
        await published.upload(db, 1, bundle("support", text="x = 2"), "next", "test")
    await roll_out(terminal.gateway, "support", "validated", "replayed", "loaded", "current")
    async with terminal.gateway.store.begin() as db:
        old = await published.find_version(db, "support", "build-of-support")
        assert old is not None
        await published.set_status(db, old.id, "draining", note="2 sessions wait for a button: they stay")
        await published.upload(db, 1, bundle("support", text="x = 3"), "third", "test")
    await roll_out(terminal.gateway, "support", "failed", error="flow.py: has no `start`.")
    said = await sentences(terminal, 1)
    assert "support, build third, was not deployed: flow.py: has no `start`. Change the code" in said
    assert "has not drained: 2 sessions wait for a button: they stay." in said


async def test_a_source_of_which_little_was_found(terminal: Terminal, queues: Queues) -> None:
    await indexed(terminal)
    async with terminal.gateway.store.begin() as db:
        await knowledge.set_kept_back(db, 1, 40)
    said = await sentences(terminal, 1)
    assert "Source 1, /pages: 40 documents, more than half of them, were not found at the last sync." in said
    assert "runllm docs sync 1 --accept-removals." in said


async def test_a_source_that_failed_and_a_session_with_errors(terminal: Terminal, queues: Queues) -> None:
    await indexed(terminal, state="failed", error="The folder is gone.")
    number = await conversation(terminal.gateway)
    async with terminal.gateway.store.begin() as db:
        lines = [{"level": "error", "text": "first"}, {"level": "error", "text": "KeyError: 'x'"}]
        await sessions.add_log(db, number, "k", lines)
    said = await sentences(terminal, 1)
    assert "Source 1, /pages, was not indexed: The folder is gone. Once that is put right" in said
    assert f"Session {number} of support has logged 2 errors since yesterday, the last one: KeyError: 'x'." in said
