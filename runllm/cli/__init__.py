"""The `runllm` command."""

import sys


def main() -> None:
    """Runs the command line; says what to install where it cannot."""
    try:
        from runllm.cli.app import app
    except ImportError as error:
        sys.exit(f"runllm: the command line needs {error.name}: pip install 'runllm-engine[engine]'")
    app()
