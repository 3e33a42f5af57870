"""Bundles on disk: one directory a version that nobody changes, because sessions read it again on every replay."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runllm.bundle import Bundle
from runllm.errors import PublishError

_PART = re.compile(r"\w[\w.+@ -]{0,99}")
_DEEPEST = 16
_COMPILE_SECONDS = 20.0


def directory_of(root: Path, name: str, build_id: str) -> Path:
    """Where the bundle of a version is unpacked."""
    return root / name / build_id


def unpack(bundle: Bundle, build_id: str, root: Path) -> Path:
    """Writes a bundle's files, compiled and read-only, and returns their directory.

    What is there already stays as it is if it is whole. A process that is killed leaves no half-written directory
    under the version's name, and two processes may unpack the same version at once.

    Raises:
        PublishError: A path in the bundle cannot be a file of a directory.
    """
    check_paths(bundle)
    target = directory_of(root, bundle.name, build_id)
    if is_whole(target, bundle):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{build_id}-", dir=target.parent))
    try:
        _write(bundle, making)
        _compile(making)
        _make_read_only(making)
        _rename(making, target, bundle)
    finally:
        if making.exists():
            remove(making)
    return target


def check_paths(bundle: Bundle) -> None:
    """Refuses paths that lead out of the bundle, or that mean different files on different systems."""
    for path, text in bundle.files.items():
        parts = path.split("/")
        if len(parts) > _DEEPEST or not all(_PART.fullmatch(part) for part in parts):
            raise PublishError(
                f"The bundle of {bundle.name!r} has a file named {path!r}. Names are relative, with forward slashes, "
                "and made of letters, digits, '_', '-' and '.': rename the file."
            )
        above = {str(parent) for parent in PurePosixPath(path).parents}
        if clash := sorted(above & bundle.files.keys()):
            raise PublishError(f"The bundle of {bundle.name!r} has {clash[0]!r} both as a file and as a folder.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise PublishError(f"The bundle of {bundle.name!r} has a file, {path!r}, that is not text in UTF-8.")


def is_whole(directory: Path, bundle: Bundle) -> bool:
    """Whether a directory holds all files of a bundle as they were uploaded."""
    try:
        return all((directory / path).read_bytes() == text.encode() for path, text in bundle.files.items())
    except OSError:
        return False


def remove(directory: Path) -> None:
    """Deletes a read-only directory."""
    for path in _below(directory):
        if path.is_dir() and not path.is_symlink():
            path.chmod(stat.S_IRWXU)
    shutil.rmtree(directory, ignore_errors=True)


def _write(bundle: Bundle, directory: Path) -> None:
    for path, text in bundle.files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())


def _compile(directory: Path) -> None:
    """Compiles in a process of its own: a source text may be made to crash the compiler. Errors show at validation."""
    command = (sys.executable, "-I", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash", directory)
    try:
        subprocess.run(command, timeout=_COMPILE_SECONDS, check=False, capture_output=True, env={})
    except subprocess.TimeoutExpired:
        return


def _make_read_only(directory: Path) -> None:
    for path in _below(directory):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _rename(making: Path, target: Path, bundle: Bundle) -> None:
    """Another process may be quicker: then what it made stays, because somebody may be using it already."""
    making.chmod(stat.S_IRWXU)  # a directory that is renamed must be writable
    while True:
        try:
            making.rename(target)
        except OSError:
            if is_whole(target, bundle):
                return
            _put_aside(target)
        else:
            return target.chmod(0o555)


def _put_aside(broken: Path) -> None:
    broken.chmod(stat.S_IRWXU)
    aside = Path(tempfile.mkdtemp(prefix=f".{broken.name}-", dir=broken.parent))
    broken.rename(aside)  # over the empty directory
    remove(aside)


def _below(directory: Path) -> Iterator[Path]:
    yield directory
    for parent, folders, files in os.walk(directory):
        yield from (Path(parent, name) for name in (*folders, *files))
