"""`runllm docs add`, `list`, `sync`, `search` and `remove`."""

import re
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
STANDSTILL_SECONDS = 300.0
"""Indexing that has not moved for so long is not going on; a repository may take that long to be fetched."""

_OVER = ("done", "failed")
_KINDS = ("folder", "file", "site", "sitemap", "git", "zendesk", "openapi")
_EVERY = re.compile(r"^(\d+)\s*(m|min|h|d)$")
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86400}


@app.command()
def add(
    what: Annotated[
        str,
        typer.Argument(
            help="A folder or file; the address of a site, sitemap, Git repository, help centre or OpenAPI file.",
            show_default=False,
        ),
    ],
    kind: Annotated[str | None, typer.Option(help=f"What it is, where that is not plain: {', '.join(_KINDS)}.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the files are on the web, so that answers can link to them.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Index it again by itself so often: 30m, 6h, 1d; `never` ends that.")
    ] = None,
    internal: Annotated[
        bool | None, typer.Option("--internal/--public", help="For colleagues only: no customer is answered from it.")
    ] = None,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Index documentation, and show how far it is.

    Markdown, MDX, reStructuredText, HTML, PDF and OpenAPI are read. Folders and files are read where the engine runs,
    at the same path. What was added before is indexed again: only what has changed is read.
    """
    with in_words():
        new = {
            **_located(what, kind),
            **({} if base_url is None else {"base_url": _address(base_url)}),
            **({} if every is None else {"every_seconds": _seconds(every)}),
            **({} if internal is None else {"is_internal": internal}),
        }
        engine = Engine.of(server, api_key)
        _followed(engine, engine.post("sources", new), what, json)


@app.command()
def sync(
    id: Annotated[int, typer.Argument(min=1, help="Number of the source.", show_default=False)],
    accept_removals: Annotated[
        bool, typer.Option("--accept-removals", help="Forget what is not found, even where that is most of it.")
    ] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Index a source again.

    What has not changed is not read. Documents that are not found any more are forgotten; where they are more than
    half, and more than ten, they are kept, and --accept-removals forgets them.
    """
    with in_words():
        engine = Engine.of(server, api_key)
        advice = "`runllm docs list` shows those there are"
        how = "?accept_removals=true" if accept_removals else ""
        source = known(lambda: engine.post(f"sources/{id}/sync{how}", {}), advice)
        _followed(engine, source, source["location"], json)


def _located(what: str, kind: str | None) -> dict[str, Any]:
    """The location that was meant, and its kind where that can be seen from here."""
    if kind is not None and kind not in _KINDS:
        raise UsageError(f"--kind {kind!r} is none. Kinds are {', '.join(_KINDS)}")
    if "://" in what or what.startswith("git@"):
        return {"location": what, "kind": kind}
    plain, mark, branch = what.partition("#") if kind == "git" else (what, "", "")
    path = Path(plain)
    if not path.exists():
        raise UsageError(f"{plain} does not exist. Name a folder or a file, or an address that begins with https://")
    is_folder = path.is_dir()
    if is_folder != (kind in ("folder", "git")) and kind is not None:
        raise UsageError(f"{plain} is a {'folder' if is_folder else 'file'}, which no source of the kind {kind} is")
    guessed = "folder" if is_folder else "openapi" if path.suffix in (".json", ".yaml", ".yml") else "file"
    return {"location": f"{path.resolve()}{mark}{branch}", "kind": kind or guessed}


def _address(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {base_url!r} is no address. Write it like https://docs.example.com")
    return base_url


def _seconds(every: str) -> int:
    if every == "never":
        return 0
    found = _EVERY.match(every)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"--every {every!r} is no time. Write it like 30m, 6h or 1d, or `never`")
    return int(found[1]) * _SECONDS[found[2]]


def _followed(engine: Engine, source: dict[str, Any], what: str, json: bool) -> None:
    """Shows a bar until indexing is over, then how it ended."""
    source = _indexed(engine, source)
    if json:
        showing.as_json(source)
    if source["state"] == "failed":
        raise ServerError(
            f"{source['location']} could not be indexed: {str(source['error']).rstrip('.')}. Once that is put "
            f"right, `runllm docs sync {source['id']}` tries again"
        )
    if json:
        return
    documents, passages = source["documents"], source["passages"]
    typer.echo(
        f"Source {source['id']}: {showing.counted(documents, 'document')}, "
        f"{showing.counted(passages, 'passage')} from {what}"
    )
    if source.get("needs_a_look"):
        typer.echo(source["needs_a_look"])
    if source["error"]:
        typer.echo(f"{showing.one_line(source['error'], 500)}")
    if source["problems"]:
        pages = showing.counted(source["problems"], "page")
        typer.echo(f"{pages} with something to know: `runllm docs list {source['id']} --failed`")


def _indexed(engine: Engine, source: dict[str, Any]) -> dict[str, Any]:
    """Shows a bar until indexing is over."""
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TextColumn("pages"))
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
                why = f" ({source['error'].rstrip('.')})" if source["error"] else ""
                raise ServerError(
                    f"Indexing of {source['location']} does not move{why}. Look with `runllm doctor` whether a worker "
                    "runs; indexing goes on by itself then"
                )
    return source


@app.command("list")
def list_sources(
    id: Annotated[
        int | None, typer.Argument(min=1, help="Number of a source, to list its documents.", show_default=False)
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only pages that could not be indexed, or not as they should be.")
    ] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """List sources, or documents of one.

    With a number the documents of that source; with --failed what is wrong with its pages.
    """
    with in_words():
        engine = Engine.of(server, api_key)
        if id is not None:
            _documents(engine, id, failed, json)
            return
        found = engine.get("sources")
        if json:
            showing.as_json(found)
        elif not found["sources"]:
            typer.echo("Nothing is indexed. `runllm docs add FOLDER` indexes a folder, `runllm docs add URL` a site.")
        elif failed:
            for source in found["sources"]:
                _documents(engine, source["id"], True, False)
        else:
            _list(found["sources"])


def _list(sources: list[dict[str, Any]]) -> None:
    made = showing.table("id", "kind", "state", "documents", "passages", "indexed", last="source")
    for source in sources:
        state = source["state"]
        if state == "running":
            state = f"{source['done']} of {source['total'] or '?'}"
        elif state == "done" and source.get("needs_a_look"):
            state = "needs a look"
        every = source["every_seconds"]
        more = [source["base_url"], every and f"every {_duration(every)}", source["is_internal"] and "internal"]
        showing.row(
            made, source["id"], source["kind"], state, source["documents"], source["passages"],
            showing.when(source["synced_at"]), "\n".join(filter(None, [source["location"], *more])),
        )  # fmt: skip
    out = showing.console()
    out.print(made)
    for source in sources:
        if source.get("needs_a_look"):
            out.print(f"{source['id']}: {source['needs_a_look']}", markup=False)
        if source["error"]:
            out.print(f"{source['id']}: {source['error']}", markup=False)
        if source["problems"]:
            pages = showing.counted(source["problems"], "page")
            out.print(f"{source['id']}: {pages} with something to know: runllm docs list {source['id']} --failed")


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"


def _documents(engine: Engine, source_id: int, failed: bool, json: bool) -> None:
    """Lists the documents of a source, or its problems; as many requests as that takes."""
    name = "problems" if failed else "documents"
    rows: list[dict[str, Any]] = []
    after: Any = None
    while True:
        query = {"failed": "1" if failed else None, "after": after, "limit": 1000}
        found = known(
            lambda query=query: engine.get(f"sources/{source_id}/documents", **query),  # type: ignore[misc]
            "`runllm docs list` shows those there are",
        )
        rows += found[name]
        after = found["next"]
        if after is None:
            break
    if json:
        showing.as_json({name: rows})
    elif not rows:
        nothing = "Nothing is wrong with the pages" if failed else "There are no documents"
        typer.echo(f"{nothing} of source {source_id}.")
    elif failed:
        for row in rows:
            typer.echo(f"{row['path']} {row['problem']}")
    else:
        made = showing.table("dated", last="document")
        for row in rows:
            showing.row(made, (row["dated_at"] or "")[:10], f"{row['title']}\n{row['url'] or row['path']}")
        showing.console().print(made)


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
    """Forget a source and all that came from it. The files stay where they are."""
    with in_words():
        engine = Engine.of(server, api_key)
        known(lambda: engine.delete(f"sources/{id}"), "`runllm docs list` shows those there are")
        typer.echo(f"Source {id} is forgotten.")
