"""`runllm facts list`, `approve`, `reject`, `undo` and `policy`."""

from typing import Annotated, Any

import typer

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known
from runllm.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Facts that people stated: look, decide.")

_STATES = ("proposed", "approved", "rejected")
_POLICIES = ("propose", "approve")
_HOW = {"conflict": "conflicts with", "same": "same as", "similar": "similar to", "link": "links to"}

Id = Annotated[int, typer.Argument(min=1, help="Number of the fact.", show_default=False)]


@app.command("list")
def list_facts(
    state: Annotated[str | None, typer.Option(help=f"Only those that are {', '.join(_STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 50,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """List learned facts.

    With who stated them, in which session, and what is known already of the same thing.
    """
    with in_words():
        if state is not None and state not in _STATES:
            raise UsageError(f"--state {state!r} is none. States are {', '.join(_STATES)}")
        found = Engine.of(server, api_key).get("facts", state=state, limit=limit)
        if json:
            showing.as_json(found)
        elif not found["facts"]:
            typer.echo("There are no facts. `agent.learn(conversation)` takes them from what people state.")
        else:
            _show(found["facts"])


def _show(facts: list[dict[str, Any]]) -> None:
    made = showing.table("id", "state", "session", "stated by", last="fact")
    for fact in facts:
        against = [_against(one) for one in fact["relations"]]
        text = "\n".join([fact["text"], *against])
        showing.row(made, fact["id"], fact["state"], fact["session_id"], fact["stated_by"] or "somebody", text)
    showing.console().print(made)


def _against(related: dict[str, Any]) -> str:
    said = f": “{showing.one_line(related['text'], 100)}”" if related["text"] else ""
    return f"  {_HOW.get(related['how'], related['how'])} {related['what']}{said}"


@app.command()
def approve(id: Id, json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Let answers be made of a fact, as of documents."""
    _decide(id, "approve", json, server, api_key)


@app.command()
def reject(id: Id, json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Turn a fact down. It is not proposed again."""
    _decide(id, "reject", json, server, api_key)


@app.command()
def undo(id: Id, json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Take a decision back. The fact is a proposal again, and no answer is made of it."""
    _decide(id, "undo", json, server, api_key)


def _decide(id: int, decision: str, json: bool, server: str, api_key: str) -> None:
    with in_words():
        engine = Engine.of(server, api_key)
        advice = "`runllm facts list` shows those there are"
        fact = known(lambda: engine.post(f"facts/{id}/{decision}", {}), advice)
        if json:
            showing.as_json(fact)
        else:
            typer.echo(f"Fact {id} is {fact['state']}: {showing.one_line(fact['text'], 100)}")


@app.command()
def policy(
    learns: Annotated[
        str | None,
        typer.Argument(
            help="`propose`: somebody looks at each fact; `approve`: they are used at once, unless something is odd.",
            show_default=False,
        ),
    ] = None,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Show or set what becomes of facts that people state."""
    with in_words():
        if learns is not None and learns not in _POLICIES:
            raise UsageError(f"{learns!r} is no policy. There are {' and '.join(_POLICIES)}")
        engine = Engine.of(server, api_key)
        found = engine.get("facts", limit=1) if learns is None else engine.put("facts/policy", {"learns": learns})
        if json:
            showing.as_json({"learns": found["learns"]})
        elif found["learns"] == "approve":
            typer.echo("Facts are approved at once, unless they have a conflict, a twin or a strange link.")
        else:
            typer.echo("Facts are proposed, and somebody decides: `runllm facts approve ID`.")
