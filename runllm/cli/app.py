"""The commands of `runllm`, one module each."""

import inspect
from collections.abc import Iterator

import typer

from runllm.cli import (
    api_keys,
    calibrating,
    checkup,
    connections,
    conversations,
    dev,
    documents,
    evaluating,
    facts,
    new_project,
    publishing,
    replaying,
)

EXIT_CODES = (
    "Ends with 0 when it is done, 1 when it was tried and did not work, 2 when it cannot work as it was called, 130 "
    "after Ctrl-C."
)

app = typer.Typer(
    name="runllm",
    help="Build, run and look after support conversations.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("dev")(dev.command)
app.command("init")(new_project.init)
app.command("publish")(publishing.publish)
app.command("watch")(publishing.watch)
app.command("rollback")(publishing.rollback)
app.command("workflows")(publishing.workflows)
app.command("replay")(replaying.replay)
app.command("eval")(evaluating.evaluate)
app.add_typer(conversations.app, name="sessions")
documents.app.command("calibrate")(calibrating.calibrate)
app.add_typer(documents.app, name="docs")
app.add_typer(facts.app, name="facts")
app.add_typer(api_keys.app, name="keys")
app.add_typer(connections.app, name="connect")
app.command("doctor")(checkup.doctor)


@app.callback()
def runllm() -> None:
    """Build, run and look after support conversations."""


def _commands(of: typer.Typer) -> Iterator[typer.models.CommandInfo]:
    yield from of.registered_commands
    for group in of.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance)


def _in_full(command: typer.models.CommandInfo) -> str:
    """The first sentence of a command's help: lists break it into lines, where they would cut what they find."""
    text = inspect.getdoc(command.callback) if command.callback else command.help
    return " ".join((text or "").partition("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."


for command in _commands(app):
    command.epilog = EXIT_CODES
    command.short_help = command.short_help or _in_full(command)
