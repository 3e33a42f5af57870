"""`runllm eval`: labelled questions and past conversations through a workflow, with nothing sent to anybody."""

import json as json_module
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from runllm import Agent, Event, WidgetListener, entrypoint
from runllm.bundle import Bundle
from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, FAILED, ApiKey, AsJson, Engine, Server, in_words
from runllm.cli.loading import Found, handlers_in
from runllm.errors import ServerError, UsageError
from runllm.evaluation.cases import Case, case_of, read_cases, write_cases
from runllm.evaluation.offline import Result, run_case
from runllm.evaluation.page import page as as_page
from runllm.evaluation.scoring import CRITERIA, Figures, figures, shortfalls, verdicts, worse

PLAIN = "the agent's answer alone"


@entrypoint(listeners=[WidgetListener(domain="localhost")], name="answer")
def _answers(agent: Agent, event: Event) -> None:
    """What is evaluated without a workflow."""
    agent.answer(event.conversation)


@dataclass(frozen=True)
class Side:
    """One version, and what it did."""

    name: str
    results: list[Result]
    figures: Figures


def evaluate(
    file: Annotated[Path, typer.Argument(help="File of cases, one JSON object a line.", show_default=False)],
    workflow: Annotated[
        str | None,
        typer.Option(
            help="The workflow: a Python file, a published name, or NAME@BUILD; if not given, the agent's answer alone "
            "is evaluated."
        ),
    ] = None,
    entrypoint: Annotated[str | None, typer.Option(help="Which entrypoint, where the file has several.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Another version to compare with, named like the workflow."),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page to look at, as HTML.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help=f"End with 1 below a share, like category=0.8; of {', '.join(CRITERIA)}, worse=0."),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=32, help="How many cases at once.")] = 4,
    run_steps: Annotated[bool, typer.Option("--run-steps", help="Run agent.step, which may do things.")] = False,
    from_sessions: Annotated[
        bool,
        typer.Option("--from-sessions", help="Write FILE, from conversations and their ratings."),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="With --from-sessions: only conversations of this published name.")
    ] = None,
    rated: Annotated[bool, typer.Option("--rated", help="With --from-sessions: only rated answers.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="With --from-sessions: how many conversations.")] = 200,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Run questions through a workflow, and send nothing.

    The model and the knowledge base are the real ones.

    Prints how many cases meet what they expect, which categories were mistaken for which, how long the model took and
    what it cost. Ends with 1 where a case fails to run, or where a share is below what --require asks for.

    Examples: runllm eval questions.jsonl --workflow support.py --against support --page report.html

    runllm eval questions.jsonl --from-sessions --rated
    """
    with in_words():
        engine = Engine.of(server, api_key)
        if from_sessions:
            _from_sessions(engine, file, name, rated, limit)
            return
        wanted = _requirements(require or [], against is not None)
        cases = read_cases(file)
        with _handlers(engine, workflow, entrypoint) as found:
            other = _other(engine, file, against, at_once, run_steps) if against is not None else None
            ours = _side(Path(workflow).name if workflow else PLAIN, engine, cases, found, at_once, run_steps)
        sides = [ours, *([other] if other else [])]
        lost = worse(cases, ours.results, other.results) if other else []
        if page is not None:
            page.write_text(
                as_page(f"Evaluation of {file.name}", cases, [(s.name, s.results, s.figures) for s in sides], lost),
                encoding="utf-8",
            )
        if json:
            showing.as_json({
                "versions": [
                    {"name": side.name, "figures": side.figures.model_dump(mode="json"),
                     "results": [result.model_dump(mode="json") for result in side.results]} for side in sides
                ],
                "worse": lost,
            })  # fmt: skip
        else:
            _show(cases, sides, lost, page)
    if _falls_short(ours, wanted, lost):
        raise typer.Exit(FAILED)


def _from_sessions(engine: Engine, file: Path, name: str | None, only_rated: bool, limit: int) -> None:
    if file.exists():
        raise UsageError(f"{file} is there already, and nothing in it is to be overwritten. Name a new file")
    recorded = engine.get("evaluations/cases", workflow=name, limit=limit)["cases"]
    cases = [case_of(one) for one in recorded if one["is_helpful"] is not None or not only_rated]
    if not cases:
        which = " that somebody rated" if only_rated else ""
        raise ServerError(f"There are no answers{which} in the last {limit} conversations, so {file} was not written")
    write_cases(file, cases)
    rated_as = Counter(case.rated for case in cases)
    typer.echo(
        f"{file} has {showing.counted(len(cases), 'case')}. {rated_as['helpful']} were rated helpful: their category "
        f"and sources are expected again. {rated_as['unhelpful']} were rated unhelpful and {rated_as['']} not at all: "
        'say yourself what to "expect" of them. The file holds what customers wrote: keep it where that may be kept.'
    )


def _requirements(texts: Sequence[str], compares: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in (*CRITERIA, "worse"):
            raise UsageError(
                f"--require {text}: there is no criterion {name!r}. Use one of {', '.join((*CRITERIA, 'worse'))}"
            )
        try:
            found[name] = float(number)
        except ValueError:
            raise UsageError(f"--require {text}: write it like {name}={'0' if name == 'worse' else '0.8'}") from None
        if name == "worse" and not compares:
            raise UsageError("--require worse=… counts cases that got worse, and needs --against")
    return found


def _falls_short(side: Side, wanted: dict[str, float], lost: Sequence[str]) -> bool:
    shares = side.figures.shares
    short = [name for name, least in wanted.items() if name in shares and shares[name].value < least]
    missing = [name for name in wanted if name not in shares and name != "worse"]
    for name in short:
        typer.echo(f"runllm: {name} is met by {shares[name].value:.0%}, and {wanted[name]:.0%} is required.", err=True)
    for name in missing:
        typer.echo(f"runllm: no case says what to expect of {name}, so --require {name} cannot be met.", err=True)
    too_many = "worse" in wanted and len(lost) > wanted["worse"]
    if too_many:
        typer.echo(f"runllm: {showing.counted(len(lost), 'case')} got worse: {', '.join(lost)}.", err=True)
    fails = any(result.error for result in side.results) and "runs" not in wanted
    return bool(short or missing or too_many or fails)


def _side(name: str, engine: Engine, cases: Sequence[Case], found: Found, at_once: int, run_steps: bool) -> Side:
    def ask(body: dict[str, Any]) -> dict[str, Any]:
        return engine.post("evaluations/ask", body)

    out = showing.console()
    out.stderr = True
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("cases"))
    with (
        Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar,
        ThreadPoolExecutor(at_once) as pool,
    ):
        task = bar.add_task(name, total=len(cases))

        def run(case: Case) -> Result:
            result = run_case(case, found.entrypoint, found.tasks, ask, runs_steps=run_steps)
            bar.advance(task)
            return result

        results = list(pool.map(run, cases))
    return Side(name, results, figures(cases, results))


def _other(engine: Engine, file: Path, against: str, at_once: int, run_steps: bool) -> Side:
    """The other version in a process of its own: two versions of one module do not fit into one."""
    with _workflow_of(engine, against) as (workflow, chosen):
        command = [sys.executable, "-m", "runllm.cli", "eval", str(file), "--workflow", str(workflow), "--json",
                   "--at-once", str(at_once),
                   *(["--entrypoint", chosen] if chosen else []), *(["--run-steps"] if run_steps else [])]  # fmt: skip
        environment = {**os.environ, "RUNLLM_SERVER": engine.server, "RUNLLM_API_KEY": engine.key}
        ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        [version] = json_module.loads(ran.stdout)["versions"]
    except ValueError:
        raise UsageError(f"{against} could not be evaluated: see above") from None
    return Side(
        Path(against).name,
        [Result.model_validate(result) for result in version["results"]],
        Figures.model_validate(version["figures"]),
    )


@contextmanager
def _handlers(engine: Engine, workflow: str | None, entrypoint: str | None) -> Iterator[Found]:
    """What is evaluated."""
    if workflow is None:
        yield Found(_answers, [])
        return
    with _workflow_of(engine, workflow) as (file, chosen):
        yield handlers_in(file, entrypoint or chosen)


@contextmanager
def _workflow_of(engine: Engine, version: str) -> Iterator[tuple[Path, str | None]]:
    """The file of a version; one that was published is brought here for as long as it is needed."""
    if version.endswith(".py") or Path(version).exists():
        yield Path(version), None
        return
    name, _, build = version.partition("@")
    found = engine.get(f"workflows/{name}/bundle", build=build or None)
    bundle = Bundle.model_validate(found["bundle"])
    with tempfile.TemporaryDirectory() as folder:
        for path, text in bundle.files.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        yield Path(folder) / f"{bundle.entrypoint.module.replace('.', '/')}.py", bundle.entrypoint.name


def _show(cases: Sequence[Case], sides: Sequence[Side], lost: Sequence[str], page: Path | None) -> None:
    out = showing.console()
    made = showing.table("", *(side.name for side in sides))
    for criterion in sides[0].figures.shares:
        cells = [side.figures.shares[criterion] for side in sides]
        showing.row(made, criterion, *(f"{share.value:.0%} ({share.met} of {share.of})" for share in cells))
    showing.row(made, "model, median", *(f"{side.figures.seconds_median:.2f} s" for side in sides))
    showing.row(made, "model, p95", *(f"{side.figures.seconds_p95:.2f} s" for side in sides))
    showing.row(made, "tokens in, out", *(f"{s.figures.input_tokens:,}, {s.figures.output_tokens:,}" for s in sides))
    showing.row(made, "cost", *(f"${side.figures.cost:.4f}" for side in sides))
    out.print(made)
    for side in sides:
        _show_confusion(side, len(sides) > 1)
    judged = zip(cases, sides[0].results, strict=True)
    shown = [(case, result) for case, result in judged if not all(verdicts(case, result).values())]
    for case, result in shown[:20]:
        out.print(f"✗ {case.id}: {showing.one_line(case.asked, 80)}", markup=False)
        for phrase in shortfalls(case, result):
            out.print(f"    {showing.one_line(phrase, 200)}", markup=False)
    if len(shown) > 20:
        out.print(f"… and {len(shown) - 20} more; --page shows all")
    if len(sides) > 1:
        text = (
            f"Worse than {sides[1].name}: {', '.join(lost)}" if lost else f"No case is worse than with {sides[1].name}"
        )
        out.print(f"{text}.", markup=False)
    if page is not None:
        out.print(f"{page} has all answers side by side.", markup=False)


def _show_confusion(side: Side, says_which: bool) -> None:
    confusion = side.figures.confusion
    if not confusion:
        return
    actual = sorted({name for counts in confusion.values() for name in counts})
    made = showing.table("expected ↓ actual →", *actual)
    for expected, counts in sorted(confusion.items()):
        showing.row(made, expected, *(counts.get(name, 0) or "" for name in actual))
    out = showing.console()
    if says_which:
        out.print(f"{side.name}:", markup=False)
    out.print(made)
