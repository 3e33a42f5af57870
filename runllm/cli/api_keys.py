"""`runllm keys create`, `list`, `revoke` and `login`."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from runllm.cli import showing
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known
from runllm.errors import UsageError

if TYPE_CHECKING:
    from store.settings import StoreSettings

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of the engine's API. The first one comes from `runllm dev`, or from `runllm keys create NAME --here` "
    "where the engine runs.",
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it, like ci.", show_default=False)],
    here: Annotated[
        bool, typer.Option("--here", help="Needs no key: writes into the record of the engine that runs here.")
    ] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Make a key and print it, and nothing else, on standard output. It cannot be read again.

    Example, for the first key: docker compose exec gateways runllm keys create laptop --here
    """
    with in_words():
        if here:
            key = _create_here(name)
            showing.as_json({"key": key, "name": name}) if json else typer.echo(key)
            return
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
    id: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the key.", show_default=False)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Make a key useless, from now on. This cannot be taken back."""
    with in_words():
        engine = Engine.of(server, api_key)
        key = known(lambda: engine.delete(f"keys/{id}"), "`runllm keys list` shows those there are")
        typer.echo(f"Key {id}, {key['name']}, is revoked.")


@app.command()
def login(
    address: Annotated[
        str, typer.Option(envvar="RUNLLM_PUBLIC_URL", help="Where people reach the engine.")
    ] = "http://localhost:8080",
) -> None:
    """Print a link into the admin console, good for ten minutes. Works where the engine runs, and needs no key."""
    with in_words(), _record_here() as settings:
        from gateways.signing import login_token

        token = login_token(settings.secret.get_secret_value())
        typer.echo(f"{address.rstrip('/')}/console/login?token={token}")


def _create_here(name: str) -> str:
    with _record_here() as settings:
        from gateways import keys

        if not name.strip():
            raise UsageError("A key needs a name. Say who or what will use it, like laptop")
        return asyncio.run(keys.create(settings, name))


@contextmanager
def _record_here() -> Iterator["StoreSettings"]:
    """The engine of this machine; without one, a sentence and not a new one."""
    try:
        from store.engine import StoreError
        from store.settings import StoreSettings
    except ModuleNotFoundError as error:
        raise UsageError(
            f"This works where the engine is installed, and {error.name} is not installed here. Run it there, "
            "in a container with `docker compose exec gateways runllm keys ...`"
        ) from None
    home = os.environ.get("RUNLLM_HOME") or ".runllm"
    if not os.path.isdir(home):
        raise UsageError(f"No engine keeps its things in {home} here. Set RUNLLM_HOME, or go where the engine runs")
    try:
        yield StoreSettings.from_env(os.environ)
    except (StoreError, OSError, ValueError) as error:
        raise UsageError(str(error)) from None
