"""The reference of the command line is made from the commands themselves, each time the site is built."""

import re

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from runllm.cli.app import app

PAGE = "reference/cli.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page of all commands."""
    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """All commands with their arguments and options, in Markdown."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="runllm")
    text = get_docs_for_click(obj=command, ctx=context, name="runllm", title="The `runllm` command")
    return re.sub(r"\[default: ", "[default: ", text)
