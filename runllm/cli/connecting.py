"""`runllm connect`: what is to be said about surfaces that this version cannot reach yet."""

from enum import StrEnum
from typing import Annotated

import typer

from runllm.cli.engine import FAILED


class Platform(StrEnum):
    """A platform that handlers may name already."""

    SLACK = "slack"
    ZENDESK = "zendesk"
    DISCORD = "discord"


_NEEDS = {
    Platform.SLACK: "a Slack app of yours with a bot token and its signing secret, and an address of the gateways that "
    "Slack can reach from the internet",
    Platform.ZENDESK: "an API token of a Zendesk administrator, the subdomain, and an address of the gateways that "
    "Zendesk's webhooks can reach from the internet",
    Platform.DISCORD: "a Discord application with a bot token and its public key, invited to your server with the "
    "right to read messages and to open threads",
}


def connect(
    platform: Annotated[Platform, typer.Argument(help="What to connect.", show_default=False)],
) -> None:
    """Connect Slack, Zendesk or Discord: not in this version.

    Says what will be needed. Until then handlers may name these platforms, and get NotConnected.
    """
    name = platform.value.capitalize()
    typer.echo(
        f"{name} cannot be connected in this version: it comes with a later one. You will need {_NEEDS[platform]}. "
        f"Until then a handler that uses {name} gets NotConnected, which it can catch; runllm.testing plays {name} in "
        "your tests.",
        err=True,
    )
    raise typer.Exit(FAILED)
