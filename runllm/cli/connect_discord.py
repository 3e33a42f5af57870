"""`runllm connect discord`."""

from typing import Annotated

import typer

from runllm.cli.connecting import connect_and_say
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Server


def command(
    token: Annotated[
        str, typer.Option(envvar="RUNLLM_DISCORD_TOKEN", help="The bot's token; asked for where it is missing.")
    ] = "",
    guild: Annotated[
        str, typer.Option(help="The server's number; not needed where the bot is in one server only.")
    ] = "",
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Connect a Discord server, and say what is missing there.

    Make an application in Discord's Developer Portal, switch on Message Content Intent under Bot, and run this with the
    bot's token: it prints the address that invites the bot where it is not in the server yet. Run it once for each
    server.
    """
    given = token or typer.prompt("Bot token", hide_input=True)
    credentials = {"token": given.strip(), **({"guild_id": guild} if guild else {})}
    connect_and_say("discord", credentials, json=json, server=server, api_key=api_key)
