"""`runllm keys create`, `list` and `revoke`."""

from typing import Annotated

import typer

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of the engine's API. The first one comes from `runllm dev`, or from "
    "`python -m gateways.keys create NAME`.",
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it, like ci.", show_default=False)],
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Make a key and print it, and nothing else, on standard output. It cannot be read again."""
    with in_words():
        made = Engine.of(server, api_key).post("keys", {"name": name})
        if json:
            showing.as_json(made)
        else:
            typer.echo(made["key"])
            typer.echo(f"This is key {made['id']}, {made['name']}. Keep it now: it cannot be read again.", err=True)


@app.command("list")
def list_keys(json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """List keys, without the keys themselves."""
    with in_words():
        found = Engine.of(server, api_key).get("keys")
        if json:
            showing.as_json(found)
            return
        made = showing.table("id", "name", "made", last="state")
        for key in found["keys"]:
            state = "valid"
            if key["revoked_at"]:
                state = f"revoked {showing.when(key['revoked_at'])}"
            elif key["is_yours"]:
                state = "valid; you call with it"
            showing.row(made, key["id"], key["name"], showing.when(key["created_at"]), state)
        showing.console().print(made)


@app.command()
def revoke(
    id: Annotated[int, typer.Argument(min=1, help="Number of the key.", show_default=False)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Make a key useless, from now on. This cannot be taken back."""
    with in_words():
        engine = Engine.of(server, api_key)
        key = known(lambda: engine.delete(f"keys/{id}"), "`runllm keys list` shows those there are")
        typer.echo(f"Key {id}, {key['name']}, is revoked.")
