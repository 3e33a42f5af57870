"""`runllm docs calibrate`: what it reads, what it refuses, what it keeps."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from runllm.cli.app import app
from store import agents, knowledge, vectors
from store.engine import Store
from store.knowledge import NewPassage
from worker.answering import embedding
from worker.answering.embedding import Chosen
from worker.answering.embedding_passages import PassageEmbedding

TOPICS = ("webhook", "invoice", "password", "export", "theme")


class Words:
    """An embedder that knows the topics, and nothing else."""

    name = "words"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[text.lower().count(topic) for topic in TOPICS] + [0.3, len(text) % 7 / 10] for text in texts]
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNLLM_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(embedding.EMBEDDERS, "minilm", lambda: Chosen(Words()))
    asyncio.run(_fill(tmp_path / "home"))
    return tmp_path


async def _fill(home: Path) -> None:
    store = await Store.open(f"sqlite:///{home}/runllm.db")
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", "/docs")
        for topic in TOPICS[:3]:
            passage = NewPassage(text=f"The {topic} of an account is set in the settings, with a {topic} key.")
            await knowledge.put_document(db, source, f"{topic}.md", None, topic.title(), "hash", [passage])
    await PassageEmbedding(store, Chosen(Words())).embed(100)
    await store.close()


async def _kept(home: Path) -> object:
    store = await Store.open(f"sqlite:///{home}/home/runllm.db")
    async with store.read() as db:
        kept = await vectors.calibration(db, 1, "words")
    await store.close()
    return kept


def questions(path: Path) -> Path:
    rows = [{"question": f"How do I set the {topic}?", "label": "answered"} for topic in TOPICS[:3] * 3]
    rows += [{"question": f"Is there a {topic} for the settings?", "label": "unanswered"} for topic in TOPICS[3:] * 4]
    rows += [{"question": f"What is the weather in city {n}?", "label": "irrelevant"} for n in range(8)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def run(*words: str) -> "tuple[int, str]":
    result = CliRunner().invoke(app, ["docs", "calibrate", *words])
    return result.exit_code, result.output


def test_it_shows_before_and_after_and_keeps_what_is_better(home: Path) -> None:
    code, output = run(str(questions(home / "q.jsonl")), "--json")
    assert code == 0, output
    told = json.loads(output[output.index("{") :])
    assert told["before"]["labels"] == told["after"]["labels"] == 25
    assert set(told["before"]["recall"]) == {"answered", "unanswered", "irrelevant"}
    assert told["kept"] == (told["after"]["balanced"] > told["before"]["balanced"])
    assert (asyncio.run(_kept(home)) == told["fitted"]) is told["kept"]


def test_a_dry_run_keeps_nothing(home: Path) -> None:
    code, output = run(str(questions(home / "q.jsonl")), "--dry-run")
    assert code == 0, output
    assert "mean of the three" in output
    assert "this was a dry run" in output
    assert asyncio.run(_kept(home)) is None


def test_csv_is_read_too(home: Path) -> None:
    rows = [json.loads(line) for line in questions(home / "q.jsonl").read_text().splitlines()]
    lines = ["question,label", *(f'"{row["question"]}",{row["label"].upper()}' for row in rows)]
    (home / "q.csv").write_text("\n".join(lines))
    assert run(str(home / "q.csv"), "--dry-run")[0] == 0


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
def test_what_cannot_be_used_is_refused_in_a_sentence(home: Path, content: "str | bytes | None", says: str) -> None:
    file = home / "q.jsonl"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, output = run(str(file))
    assert code == 2
    assert says in " ".join(output.split())


def test_an_unknown_agent_is_named(home: Path) -> None:
    code, output = run(str(questions(home / "q.jsonl")), "--agent", "nobody")
    assert code == 2
    assert "There is no agent 'nobody'" in " ".join(output.split())


def test_without_vectors_there_is_nothing_to_fit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLLM_EMBEDDINGS", "none")
    code, output = run(str(questions(home / "q.jsonl")))
    assert code == 2
    assert "by their words alone" in " ".join(output.split())
