"""Which source files a handler needs: its module, and the local modules that are imported from there on."""

import ast
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from runllm.errors import PublishError

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_SDK = Path(__file__).parent


@dataclass(frozen=True)
class Home:
    """A module that holds handlers.

    Attributes:
        module: Its name inside the bundle: the script that is running is known by its file's name.
        root: The directory that its name starts from.
    """

    module: str
    root: Path


def home_of(module: ModuleType, what: str) -> Home:
    """Where a module with handlers is.

    Raises:
        PublishError: It is in no file, or in one that cannot be imported by name; the text begins with `what`.
    """
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        raise PublishError(f"{what} is not in a file. Save it in a .py file, and publish from there")
    path = Path(os.path.abspath(file))
    spec = getattr(module, "__spec__", None)
    name: str = module.__name__ if spec is None else spec.name  # python -m support.flow: __main__ with a spec
    if name == "__main__":
        name = path.stem
        if name == "__main__" or "." in name:
            raise PublishError(f"{what} is in {path.name}, which cannot be imported by name: rename it to workflow.py")
    is_package = path.name == "__init__.py"
    return Home(name, path.parents[name.count(".") + is_package])


def collect_files(homes: list[Home]) -> dict[str, str]:
    """The sources that the modules of `homes` need, by their path inside the bundle.

    Raises:
        PublishError: A file cannot be read as Python, or two directories hold different files of one name.
    """
    found: dict[str, str] = {}
    where: dict[str, Path] = {}
    for home in homes:
        for inside, path, text in _walk(home):
            if where.setdefault(inside, path) != path and found[inside] != text:
                raise PublishError(
                    f"{where[inside]} and {path} would both be {inside} in the bundle: rename one of them"
                )
            found[inside] = text
    return dict(sorted(found.items()))


def _walk(home: Home) -> Iterator[tuple[str, Path, str]]:
    """Path in the bundle, path on this machine and text of each local module that can be reached from `home`."""
    waiting, seen = [home.module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package, _, _ = name.rpartition(".")
        if package:
            waiting.append(package)
        path = _find(name, home)
        if path is None:
            continue
        text = _read(path)
        waiting.extend(_imported(_parse(text, path), name, is_package=path.name == "__init__.py"))
        yield path.relative_to(home.root).as_posix(), path, text


def _find(name: str, home: Home) -> Path | None:
    """The file of a local module; None for libraries, for directories without `__init__.py`, and for what is no module.

    A package hides a module of the same name, as it does for Python's own import.
    """
    place = home.root.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_name(place.name + ".py")):
        if path.is_file():
            return path if _is_local(path, name, home) else None
    return None


def _is_local(path: Path, name: str, home: Home) -> bool:
    if path.is_relative_to(_SDK):
        return False
    if _INSTALLED.isdisjoint(path.parts) and not path.is_relative_to(_STDLIB):
        return True
    return name.partition(".")[0] == home.module.partition(".")[0]  # a workflow that was installed like a library


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PublishError(
            f"{path} is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}): save it as UTF-8"
        ) from None


def _parse(text: str, path: Path) -> ast.Module:
    try:
        return ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, in early releases of Python 3.11
        line, what = getattr(error, "lineno", 1), getattr(error, "msg", error)
        raise PublishError(f"{path}, line {line}: {what}. The workflow imports this file: repair it") from None


def _imported(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Names that may be modules, of all imports anywhere in a file."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                package = _absolute(module, origin, level, is_package=is_package)
                if package:
                    yield package
                    yield from (f"{package}.{alias.name}" for alias in names if alias.name != "*")
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ) if name and not name.startswith("."):
                yield name


def _absolute(module: str, origin: str | None, level: int, *, is_package: bool) -> str | None:
    """What `from {level dots}{origin} import ...` imports from; None where it leads out of the top-level package."""
    if level == 0:
        return origin
    parts = module.split(".") if is_package else module.split(".")[:-1]
    if level > len(parts):
        return None
    above = parts[: len(parts) - level + 1]
    return ".".join([*above, origin] if origin else above)


def loaded_module(name: str, what: str) -> ModuleType:
    """The module of that name in this process.

    Raises:
        PublishError: There is none; the text begins with `what`.
    """
    module = sys.modules.get(name)
    if module is None:
        raise PublishError(f"{what} is not in a module that is imported. Save it in a .py file, and publish from there")
    return module
