"""A workflow's file, imported as Python would import it: what handlers it has."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import PublishError, UsageError


@dataclass(frozen=True)
class Found:
    """The handlers of a file that are published together."""

    entrypoint: EntrypointWrapper
    tasks: list[TaskWrapper]


def handlers_in(file: Path, entrypoint: str | None = None) -> Found:
    """The entrypoint of a file, and all tasks that the file names.

    Args:
        file: The file.
        entrypoint: Which one, where it has several.

    Raises:
        UsageError: There is no such file, or it does not say which entrypoint is meant.
        PublishError: The file cannot be imported.
    """
    module = _import(file)
    values = {id(value): value for value in vars(module).values()}.values()
    entrypoints = [value for value in values if isinstance(value, EntrypointWrapper)]
    own = [value for value in entrypoints if value.function.__module__ == module.__name__] or entrypoints
    tasks = [value for value in values if isinstance(value, TaskWrapper)]
    names = ", ".join(value.name for value in own)
    if not own:
        raise UsageError(
            f"{file} has no entrypoint. Mark the function that new conversations start with: "
            '@entrypoint(listeners=[WidgetListener(domain="example.com")])'
        )
    if entrypoint is not None:
        chosen = [value for value in own if entrypoint in (value.name, value.function.__name__)]
        if not chosen:
            raise UsageError(f"{file} has no entrypoint {entrypoint!r}. It has: {names}")
        return Found(chosen[0], tasks)
    if len(own) > 1:
        raise UsageError(f"{file} has {len(own)} entrypoints: {names}. Choose one with --entrypoint")
    return Found(own[0], tasks)


def _import(file: Path) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"There is no file {file}. Name the Python file of the workflow")
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise UsageError(f"{file.name} cannot be imported. Give it a name of letters, digits and _ that ends in .py")
    path = file.resolve()
    name, root = _name_and_root(path)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _loading():
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise PublishError(f"{file} cannot be imported: {_place(error, root)}{_said(error)}") from None
    return module


def _name_and_root(path: Path) -> tuple[str, Path]:
    """A file of a package is imported by its whole name, so that its own imports work."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


@contextmanager
def _loading() -> Iterator[None]:
    """A file that publishes itself when it is imported does not do so now."""
    before = {name: os.environ.get(name) for name in ("RUNLLM_LOADING", "RUNLLM_API_KEY")}
    os.environ["RUNLLM_LOADING"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _place(error: BaseException, root: Path) -> str:
    if isinstance(error, SyntaxError):
        return ""
    inside = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(root)]
    return f"{Path(inside[-1].filename).name}, line {inside[-1].lineno}: " if inside else ""


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return 'it ends the process (sys.exit). Put that under `if __name__ == "__main__":`'
    if isinstance(error, ModuleNotFoundError):
        return f"{error}. Install it here, as it has to be on the worker"
    return f"{type(error).__name__}: {error}"
