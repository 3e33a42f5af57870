"""The `runllm` command."""

import sys
from typing import NoReturn


def main() -> None:
    """Runs the command line, or says how to install what it needs."""
    try:
        from runllm.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(
            f"The `runllm` command needs {error.name}, which is not installed. Install the command's libraries with "
            "`pip install 'runllm-engine[cli]'`, or the whole engine with `pip install 'runllm-engine[engine]'`."
        )
    try:
        sys.exit(app(standalone_mode=False))
    except Exception as error:
        _explain(error)


def _explain(error: Exception) -> NoReturn:
    """A command that was called in a wrong way ends like every other error: with one sentence.

    Typer has no public name for these exceptions, so they are known by what they can do.
    """
    message, context = getattr(error, "format_message", None), getattr(error, "ctx", None)
    if message is None or context is None:
        raise error
    said = message().rstrip(".")
    if said == context.get_help().rstrip("."):  # a group of commands without one
        print(said, file=sys.stderr)
        sys.exit(2)
    from runllm.cli.engine import USAGE, say

    say(f"{said}. `{context.command_path} --help` shows how it is called")
    sys.exit(USAGE)
