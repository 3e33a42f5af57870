"""A folder of documentation on the worker's machine: which files it has, and what they say."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from runllm.errors import UsageError
from runllm.operations import Frozen
from worker.answering.documents import FORMATS, is_document

LARGEST = 2_000_000
"""Bytes. No page that people read is longer; what is, was made by a machine."""

_BINARY_LOOK = 8192
_NOT_DOCUMENTATION = frozenset({"node_modules", "__pycache__"})


class FolderFiles(Frozen):
    """The documents of a folder by their paths in it, in order, and what was left out, with the reason."""

    paths: Sequence[str]
    notes: list[str] = []


class Unreadable(Exception):
    """A file that cannot be indexed; the text says why."""


def list_folder(location: str) -> FolderFiles:
    """The documents in the folder and below.

    Raises:
        UsageError: There is no such folder here, or it cannot be read.
    """
    root = _root(location)
    notes: list[str] = []
    paths = sorted(_documents(root, notes))
    if not paths:
        notes.append(f"There are no documents in it. Files with these endings are read: {', '.join(FORMATS)}")
    return FolderFiles(paths=paths, notes=notes)


def read_document(location: str, path: str) -> tuple[bytes, str, str | None]:
    """The bytes and the text of a document, and a note where the text had to be guessed.

    Raises:
        Unreadable: It is binary, too large, or cannot be opened.
    """
    root = _root(location)
    file = root / path
    if not _is_inside(root, file):
        raise Unreadable("is a link that leaves the folder")
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST:
        raise Unreadable(f"has more than {LARGEST // 1_000_000} MB")
    if b"\0" in content[:_BINARY_LOOK]:
        raise Unreadable("is not text")
    try:
        return content, content.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return content, content.decode("cp1252", errors="replace"), "is not UTF-8 and was read as Windows-1252"


def address(base_url: str | None, path: str) -> str | None:
    """Where people read the document at `path`."""
    return f"{base_url.rstrip('/')}/{quote(path)}" if base_url else None


def _root(location: str) -> Path:
    try:
        root = Path(location).resolve(strict=True)
        if root.is_dir() and os.access(root, os.R_OK | os.X_OK):
            return root
    except OSError:
        pass
    raise UsageError(
        f"There is no folder {location} that the worker can read. Pass the absolute path of a folder on its machine"
    )


def _documents(root: Path, notes: list[str]) -> Iterator[str]:
    def refused(error: OSError) -> None:
        notes.append(f"{_relative(root, Path(str(error.filename)))} cannot be read: {error.strerror}")

    for folder, subfolders, files in os.walk(root, onerror=refused):
        here = Path(folder)
        for name in subfolders:
            if (here / name).is_symlink():
                notes.append(f"{_relative(root, here / name)} is a link to a folder and is not followed")
        subfolders[:] = [name for name in sorted(subfolders) if not _is_hidden(name) and name not in _NOT_DOCUMENTATION]
        for name in files:
            if _is_hidden(name) or not is_document(name):
                continue
            path = _relative(root, here / name)
            if not path.isprintable():
                notes.append(f"{path!r} has a name that is no text")
            elif _is_inside(root, here / name):
                yield path
            else:
                notes.append(f"{path} is a link that leaves the folder")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_inside(root: Path, file: Path) -> bool:
    try:
        return file.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # a link to nowhere, or in a circle
        return False


def _relative(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
