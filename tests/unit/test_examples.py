"""The examples are what a publish takes: each is one file, is judged as a bundle is, and has a test and a page."""

import ast
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from gateways.wire import build_id_of
from runllm.bundle import Bundle, collect
from runllm.decorators import EntrypointWrapper, TaskWrapper
from worker.deployments import bundles
from worker.deployments.validate import validate
from worker.deployments.verdicts import CheckBundle, Unpacked

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports an example as a host does, and forgets it: validation imports its own copy."""
    path, before = list(sys.path), dict(sys.modules)
    monkeypatch.setenv("RUNLLM_LOADING", "1")
    monkeypatch.setattr("worker.session.published._served", {})  # validation serves what it checks
    for name in NAMES:
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield import_module
    sys.path[:] = path
    for name in NAMES:  # the examples' own tests hold on to the modules that they imported
        sys.modules.pop(name, None)
        if name in before:
            sys.modules[name] = before[name]


def bundle_of(module: ModuleType) -> Bundle:
    handlers = list(vars(module).values())
    [entry] = [handler for handler in handlers if isinstance(handler, EntrypointWrapper)]
    return collect(entry, [handler for handler in handlers if isinstance(handler, TaskWrapper)], module.__name__)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_published(name: str, load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    bundle = bundle_of(load(name))
    assert set(bundle.files) == {f"{name}.py"}
    directory = bundles.unpack(bundle, build_id_of(bundle), tmp_path)
    del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != EXAMPLES]
    version = Unpacked.of(bundle, build_id_of(bundle), directory)
    with ThreadPoolExecutor(1) as thread:  # it runs an event loop of its own
        verdict = thread.submit(validate, CheckBundle(version=version, listeners=bundle.listeners)).result()
    assert verdict.problems == []
    assert verdict.manifest is not None
    assert verdict.manifest.warnings == []


@pytest.mark.parametrize("name", NAMES)
def test_it_publishes_every_task_that_it_has(name: str) -> None:
    """A task that is missing there is found only when a conversation moves on to it."""
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tasks = {f.name for f in functions if any(ast.unparse(d) == "task()" for d in f.decorator_list)}
    [publish] = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "client.publish"
    ]
    given = [keyword.value for keyword in publish.keywords if keyword.arg == "tasks"]
    assert {node.id for value in given for node in ast.walk(value) if isinstance(node, ast.Name)} == tasks


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_test_and_a_page(name: str) -> None:
    assert (EXAMPLES / "tests" / f"test_{name}.py").is_file()
    page = (ROOT / "docs" / "howto" / f"{name.replace('_', '-')}.md").read_text(encoding="utf-8")
    assert f"examples/{name}.py" in page
    assert f"examples/tests/test_{name}.py" in page
