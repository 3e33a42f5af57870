"""`runllm replay`: would the conversations that run now go on in the code in front of you?"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from runllm.bundle import collect
from runllm.cli import showing
from runllm.cli.engine import FAILED, AsJson, in_words
from runllm.cli.loading import handlers_in
from runllm.errors import PublishError, UsageError

if TYPE_CHECKING:
    from worker.deployments.compare import Compared, Comparison

_SECONDS = 120.0


def replay(
    file: Annotated[
        Path | None,
        typer.Argument(help="Python file of the workflow; the only one here with an @entrypoint if not given."),
    ] = None,
    history: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A saved history, as JSON; can be given several times.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The published name whose sessions are replayed; the file's name if not given.")
    ] = None,
    entrypoint: Annotated[str | None, typer.Option(help="Which entrypoint, where the file has several.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many live sessions, the newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """Replay conversations against your code before you publish it.

    Takes the histories of the sessions that run now under the published name, from Temporal at TEMPORAL_ADDRESS
    (127.0.0.1:7233 if not set), or saved ones. Calls that were added, removed or reordered are named with the line of
    your file, and make the command end with 1: sessions in the middle of such a handler have to stay on the version
    they run on. Other words in the same calls are only mentioned.

    Example: runllm replay support.py --history session-12.json
    """
    with in_words():
        chosen = file or _only_workflow_here()
        missing = [path for path in history or [] if not path.is_file()]
        if missing:
            raise UsageError(f"There is no file {missing[0]}. Name the file of a saved history")
        compared = _compared(chosen, name or chosen.stem, entrypoint, [path.resolve() for path in history or []], limit)
        if compared.failure:
            raise PublishError(compared.failure)
        showing.as_json(compared.model_dump(mode="json")["comparisons"]) if json else _show(compared, chosen)
    if any(comparison.takes_another_path for comparison in compared.comparisons):
        raise typer.Exit(FAILED)


def _only_workflow_here() -> Path:
    found = [path for path in sorted(Path().glob("*.py")) if "@entrypoint" in path.read_text(errors="replace")]
    if len(found) != 1:
        names = f"{', '.join(map(str, found))} have one" if found else "no file here has one"
        raise UsageError(f"Name the file with the @entrypoint: {names}")
    return found[0]


def _compared(file: Path, name: str, entrypoint: str | None, histories: list[Path], limit: int) -> "Compared":
    try:
        from gateways.wire import build_id_of
        from worker.deployments import bundles
        from worker.deployments.compare import Compare, Compared
        from worker.deployments.environment import for_customer_code
        from worker.deployments.judging import JudgeError, ask
        from worker.deployments.verdicts import Unpacked
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`runllm replay` needs {error.name}, which is not installed: pip install 'runllm-engine[engine]'"
        ) from None
    found = handlers_in(file, entrypoint)
    bundle = collect(found.entrypoint, found.tasks, name)
    build_id = build_id_of(bundle)
    with tempfile.TemporaryDirectory() as folder:
        directory = bundles.unpack(bundle, build_id, Path(folder))
        question = Compare(version=Unpacked.of(bundle, build_id, directory), histories=histories, at_most=limit)
        environment = for_customer_code(os.environ, temporal=True)
        try:
            return asyncio.run(ask("worker.deployments.compare", question, Compared, environment, _SECONDS))
        except JudgeError as error:
            raise PublishError(f"{file} could not be replayed. {error}") from None
        finally:
            bundles.remove(directory)


def _show(compared: "Compared", file: Path) -> None:
    out = showing.console()
    comparisons = compared.comparisons
    if not comparisons:
        typer.echo("There are no live sessions of this name: nothing to replay. --name or --history names others.")
        return
    for comparison in comparisons:
        _show_one(comparison, out.print)
    other = sum(comparison.takes_another_path for comparison in comparisons)
    total = showing.counted(len(comparisons), "conversation")
    if not other:
        out.print(Text(f"{total} replayed: each takes the same path in {file}."))
        return
    verb = "takes" if other == 1 else "take"
    out.print(Text(
        f"{total} replayed: {other} {verb} another path in {file}. Published like this, sessions in the middle of "
        "that handler stay on the version they run on; the others get the new one."
    ))  # fmt: skip


def _show_one(comparison: "Comparison", say: Callable[[Text], None]) -> None:
    difference = comparison.difference
    what = Path(comparison.what).name
    if difference is None:
        say(Text(f"✓ {what}: {showing.counted(comparison.calls, 'call')}, all the same"))
        return
    mark, colour = ("✗", "red") if comparison.takes_another_path else ("–", "yellow")
    say(Text(f"{mark} ", style=colour).append(f"{what}: {difference.text}", style="default"))
    if difference.line:
        say(Text(f"    {difference.line}"))
