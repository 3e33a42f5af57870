"""`runllm docs calibrate`: how sure answers are, fitted to one knowledge base by questions that people labelled."""

import asyncio
import csv
import json as jsonlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from runllm.cli import showing
from runllm.cli.engine import AsJson, in_words
from runllm.errors import UsageError

if TYPE_CHECKING:
    from worker.answering.calibration import Figures, Judged, Labelled
    from worker.answering.protocol import Fitted

ENOUGH = 15
"""Labelled questions; with fewer, nothing is fitted."""

_LABELS = ("answered", "unanswered", "irrelevant")


def calibrate(
    file: Annotated[
        Path, typer.Argument(help="Questions with labels: JSON lines, or CSV with a head line.", show_default=False)
    ],
    agent: Annotated[str, typer.Option(help="Whose knowledge base.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and keep nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Fit to your documentation how sure an answer has to be.

    Each line of the file has a `question` and a `label`: `answered` where the documentation answers it, `unanswered`
    where it does not but should, `irrelevant` where it is about something else. Fifty do. The questions are only looked
    up; nothing is sent anywhere. Runs where the engine does: it reads the record at RUNLLM_DATABASE_URL or RUNLLM_HOME.

    Example: runllm docs calibrate questions.jsonl
    """
    with in_words():
        labelled = _read(file)
        try:
            before, after, fitted, name = asyncio.run(_calibrated(labelled, agent, keep=not dry_run))
        except ModuleNotFoundError as error:
            raise UsageError(
                f"`runllm docs calibrate` needs {error.name}, which is not installed: "
                "pip install 'runllm-engine[engine]'"
            ) from None
        kept = not dry_run and after.balanced > before.balanced
        if json:
            figures = {"before": before.model_dump(), "after": after.model_dump()}
            showing.as_json({**figures, "fitted": fitted.model_dump(), "embedder": name, "kept": kept})
        else:
            _show(before, after, kept=kept, dry_run=dry_run)


def _read(file: Path) -> "list[Labelled]":
    if not file.is_file():
        raise UsageError(f"There is no file {file}. Name a file of JSON lines or CSV with `question` and `label`")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as text in UTF-8 ({type(error).__name__})") from None
    first = text.lstrip()[:1]
    rows = list(_json_lines(file, text)) if first == "{" else list(csv.DictReader(text.splitlines()))
    labelled = [_labelled(file, number, row) for number, row in enumerate(rows, 1)]
    if len(labelled) < ENOUGH:
        raise UsageError(f"{file} has {len(labelled)} questions, too few to fit anything. Label fifty")
    missing = [label for label in _LABELS if all(one.label != label for one in labelled)]
    if missing:
        raise UsageError(f"{file} has no question labelled {missing[0]!r}. All three are needed: {', '.join(_LABELS)}")
    return labelled


def _json_lines(file: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(jsonlib.loads(line))
            except ValueError:
                raise UsageError(f"{file}, line {number}: that is no JSON") from None
    return rows


def _labelled(file: Path, number: int, row: Any) -> "Labelled":
    from worker.answering.calibration import Labelled
    from worker.answering.protocol import Turn

    known = row if isinstance(row, dict) else {}
    question, label = str(known.get("question") or "").strip(), str(known.get("label") or "").strip().lower()
    if not question or label not in _LABELS:
        raise UsageError(
            f"{file}, entry {number}: it needs a `question`, and a `label` that is one of {', '.join(_LABELS)}"
        )
    before = known.get("history")
    turns = [Turn(author="user", text=str(one)) for one in before] if isinstance(before, list) else []
    return Labelled.model_validate({"question": question, "label": label, "history": turns})


async def _calibrated(
    labelled: "list[Labelled]", agent_name: str, *, keep: bool
) -> "tuple[Figures, Figures, Fitted, str]":
    from store import agents, vectors
    from store.engine import Store
    from store.settings import StoreSettings
    from worker.answering import calibration
    from worker.answering.embedding import choose_embedder
    from worker.answering.retrieval import PassageRetriever

    chosen = choose_embedder(os.environ.get("RUNLLM_EMBEDDINGS") or "minilm")
    if chosen.embedder is None:
        raise UsageError(f"{chosen.as_sentence.rstrip('.')}. Only with vectors there is something to fit")
    store = await Store.open(StoreSettings.from_env(os.environ).database_url)
    try:
        async with store.read() as db:
            found = [one for one in await agents.every_agent(db) if one.name == agent_name]
        if not found:
            raise UsageError(f"There is no agent {agent_name!r} in the record. `runllm dev` makes the first one")
        judged = await _judged(PassageRetriever(store, chosen.embedder), chosen.embedder, found[0].id, labelled)
        before = calibration.measure(judged, None)
        after = calibration.cross_validated(judged)
        fitted = calibration.fit(judged)
        if keep and after.balanced > before.balanced:
            figures = {"before": before.model_dump(), "after": after.model_dump()}
            async with store.begin() as db:
                await vectors.keep_calibration(
                    db, found[0].id, chosen.embedder.name, fitted.model_dump(mode="json"), figures
                )
    finally:
        await store.close()
    return before, after, fitted, chosen.embedder.name


async def _judged(retriever: Any, embedder: Any, agent_id: int, labelled: "list[Labelled]") -> "list[Judged]":
    from worker.answering.calibration import Judged
    from worker.answering.protocol import Question

    judged = []
    vectors = await embedder.embed([one.question for one in labelled])
    with _Bar(len(labelled)) as step:
        for one, vector in zip(labelled, vectors, strict=True):
            found = await retriever.find(agent_id, Question(text=one.question, history=one.history))
            if not found.searched:
                raise UsageError("The knowledge base is empty. `runllm docs add FOLDER` indexes documentation")
            if found.evidence is None and found.passages:
                raise UsageError(
                    "The passages have no vectors yet. A running engine makes them; `runllm doctor` tells whether "
                    "one runs"
                )
            judged.append(Judged(label=one.label, found=found, vector=vector.tolist()))
            step()
    return judged


class _Bar:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        out = showing.console()
        out.stderr = True
        columns = (TextColumn("looking up"), BarColumn(), MofNCompleteColumn(), TextColumn("questions"))
        self._progress = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._total = total

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        task = self._progress.add_task("looking up", total=self._total)
        return lambda: self._progress.advance(task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _show(before: "Figures", after: "Figures", *, kept: bool, dry_run: bool) -> None:
    made = showing.table("told right", "before", last="after, on questions it was not fitted to")
    for label in _LABELS:
        showing.row(made, label, f"{before.recall[label]:.0%}", f"{after.recall[label]:.0%}")
    showing.row(made, "mean of the three", f"{before.balanced:.0%}", f"{after.balanced:.0%}")
    showing.console().print(made)
    if kept:
        typer.echo("Kept. It counts from the next question on.")
    elif dry_run:
        typer.echo("Nothing is kept: this was a dry run.")
    else:
        typer.echo("Nothing is kept: the defaults do as well. More labelled questions may change that.")
