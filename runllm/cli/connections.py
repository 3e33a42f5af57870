"""`runllm connect`: `list` and `remove`, and a command for each platform."""

from typing import Annotated, Any

import typer

from runllm.cli import connect_discord, connect_slack, connect_zendesk, showing
from runllm.cli.connecting import show_findings
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words, known

app = typer.Typer(no_args_is_help=True, help="Connect Slack, Zendesk and Discord, and see what is connected.")

app.command("slack")(connect_slack.command)
app.command("zendesk")(connect_zendesk.command)
app.command("discord")(connect_discord.command)


@app.command("list")
def list_connected(
    check: Annotated[bool, typer.Option("--check", help="Try each of them now.")] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """List what is connected, without the credentials."""
    with in_words():
        found = Engine.of(server, api_key).get("installations", check="true" if check else None)
    if json:
        showing.as_json(found)
        return
    if not found["installations"]:
        typer.echo("Nothing is connected yet. `runllm connect slack`, `zendesk` or `discord` connects it.")
        return
    made = showing.table("platform", "id", "name", last="since")
    for one in found["installations"]:
        showing.row(made, one["platform"], one["external_id"], one["name"], _since(one))
    showing.console().print(made)
    for one in found["installations"] if check else ():
        typer.echo(f"\n{one['platform'].capitalize()} {one['external_id']}:")
        show_findings(one["findings"])


def _since(one: dict[str, Any]) -> str:
    return "set in the environment" if one["is_from_environment"] else showing.when(one["created_at"])


@app.command()
def remove(
    platform: Annotated[str, typer.Argument(help="slack, zendesk or discord.", show_default=False)],
    id: Annotated[str, typer.Argument(help="What the platform calls it: see the list.", show_default=False)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Forget the credentials of a workspace, account or server. What was said there stays in the record."""
    with in_words():
        engine = Engine.of(server, api_key)
        known(lambda: engine.delete(f"installations/{platform}/{id}"), "`runllm connect list` shows those there are")
        typer.echo(
            f"{platform.capitalize()} {id} is no longer connected; remove the app there, too, if nobody uses it."
        )
