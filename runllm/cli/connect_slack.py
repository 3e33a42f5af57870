"""`runllm connect slack`."""

import os
from typing import Annotated

import typer

from runllm.cli import showing
from runllm.cli.connecting import connect_and_say
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Server

_TOKEN = "RUNLLM_SLACK_BOT_TOKEN"
_URL = "RUNLLM_PUBLIC_URL"


def command(
    token: Annotated[
        str, typer.Option(envvar=_TOKEN, help="The app's bot token (xoxb-); asked for where it is missing.")
    ] = "",
    manifest: Annotated[bool, typer.Option("--manifest", help="Print the manifest that makes the Slack app.")] = False,
    name: Annotated[str, typer.Option(help="The app's name, for the manifest.")] = "Support",
    public_url: Annotated[
        str, typer.Option(envvar=_URL, help="Where Slack reaches the engine, for the manifest.")
    ] = "",
    socket: Annotated[
        bool, typer.Option("--socket", help="A manifest for Socket Mode, which needs no public address.")
    ] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Connect a Slack workspace, and say what is missing there.

    First make the app: `runllm connect slack --manifest` prints what Slack's page "From a manifest" wants. Install it
    in the workspace, set RUNLLM_SLACK_SIGNING_SECRET for the engine, then run this with the bot token.
    """
    if manifest:
        _print_manifest(name, public_url, is_socket=socket)
        return
    given = token or typer.prompt("Bot token (xoxb-...)", hide_input=True)
    connect_and_say("slack", {"bot_token": given.strip()}, json=json, server=server, api_key=api_key)


def _print_manifest(name: str, public_url: str, *, is_socket: bool) -> None:
    from gateways.slack.manifest import manifest  # the SDK alone has no gateways

    if not public_url and not is_socket:
        typer.echo(
            f"Slack has to reach the engine: pass --public-url https://..., or set {_URL}. Without a public address "
            "use --socket.",
            err=True,
        )
        raise typer.Exit(os.EX_USAGE)
    showing.as_json(manifest(public_url or "http://127.0.0.1:8080", name, is_socket=is_socket))
