"""The customer's code in this process: where it is, and its handlers."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from runllm.bundle import BundleEntry
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.tools import ToolWrapper, tools_in

Handler = EntrypointWrapper | TaskWrapper


@dataclass(frozen=True)
class Published:
    """One version of a published workflow, unpacked.

    Attributes:
        name: The published name.
        build_id: The version.
        directory: Where its files are.
        entrypoint: The handler that a session starts with.
        tasks: The other handlers.
    """

    name: str
    build_id: str
    directory: Path
    entrypoint: BundleEntry
    tasks: list[BundleEntry] = field(default_factory=list)

    def entries(self) -> list[BundleEntry]:
        """All handlers, the entrypoint first."""
        return [self.entrypoint, *self.tasks]

    def modules(self) -> list[str]:
        """Names of all modules in the bundle."""
        paths = (path.relative_to(self.directory).with_suffix("") for path in sorted(self.directory.rglob("*.py")))
        return [".".join(p.parts[:-1] if p.name == "__init__" else p.parts) for p in paths]


_served: dict[str, Published] = {}
_modules: dict[str, list[str]] = {}
"""Names of their modules: looked up once, because a run may not look at files."""


def serve(published: Published) -> None:
    """Makes a version known to the sessions of this process."""
    _served[published.name] = published
    _modules[published.name] = published.modules()


def withdraw(published: Published) -> None:
    """Forgets a version."""
    _served.pop(published.name, None)


def served(name: str) -> Published:
    """The version that this process serves under a published name."""
    return _served[name]


def import_handlers() -> None:
    """Imports the modules of all handlers: inside the sandbox, the run's own copies of them."""
    for published in _served.values():
        if str(published.directory) not in sys.path:
            sys.path.insert(0, str(published.directory))
        for entry in published.entries():
            __import__(entry.module)


def handlers_of(name: str) -> dict[str, Handler]:
    """The handlers of a published name, the entrypoint first, from the modules as this run sees them."""
    found: dict[str, Handler] = {}
    for entry in served(name).entries():
        handler = getattr(sys.modules[entry.module], entry.function)
        assert isinstance(handler, EntrypointWrapper | TaskWrapper), f"{entry.module}.{entry.function} is no handler"
        found[entry.name] = handler
    return found


def tools_of(name: str) -> list[ToolWrapper]:
    """The tools of a published name, from the modules as this run sees them."""
    return tools_in(sys.modules[module] for module in _modules[name] if module in sys.modules)
