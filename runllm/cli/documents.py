"""`runllm docs add`, `list`, `search` and `remove`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known
from runllm.errors import ServerError, UsageError

app = typer.Typer(no_args_is_help=True, help="The documentation that answers come from: index it, search it.")

POLL_SECONDS = 0.2
STANDSTILL_SECONDS = 60.0
"""Indexing that has not moved for so long is not going on."""

_OVER = ("done", "failed")


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="Folder of Markdown and HTML files.", show_default=False)],
    base_url: Annotated[
        str | None, typer.Option(help="Where the folder is on the web, so that answers can link to it.")
    ] = None,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Index a folder of documentation, and show how far it is.

    The folder is read where the engine runs, at the same path. A folder that was added before is indexed again: only
    what has changed is read.
    """
    with in_words():
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise UsageError(f"{path} {what}. Name a folder of Markdown or HTML files")
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise UsageError(f"--base-url {base_url!r} is no address. Write it like https://docs.example.com")
        engine = Engine.of(server, api_key)
        new = {"kind": "folder", "location": str(path.resolve()), "base_url": base_url}
        source = _indexed(engine, engine.post("sources", new))
        if json:
            showing.as_json(source)
        if source["state"] == "failed":
            raise ServerError(
                f"{source['location']} could not be indexed: {str(source['error']).rstrip('.')}. Once that is put "
                "right, run this again"
            )
        if not json:
            documents, passages = source["documents"], source["passages"]
            typer.echo(
                f"Source {source['id']}: {showing.counted(documents, 'document')}, "
                f"{showing.counted(passages, 'passage')} from {path}"
            )


def _indexed(engine: Engine, source: dict[str, Any]) -> dict[str, Any]:
    """Shows a bar until indexing is over."""
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    out = showing.console()
    out.stderr = True
    moved = time.monotonic()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("indexing", total=None)
        while source["state"] not in _OVER:
            time.sleep(POLL_SECONDS)
            before, source = source, engine.get(f"sources/{source['id']}")
            bar.update(task, total=source["total"] or None, completed=source["done"])
            if (before["state"], before["done"]) != (source["state"], source["done"]):
                moved = time.monotonic()
            elif time.monotonic() - moved > STANDSTILL_SECONDS:
                raise ServerError(
                    f"Indexing of {source['location']} does not move. Look with `runllm doctor` whether a worker runs; "
                    "indexing goes on by itself then"
                )
    return source


@app.command("list")
def list_sources(json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """List what has been indexed."""
    with in_words():
        found = Engine.of(server, api_key).get("sources")
        if json:
            showing.as_json(found)
        elif not found["sources"]:
            typer.echo("Nothing is indexed. `runllm docs add FOLDER` indexes a folder.")
        else:
            _list(found["sources"])


def _list(sources: list[dict[str, Any]]) -> None:
    made = showing.table("id", "state", "documents", "passages", "indexed", last="folder")
    for source in sources:
        state = source["state"]
        if state == "running":
            state = f"{source['done']} of {source['total'] or '?'}"
        showing.row(
            made, source["id"], state, source["documents"], source["passages"], showing.when(source["synced_at"]),
            source["location"] + (f"\n{source['base_url']}" if source["base_url"] else ""),
        )  # fmt: skip
    out = showing.console()
    out.print(made)
    for source in sources:
        if source["error"]:
            out.print(f"{source['id']}: {source['error']}", markup=False)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What a customer might ask.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages.")] = 5,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Show the passages that have the words of a question.

    This is the index alone, the first half of what an answer is made from: for an answer the worker also repairs
    typing errors, looks at the conversation so far, and orders the passages anew.
    """
    with in_words():
        found = Engine.of(server, api_key).get("search", question=question, limit=limit)
        if json:
            showing.as_json(found)
        elif not found["passages"]:
            typer.echo("No passage has any of these words. `runllm docs list` shows what is indexed.")
        else:
            made = showing.table("score", last="passage")
            for passage in found["passages"]:
                heading = passage["heading"] or passage["title"]
                place = passage["url"] or passage["path"]
                text = showing.one_line(passage["text"], 160)
                showing.row(made, f"{passage['score']:.3g}", f"{heading}\n{place}\n{text}\n")
            showing.console().print(made)


@app.command()
def remove(
    id: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the source.", show_default=False)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Forget a folder and all that came from it. The files stay where they are."""
    with in_words():
        engine = Engine.of(server, api_key)
        known(lambda: engine.delete(f"sources/{id}"), "`runllm docs list` shows those there are")
        typer.echo(f"Source {id} is forgotten.")
