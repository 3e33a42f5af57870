"""A folder of documentation on the worker's machine: which files it has, and what they say."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from runllm.errors import UsageError
from runllm.operations import Frozen
from worker.answering.documents import FORMATS, Unreadable, is_document

LARGEST = 5_000_000
"""Bytes. No page that people read is longer; what is, was made by a machine."""

LARGEST_PDF = 50_000_000

NOT_DOCUMENTATION = frozenset({"node_modules", "__pycache__"})


class FolderFiles(Frozen):
    """The documents of a folder by their paths in it, in order, and what was left out, with the reason."""

    paths: Sequence[str]
    notes: list[str] = []


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


def read_document(location: str, path: str) -> bytes:
    """The bytes of a document in the folder.

    Raises:
        Unreadable: It is too large, or cannot be opened.
    """
    root = _root(location)
    file = root / path
    if not is_inside(root, file):
        raise Unreadable("is a link that leaves the folder")
    return read_file(file)


def read_file(file: Path, limit: int = 0) -> bytes:
    """The bytes of a file. One that is too large is not read at all.

    Raises:
        Unreadable: It is too large, or cannot be opened.
    """
    limit = limit or (LARGEST_PDF if file.suffix.lower() == ".pdf" else LARGEST)
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_size > limit:
                raise Unreadable(f"has more than {limit // 1_000_000} MB")
            content = opened.read(limit + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    if len(content) > limit:
        raise Unreadable(f"has more than {limit // 1_000_000} MB")
    return content


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
        subfolders[:] = [name for name in sorted(subfolders) if not _is_hidden(name) and name not in NOT_DOCUMENTATION]
        for name in files:
            if _is_hidden(name) or not is_document(name):
                continue
            path = _relative(root, here / name)
            if not path.isprintable():
                notes.append(f"{path!r} has a name that is no text")
            elif is_inside(root, here / name):
                yield path
            else:
                notes.append(f"{path} is a link that leaves the folder")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def is_inside(root: Path, file: Path) -> bool:
    try:
        return file.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # a link to nowhere, or in a circle
        return False


def _relative(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
