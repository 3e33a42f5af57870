"""The commands of `runllm`, one module each."""

import typer

from runllm.cli import api_keys, checkup, connections, conversations, dev, documents, new_project, publishing, replaying

app = typer.Typer(
    name="runllm",
    help="Build, run and look after support conversations.",
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
app.add_typer(conversations.app, name="sessions")
app.add_typer(documents.app, name="docs")
app.add_typer(api_keys.app, name="keys")
app.add_typer(connections.app, name="connect")
app.command("doctor")(checkup.doctor)


@app.callback()
def runllm() -> None:
    """Build, run and look after support conversations."""
