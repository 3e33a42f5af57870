"""`runllm sessions list`, `show` and `tail`."""

import time
from contextlib import suppress
from dataclasses import dataclass
from json import dumps
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from runllm.api_errors import AwayError
from runllm.bridge.messages import AnswerCategory, MessageType
from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known

app = typer.Typer(no_args_is_help=True, help="Look at conversations: list them, read one, follow them live.")

POLL_SECONDS = 0.5

Number = Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the session.", show_default=False)]

_COLOURS = {"error": "red", "warning": "yellow"}


@app.command("list")
def list_sessions(
    phase: Annotated[
        str | None,
        typer.Option(help="listening, handling, waiting_for_button, mirroring or closed."),
    ] = None,
    handler: Annotated[str | None, typer.Option(help="Only those that this handler has.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this published workflow.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 20,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """List sessions, the most recently active first."""
    with in_words():
        engine = Engine.of(server, api_key)
        found = engine.get("sessions", state=phase, handler=handler, workflow=workflow, limit=limit)
        if json:
            showing.as_json(found)
        elif not found["sessions"]:
            chosen = phase or handler or workflow
            typer.echo("No session fits." if chosen else "There are no sessions yet: write in the widget.")
        else:
            showing.console().print(_table(found["sessions"]))


def _table(sessions: list[dict[str, Any]]) -> Any:
    made = showing.table("id", "workflow", "phase", "handler", "active", last="tags")
    for session in sessions:
        showing.row(
            made, session["id"], session["published_name"], session["phase"].replace("_", " "),
            session["handler"], showing.when(session["active_at"]), ", ".join(session["tags"]),
        )  # fmt: skip
    return made


@app.command()
def show(id: Number, json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Show one session: what was said, its log, its buttons.

    Also where Temporal's Web UI shows it, its tags and its surfaces.
    """
    with in_words():
        engine = Engine.of(server, api_key)
        session = known(lambda: engine.get(f"sessions/{id}"), "`runllm sessions list` shows those there are")
        showing.as_json(session) if json else _one(session)


def _one(session: dict[str, Any]) -> None:
    out = showing.console()
    build = f", build {session['build_id']}" if session["build_id"] else ""
    _print(out, f"session {session['id']} of {session['published_name']}{build}")
    at_work = f", {session['handler']}" if session["handler"] else ""
    started, active = showing.when(session["started_at"]), showing.when(session["active_at"])
    _print(out, f"{session['phase'].replace('_', ' ')}{at_work}; started {started}, active {active}")
    if session["tags"]:
        _print(out, f"tags: {', '.join(session['tags'])}")
    _print(out, f"surfaces: {', '.join([session['surface'], *_others(session)])}")
    if (spent := session.get("spent")) and spent["requests"]:
        _print(out, f"models: {cost(spent)}")
    _print(out, session["temporal_url"])
    _print(out, "\nTranscript")
    for message in session["transcript"]:
        _message(out, message)
    if session["waits"]:
        _print(out, "\nButtons")
    for wait in session["waits"]:
        clicked = f", clicked {wait['clicked']}" if wait["clicked"] else ""
        _print(out, f"{wait['state']}{clicked}: {', '.join(wait['buttons'])}", indent=2)
    if session["log"]:
        _print(out, "\nLog")
    for line in session["log"]:
        where = f" {line['handler']}:" if line["handler"] else ""
        text = f"{showing.clock(line['at'])} {line['level']}:{where} {line['text']}"
        _print(out, text, _COLOURS.get(line["level"], ""), indent=2)


def cost(spent: dict[str, Any]) -> str:
    """What models have cost, for people."""
    tokens = f"{spent['tokens']} tokens in {showing.counted(spent['requests'], 'request')}"
    unpriced = f", {spent['unpriced']} of them at an unknown price" if spent["unpriced"] else ""
    return f"${spent['usd']:.4f}, {tokens}{unpriced}" if spent["usd"] else f"{tokens}{unpriced}"


def _others(session: dict[str, Any]) -> list[str]:
    kinds = [str(surface["type"]) for surface in session["surfaces"]]
    return kinds[1:]


def _message(out: Console, message: dict[str, Any], prefix: str = "  ") -> None:
    who = message["author_name"] or message["author"]
    category = f" [{message['category']}]" if message["category"] else ""
    edited = " (edited)" if message["edited_at"] else ""
    is_user = message["author"] == "user"
    head = Text(f"{prefix}{showing.clock(message['at'])} ")
    head.append(f"{who}{category}{edited}:", style="bold" if is_user else "bold cyan")
    out.print(head, soft_wrap=True)
    for line in message["text"].splitlines():
        _print(out, line, indent=4)
    for source in message["sources"]:
        _print(out, f"↳ {source.get('title') or 'source'}: {source.get('url') or 'no address'}", "dim", indent=4)


def _print(out: Console, text: str, style: str = "", indent: int = 0) -> None:
    """Breaks lines between words on a terminal; a pipe gets them as they are."""
    if out.is_terminal and "://" not in text:
        out.print(Padding(Text(text, style=style), (0, 0, 0, indent)))
    else:
        out.print(Text(" " * indent + text, style=style), soft_wrap=True)


@app.command()
def tail(
    id: Annotated[
        int | None, typer.Argument(metavar="ID", min=1, help="Follow only this session.", show_default=False)
    ] = None,
    workflow: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this published workflow.")] = None,
    author: Annotated[
        MessageType | None, typer.Option(help="Only what people say, or only what the agent does.")
    ] = None,
    category: Annotated[AnswerCategory | None, typer.Option(help="Only answers of this category.")] = None,
    contains: Annotated[str | None, typer.Option(metavar="TEXT", help="Only messages that have this text.")] = None,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Follow new messages as they are said, until Ctrl-C.

    Those of all sessions, of one, or only those that every filter lets through. With --json each message is one line
    of JSON.

    Example: runllm sessions tail --workflow support --category unanswered
    """
    wanted = _Filter(workflow, author, category, (contains or "").casefold())
    with in_words(), suppress(KeyboardInterrupt):
        engine = Engine.of(server, api_key)
        if id is not None:
            known(lambda: engine.get(f"sessions/{id}"), "`runllm sessions list` shows those there are")
        if workflow is not None:
            known(lambda: engine.get(f"workflows/{workflow}"), "`runllm workflows` lists those there are")
        _follow(engine, id, wanted, json)


@dataclass(frozen=True)
class _Filter:
    """Which messages are shown; what is not set lets all through."""

    workflow: str | None
    author: MessageType | None
    category: AnswerCategory | None
    contains: str

    def lets_through(self, message: dict[str, Any]) -> bool:
        return (
            self.workflow in (None, message["published_name"])
            and self.author in (None, message["author"])
            and self.category in (None, message["category"])
            and self.contains in message["text"].casefold()
        )


def _follow(engine: Engine, id: int | None, wanted: _Filter, json: bool) -> None:
    out = showing.console()
    last = engine.get("messages", session=id)["last"]
    typer.echo("Waiting for messages; Ctrl-C ends this.", err=True)
    is_away = False
    while True:
        time.sleep(POLL_SECONDS)
        try:
            answer = engine.get("messages", session=id, after=last)
        except AwayError:
            if not is_away:
                typer.echo(f"{engine.server} does not answer; trying until it does.", err=True)
            is_away = True
            continue
        is_away, last = False, answer["last"]
        for message in filter(wanted.lets_through, answer["messages"]):
            if json:
                typer.echo(dumps(message, ensure_ascii=False))
            else:
                _message(out, message, f"#{message['session_id']} {message['published_name']} ")
