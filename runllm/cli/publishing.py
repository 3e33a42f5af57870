"""`runllm publish`, `watch`, `rollback` and `workflows`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known
from runllm.cli.loading import handlers_in
from runllm.errors import PublishError

Name = Annotated[str, typer.Argument(help="What the workflow is published as.", show_default=False)]

_MARKS = {"running": "…", "done": "✓", "failed": "✗", "skipped": "–"}


def publish(
    file: Annotated[Path, typer.Argument(help="Python file with one @entrypoint, and its tasks.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="What to publish it as; the file's name without .py if not given.")
    ] = None,
    entrypoint: Annotated[str | None, typer.Option(help="Which entrypoint, where the file has several.")] = None,
    watch: Annotated[bool, typer.Option(help="Show each step of the deployment until it is live.")] = True,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Publish the workflow in a file, and watch it go live.

    Takes the file's entrypoint, all tasks that are in it or imported into it, and the local modules that it imports.
    Under a name that is in use it becomes the next version: conversations move on when they are idle. The same code
    again changes nothing. With --json standard output gets the deployment as it is at the end, and nothing else.

    Example: runllm publish support.py --name help_desk
    """
    with in_words():
        engine = Engine.of(server, api_key)
        found = handlers_in(file, entrypoint)
        published_as = name or file.stem
        with _in_a_terminal(json):
            engine.client.publish(published_as, found.entrypoint, found.tasks)
        _follow(engine, published_as, watch, json)


@contextmanager
def _in_a_terminal(json: bool) -> Iterator[None]:
    """What the client prints, without its advice on what to write in Python next."""
    printed = StringIO()
    with redirect_stdout(printed):
        yield
    for line in printed.getvalue().splitlines():
        said, is_advice, _ = line.partition(": client.watch(")
        typer.echo(f"{said}; `runllm watch` shows its deployment" if is_advice else line, err=json)


def _follow(engine: Engine, name: str, watch: bool, json: bool) -> None:
    """Watches, and ends with what a program reads: people's lines are on standard error then."""
    try:
        if watch:
            with redirect_stdout(sys.stderr if json else sys.stdout):
                engine.client.watch(name)
    except PublishError:
        if json:
            showing.as_json(engine.get(f"workflows/{name}/deployment"))
        raise
    if json:
        showing.as_json(engine.get(f"workflows/{name}/deployment"))


def _known(engine: Engine, name: str) -> dict[str, Any]:
    """The published workflow; a name that nothing is published as is refused with what can be done at a terminal."""
    return known(lambda: engine.get(f"workflows/{name}"), "`runllm workflows` lists those there are")


def watch(name: Name, json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Show each step of a deployment until it is live.

    Ends with 1 where the deployment fails, and says at which step and why. Ctrl-C stops watching, not the deployment.
    With --json standard output gets the deployment as it is at the end, and nothing else.
    """
    with in_words():
        engine = Engine.of(server, api_key)
        _known(engine, name)
        _follow(engine, name, True, json)


def rollback(
    name: Name,
    build: Annotated[
        str | None, typer.Argument(help="Which version; the one that was current before if not given.")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Show each step of the deployment until it is live.")] = True,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Make an earlier version current again.

    `runllm workflows NAME` lists the versions. Nothing is lost: publishing the newer code again brings it back.
    """
    with in_words():
        engine = Engine.of(server, api_key)
        _known(engine, name)
        with _in_a_terminal(json):
            engine.client.rollback(name, build)
        _follow(engine, name, watch, json)


def workflows(
    name: Annotated[str | None, typer.Argument(help="Show this one's versions and their steps.")] = None,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """List published workflows, or the versions of one."""
    with in_words():
        engine = Engine.of(server, api_key)
        if name is None:
            answer = engine.get("workflows")
            showing.as_json(answer) if json else _list(answer["workflows"])
        else:
            workflow = _known(engine, name)
            workflow["sessions"] = engine.get("sessions", workflow=name, limit=500)["sessions"]
            showing.as_json(workflow) if json else _one(workflow)


def _list(workflows: list[dict[str, Any]]) -> None:
    if not workflows:
        typer.echo("Nothing is published. `runllm publish FILE` publishes a workflow.")
        return
    made = showing.table("name", "current", "newest", "published", last="listens to")
    for workflow in workflows:
        newest = workflow["versions"][0] if workflow["versions"] else {}
        showing.row(
            made, workflow["name"], workflow["current_build"] or "none", newest.get("status", "none"),
            showing.when(newest.get("created_at")), ", ".join(map(_place, workflow["listeners"])),
        )  # fmt: skip
    showing.console().print(made)


def _place(listener: dict[str, Any]) -> str:
    where = next((str(listener[key]) for key in ("domain", "team_id", "guild_id", "agent_id") if key in listener), "")
    return f"{listener['type'].removesuffix('_thread').replace('_', ' ')} {where}".strip()


def _one(workflow: dict[str, Any]) -> None:
    out = showing.console()
    open_sessions = [session for session in workflow["sessions"] if session["phase"] != "closed"]
    out.print(f"{workflow['name']}, current build {workflow['current_build'] or 'none'}", markup=False)
    made = showing.table("build", "status", "published", "open", last="steps")
    for version in workflow["versions"]:
        build = version["build_id"]
        steps = " ".join(f"{_MARKS.get(step['state'], step['state'])} {step['step']}" for step in version["steps"])
        # A session that has done nothing but answer has not told its build; it moves whenever the current one changes.
        sessions = sum((session["build_id"] or workflow["current_build"]) == build for session in open_sessions)
        status = version["status"] + (", wanted" if version["wanted"] and version["status"] != "current" else "")
        showing.row(made, build, status, showing.when(version["created_at"]), sessions, steps)
    out.print(made)
    for version in workflow["versions"]:
        for text in filter(None, (version["note"], version["error"])):
            out.print(f"{version['build_id']}: {text}", markup=False)
