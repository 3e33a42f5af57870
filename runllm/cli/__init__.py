"""The `runllm` command."""

import sys


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
    app()
