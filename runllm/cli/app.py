"""The commands and their options; each has its work in a file of its own."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from runllm.cli import dev as dev_command

app = typer.Typer(
    name="runllm",
    help="Support conversations as plain Python functions, durable on Temporal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Support conversations as plain Python functions, durable on Temporal."""


@app.command()
def dev(
    home: Annotated[
        Path, typer.Option(envvar="RUNLLM_HOME", help="Where conversations, logs and keys are kept.")
    ] = Path(".runllm"),
    port: Annotated[
        int, typer.Option(envvar="RUNLLM_PORT", help="Of the widget, the console and the control API.")
    ] = 8080,
    temporal_port: Annotated[int, typer.Option(envvar="RUNLLM_TEMPORAL_PORT", help="Of the Temporal server.")] = 7233,
    ui_port: Annotated[int, typer.Option(envvar="RUNLLM_TEMPORAL_UI_PORT", help="Of Temporal's Web UI.")] = 8233,
    docs: Annotated[Path | None, typer.Option(help="Folder of documentation to index, instead of the sample.")] = None,
    workflow: Annotated[
        Path | None, typer.Option(help="Script that publishes a workflow, instead of the example.")
    ] = None,
    example: Annotated[bool, typer.Option(help="Index the sample documentation and publish the example.")] = True,
) -> None:
    """Start everything on this machine, and serve until Ctrl-C.

    Starts a Temporal server with its Web UI, the gateways and the worker, indexes documentation, publishes a workflow,
    and prints where to look. A process that dies is started again. A second start finds what the first one kept.
    """
    settings = dev_command.DevSettings(
        home=home.absolute(),
        port=port,
        temporal_port=temporal_port,
        ui_port=ui_port,
        docs=docs or (dev_command.EXAMPLES / "docs" if example else None),
        workflow=workflow or (dev_command.EXAMPLES / "answer_or_escalate.py" if example else None),
        environment=dict(os.environ),
    )
    try:
        asyncio.run(dev_command.serve(settings))
    except dev_command.CannotStart as error:
        typer.echo(f"runllm dev: {error}", err=True)
        raise typer.Exit(2) from None
