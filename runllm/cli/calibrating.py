"""`runllm docs calibrate`: how sure answers are, fitted to one knowledge base by questions that people labelled."""

import csv
import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words
from runllm.errors import UsageError

ENOUGH = 15
"""Labelled questions; with fewer, nothing is fitted."""

_PATIENCE = 300.0
"""Seconds, for hundreds of questions on a busy machine."""

_LABELS = ("answered", "unanswered", "irrelevant")


def calibrate(
    file: Annotated[
        Path, typer.Argument(help="Questions with labels: JSON lines, or CSV with a head line.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and keep nothing.")] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Fit to your documentation how sure an answer has to be.

    Each line of the file has a `question` and a `label`: `answered` where the documentation answers it, `unanswered`
    where it does not but should, `irrelevant` where it is about something else. Fifty do. The engine only looks the
    questions up; no model is asked, and nothing is sent anywhere.

    Example: runllm docs calibrate questions.jsonl
    """
    with in_words():
        questions = _read(file)
        engine = Engine.of(server, api_key)
        out = showing.console()
        out.stderr = True
        with out.status(f"looking up {len(questions)} questions"):
            told = engine.post("calibrations", {"questions": questions, "keeps": not dry_run}, patience=_PATIENCE)
        if json:
            showing.as_json(told)
        else:
            _show(told, dry_run=dry_run)


def _read(file: Path) -> list[dict[str, Any]]:
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
    missing = [label for label in _LABELS if all(one["label"] != label for one in labelled)]
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


def _labelled(file: Path, number: int, row: Any) -> dict[str, Any]:
    known = row if isinstance(row, dict) else {}
    question, label = str(known.get("question") or "").strip(), str(known.get("label") or "").strip().lower()
    if not question or label not in _LABELS:
        raise UsageError(
            f"{file}, entry {number}: it needs a `question`, and a `label` that is one of {', '.join(_LABELS)}"
        )
    before = known.get("history")
    history = [str(one) for one in before] if isinstance(before, list) else []
    return {"question": question, "label": label, "history": history}


def _show(told: dict[str, Any], *, dry_run: bool) -> None:
    before, after = told["before"], told["after"]
    made = showing.table("told right", "before", last="after, on questions it was not fitted to")
    for label in _LABELS:
        showing.row(made, label, f"{before['recall'][label]:.0%}", f"{after['recall'][label]:.0%}")
    showing.row(made, "mean of the three", f"{before['balanced']:.0%}", f"{after['balanced']:.0%}")
    showing.console().print(made)
    if told["kept"]:
        typer.echo("Kept. It counts for questions from now on, within seconds.")
    elif dry_run:
        typer.echo("Nothing is kept: this was a dry run.")
    else:
        typer.echo("Nothing is kept: the defaults do as well. More labelled questions may change that.")
