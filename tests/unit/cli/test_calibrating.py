"""`runllm docs calibrate`: what it reads, what it refuses, what it keeps."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from temporalio.client import ActivityFailureError
from temporalio.exceptions import TimeoutError, TimeoutType

from gateways.adapter import Openers
from gateways.wire import CALIBRATE
from store import agents, knowledge, vectors
from store.engine import Store
from store.knowledge import NewPassage
from tests.unit.activities.doubles import CountingModel, Hub, Platform
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal
from tests.unit.gateways.doubles import down
from worker.activities.calibrating import CalibrationActivities
from worker.activities.context import Context
from worker.answering.embedding import Chosen
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.retrieval import PassageRetriever

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name

TOPICS = ("webhook", "invoice", "password", "export", "theme")


class Words:
    """An embedder that knows the topics, and nothing else."""

    name = "words"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[text.lower().count(topic) for topic in TOPICS] + [0.3, len(text) % 7 / 10] for text in texts]
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


async def _document(store: Store) -> None:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", "/docs")
        for topic in TOPICS[:3]:
            passage = NewPassage(text=f"The {topic} of an account is set in the settings, with a {topic} key.")
            await knowledge.put_document(db, source, f"{topic}.md", None, topic.title(), "hash", [passage])
    await PassageEmbedding(store, Chosen(Words())).embed(100)


def _worker(store: Store, chosen: Chosen) -> CalibrationActivities:
    platform = Platform()
    context = Context(
        store=store,
        adapters={},
        openers=Openers(platform, platform, platform),
        hub=Hub(),
        model=CountingModel(),
        retriever=PassageRetriever(store, chosen.embedder),
    )
    return CalibrationActivities(context, chosen)


@pytest.fixture
async def documented(terminal: Terminal) -> Terminal:
    store = terminal.gateway.store
    await _document(store)
    terminal.gateway.temporal.performs[CALIBRATE] = _worker(store, Chosen(Words())).calibrate
    return terminal


async def _kept(terminal: Terminal) -> object:
    async with terminal.gateway.store.read() as db:
        return await vectors.calibration(db, 1, "words")


def questions(path: Path) -> Path:
    rows = [{"question": f"How do I set the {topic}?", "label": "answered"} for topic in TOPICS[:3] * 3]
    rows += [{"question": f"Is there a {topic} for the settings?", "label": "unanswered"} for topic in TOPICS[3:] * 4]
    rows += [{"question": f"What is the weather in city {n}?", "label": "irrelevant"} for n in range(8)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


async def test_it_shows_before_and_after_and_keeps_what_is_better(documented: Terminal, tmp_path: Path) -> None:
    told = await documented.json("docs", "calibrate", str(questions(tmp_path / "q.jsonl")))
    assert told["before"]["labels"] == told["after"]["labels"] == 25
    assert set(told["before"]["recall"]) == {"answered", "unanswered", "irrelevant"}
    assert told["kept"] == (told["after"]["balanced"] > told["before"]["balanced"])
    assert told["kept"], "or the test shows less than it says"
    assert await _kept(documented) == told["fitted"]


async def test_a_dry_run_keeps_nothing(documented: Terminal, tmp_path: Path) -> None:
    shown = await documented.run("docs", "calibrate", str(questions(tmp_path / "q.jsonl")), "--dry-run")
    assert fits(shown)
    assert "mean of the three" in shown.stdout
    assert "this was a dry run" in shown.stdout
    assert await _kept(documented) is None


async def test_csv_is_read_too(documented: Terminal, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in questions(tmp_path / "q.jsonl").read_text().splitlines()]
    lines = ["question,label", *(f'"{row["question"]}",{row["label"].upper()}' for row in rows)]
    (tmp_path / "q.csv").write_text("\n".join(lines))
    assert "mean of the three" in (await documented.run("docs", "calibrate", str(tmp_path / "q.csv"))).stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no file"),
        ('{"question": "a", "label": "answered"}', "too few to fit anything"),
        ('{"question": "a", "label": "maybe"}', "entry 1: it needs a `question`, and a `label`"),
        ('{"question": ', "line 1: that is no JSON"),
        ("\n".join(['{"question": "a", "label": "answered"}'] * 20), "no question labelled 'unanswered'"),
        (b"\xff\xfe\x00q", "cannot be read as text"),
    ],
)
async def test_what_cannot_be_used_is_refused_in_a_sentence(
    documented: Terminal, tmp_path: Path, content: "str | bytes | None", says: str
) -> None:
    file = tmp_path / "q.jsonl"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert says in " ".join((await documented.refused("docs", "calibrate", str(file), code=2)).split())


async def test_without_vectors_there_is_nothing_to_fit(documented: Terminal, tmp_path: Path) -> None:
    worker = _worker(documented.gateway.store, Chosen(None, "RUNLLM_EMBEDDINGS is none"))
    documented.gateway.temporal.performs[CALIBRATE] = worker.calibrate
    said = await documented.refused("docs", "calibrate", str(questions(tmp_path / "q.jsonl")))
    assert "by their words alone: RUNLLM_EMBEDDINGS is none. Only with vectors" in said


async def test_an_empty_knowledge_base_has_nothing_to_fit(terminal: Terminal, tmp_path: Path) -> None:
    terminal.gateway.temporal.performs[CALIBRATE] = _worker(terminal.gateway.store, Chosen(Words())).calibrate
    said = await terminal.refused("docs", "calibrate", str(questions(tmp_path / "q.jsonl")))
    assert "The knowledge base is empty" in said


async def test_while_nobody_can_calibrate_it_is_a_calibration_that_is_spoken_of(
    documented: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(questions(tmp_path / "q.jsonl"))
    monkeypatch.setattr(documented.gateway.temporal, "problem", down)
    assert "Temporal cannot take the calibration now" in await documented.refused("docs", "calibrate", file)

    async def execute_activity(*_: object, **__: object) -> None:
        raise ActivityFailureError(
            cause=TimeoutError("nobody", type=TimeoutType.SCHEDULE_TO_START, last_heartbeat_details=[])
        )

    monkeypatch.setattr(documented.gateway.temporal, "problem", lambda _: None)
    monkeypatch.setattr(documented.gateway.temporal, "execute_activity", execute_activity)
    assert "No activity worker was done with the calibration within" in await documented.refused(
        "docs", "calibrate", file
    )
