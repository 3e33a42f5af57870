"""`python -m worker.alive`: whether the worker of this home works. Containers are asked this every few seconds.

A worker has no port that could be asked. It renews the date of a file as long as its activity worker takes activities
and its loop looks at what is published. The standard library only: asking costs next to nothing.
"""

import os
import sys
import time
from pathlib import Path

RENEW_SECONDS = 2.0
STALE_SECONDS = 20.0
"""Older than this means that something hangs, or has ended."""


def renew(home: Path) -> None:
    """Says that the worker of this home works now."""
    _file(home).touch()


def forget(home: Path) -> None:
    """What a worker before this one has said counts no more."""
    _file(home).unlink(missing_ok=True)


def problem(home: Path) -> str:
    """Why the worker of this home does not work; nothing where it does."""
    try:
        age = time.time() - _file(home).stat().st_mtime
    except FileNotFoundError:
        return f"no worker has worked on {home} yet"
    return "" if age < STALE_SECONDS else f"the worker on {home} has not worked for {age:.0f} s; its log says why"


def _file(home: Path) -> Path:
    return home / "worker.alive"


if __name__ == "__main__":
    sys.exit(problem(Path(os.environ.get("RUNLLM_HOME") or ".runllm")) or 0)
