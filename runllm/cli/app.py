"""The commands of `runllm`, one module each."""

import typer

from runllm.cli import dev

app = typer.Typer(
    name="runllm",
    help="Build, run and look after support conversations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("dev")(dev.command)


@app.callback()
def runllm() -> None:
    """Build, run and look after support conversations."""
