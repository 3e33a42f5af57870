"""The sources of a published workflow: what they are, and how they are collected from the files they live in."""

from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

from pydantic import ConfigDict, Field

from runllm.bridge.listeners import AnyListener
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import PublishError, UsageError
from runllm.operations import Frozen
from runllm.sources import collect_files, home_of, loaded_module
from runllm.version import VERSION

BUNDLE_LIMIT = 4 * 1024 * 1024
"""Bytes of a bundle as JSON, at most."""


class BundleEntry(Frozen):
    """Where a handler is found in a bundle: `getattr(import_module(module), function)`."""

    name: str
    module: str
    function: str


class Bundle(Frozen):
    """What `Client.publish` uploads: source files and where the handlers are in them.

    Attributes:
        name: The published name.
        files: Path inside the bundle, with forward slashes, to its source text.
        entrypoint: The entrypoint.
        tasks: The tasks.
        listeners: Where the workflow listens, as the client sees it; checked again on the server.
        sdk_version: Version of the SDK that made the bundle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    files: dict[str, str]
    entrypoint: BundleEntry
    tasks: list[BundleEntry] = []
    listeners: list[AnyListener] = Field(min_length=1)
    sdk_version: str = ""


def collect(entrypoint: EntrypointWrapper, tasks: Sequence[TaskWrapper], name: str) -> Bundle:
    """Makes a bundle of the modules that the handlers live in and the local modules that these import.

    Local is what lies below the directory of the script, or below the one that holds the top-level package. Only
    `*.py` files are taken; libraries have to be installed where the engine runs.

    Args:
        entrypoint: The entrypoint.
        tasks: The tasks that conversations can move on to.
        name: The published name.

    Returns:
        The bundle, with all sources in it.

    Raises:
        UsageError: Two handlers have the same name.
        PublishError: A handler cannot be found by another process, a source cannot be read, or all of it is too large.
    """
    handlers: list[EntrypointWrapper | TaskWrapper] = [entrypoint, *tasks]
    _check_names(handlers)
    modules = [_module_of(handler) for handler in handlers]
    homes = [home_of(module, _what(handler)) for handler, module in zip(handlers, modules, strict=True)]
    first, *others = [
        BundleEntry(name=handler.name, module=home.module, function=_attribute(handler, module))
        for handler, module, home in zip(handlers, modules, homes, strict=True)
    ]
    bundle = Bundle(
        name=name,
        files=collect_files(list(dict.fromkeys(homes))),
        entrypoint=first,
        tasks=others,
        listeners=entrypoint.listeners,
        sdk_version=VERSION,
    )
    _check_size(bundle)
    return bundle


def _what(handler: EntrypointWrapper | TaskWrapper) -> str:
    return f"The handler {handler.name!r}"


def _check_names(handlers: Sequence[EntrypointWrapper | TaskWrapper]) -> None:
    for name, count in Counter(handler.name for handler in handlers).items():
        if count > 1:
            raise UsageError(
                f"{count} handlers are called {name!r}. Pass each task once, and give handlers names of their own: "
                f'@task(name="...")'
            )


def _module_of(handler: EntrypointWrapper | TaskWrapper) -> ModuleType:
    module = loaded_module(handler.function.__module__, _what(handler))
    written_in = _code_file(handler.function)
    if module.__name__ == "__main__" and written_in.startswith("<"):  # python -i: there is a script, but not with this
        raise PublishError(f"{_what(handler)} is not in a file. Save it in a .py file, and publish from there")
    return module


def _code_file(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return code.co_filename if code is not None else ""


def _attribute(handler: EntrypointWrapper | TaskWrapper, module: ModuleType) -> str:
    """The module's name for a handler: another process finds it there."""
    names = [handler.function.__name__, *vars(module)]
    found = next((name for name in names if vars(module).get(name) is handler), None)
    if found is not None:
        return found
    if "<locals>" in handler.function.__qualname__:
        raise PublishError(
            f"{_what(handler)} is made inside another function ({handler.function.__qualname__}), where no other "
            "process can find it. Move it to the top level of its module; a decorator below the SDK's needs "
            "functools.wraps"
        )
    raise PublishError(
        f"{_what(handler)} is not at the top level of {module.__name__}, where no other process can find it. Give it a "
        "name there, and do not use that name again"
    )


def _check_size(bundle: Bundle) -> None:
    size = len(bundle.model_dump_json().encode())
    if size > BUNDLE_LIMIT:
        largest = max(bundle.files, key=lambda path: len(bundle.files[path].encode()))
        raise PublishError(
            f"{bundle.name!r} has {_megabytes(size)} of sources, and {_megabytes(BUNDLE_LIMIT)} is the limit. The "
            f"largest file is {largest} ({_megabytes(len(bundle.files[largest].encode()))}): data does not belong "
            "into Python files"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"
