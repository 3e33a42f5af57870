"""What the commands of `runllm connect` share: one call of the engine, and what is said about its answer."""

from collections.abc import Iterable, Mapping
from typing import Any

import typer
from rich.text import Text

from runllm.cli import showing
from runllm.cli.engine import FAILED, Engine, in_words

MARKS = {"good": ("✓", "green"), "note": ("–", "yellow"), "bad": ("✗", "red")}
"""How each verdict is shown."""


def connect_and_say(
    platform: str, credentials: Mapping[str, Any], *, json: bool = False, server: str, api_key: str
) -> None:
    """Has the engine try and keep `credentials`, and prints what it found.

    Ends with 1 where something needs a person, though it is connected then, or where the platform refuses them.
    """
    with in_words():
        made = Engine.of(server, api_key).post(
            "installations", {"platform": platform, "credentials": dict(credentials)}
        )
    if json:
        showing.as_json(made)
    else:
        name = f"{made['name']} ({made['external_id']})" if made["name"] else made["external_id"]
        typer.echo(f"{platform.capitalize()} is connected: {name}.")
        show_findings(made["findings"])
    if any(finding["verdict"] == "bad" for finding in made["findings"]):
        raise typer.Exit(FAILED)


def show_findings(findings: Iterable[Mapping[str, str]]) -> None:
    """One line and more a finding, with a mark before it."""
    out = showing.console()
    for finding in findings:
        mark, colour = MARKS[finding["verdict"]]
        made = showing.table("", last="")
        made.show_header = False
        showing.row(made, Text(mark, style=colour), finding["text"])
        out.print(made)
