"""Log files of child processes: opened for appending, read from their end, kept from growing for ever."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

LARGEST = 10 * 1024 * 1024
"""A log that has grown to this many bytes becomes its own `.1`, and starts anew."""


def open_log(path: Path) -> BinaryIO:
    """Opens a log so that a child process can be given it.

    Every write goes to the end of the file, wherever that is, so that `cap` can cut it under a running writer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), "wb", buffering=0)


def size(path: Path) -> int:
    """How long a log is; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def tail(path: Path, since: int = 0, characters: int = 2000) -> str:
    """The last whole lines that a log got after its first `since` bytes."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        length = log.seek(0, os.SEEK_END)
        start = max(since if since <= length else 0, length - characters)
        log.seek(start)
        text = log.read().decode(errors="replace")
    if start > since:
        text = text.partition("\n")[2]
    return text.strip()


def cap(path: Path, largest: int = LARGEST) -> None:
    """Moves the content of a log that is too large to `PATH.1`, and cuts the file that its writer still has open."""
    if size(path) > largest:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
