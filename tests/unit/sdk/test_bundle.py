"""Bundles of modules that this process has imported; scripts are in test_publishing_scripts.py."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

import runllm
from runllm import PublishError, UsageError, WidgetListener, entrypoint, task
from runllm.bundle import Bundle, BundleEntry, collect

Project = Callable[[dict[str, str]], Path]
Load = Callable[[str, dict[str, str]], ModuleType]

HEAD = "from runllm import WidgetListener, entrypoint, task\n"
ANSWER = '@entrypoint(listeners=[WidgetListener(domain="a.com")])\ndef answer(agent, event): ...\n'
LATER = "@task()\ndef later(agent, event): ...\n"


@pytest.fixture
def load(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Writes files and imports one module of them; all are forgotten afterwards."""
    before = set(sys.modules)

    def load(module: str, files: dict[str, str]) -> ModuleType:
        monkeypatch.syspath_prepend(str(project(files)))
        importlib.invalidate_caches()
        return importlib.import_module(module)

    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_package_travels_with_its_init_files(load: Load) -> None:
    module = load(
        "shop.desk.main",
        {
            "shop/__init__.py": "",
            "shop/desk/main.py": HEAD + "from .. import prices\nfrom . import texts as t, MISSING_IS_FINE\n" + ANSWER,
            "shop/desk/__init__.py": "MISSING_IS_FINE = 1\n",
            "shop/desk/texts.py": "import shop.late, os.path\n",
            "shop/late.py": "def too_far_up():\n    from ..above import x\n",
            "shop/prices.py": "",
            "shop/unused.py": "",
        },
    )
    bundle = collect(module.answer, [], "desk")
    assert sorted(bundle.files) == [
        "shop/__init__.py",
        "shop/desk/__init__.py",
        "shop/desk/main.py",
        "shop/desk/texts.py",
        "shop/late.py",
        "shop/prices.py",
    ]
    assert bundle.entrypoint == BundleEntry(name="answer", module="shop.desk.main", function="answer")
    assert bundle.name == "desk"
    assert bundle.sdk_version == runllm.__version__


def test_directories_without_an_init_file_are_packages_too(load: Load) -> None:
    module = load("open_house.desk", {"open_house/desk.py": HEAD + "from open_house.deep import x\n" + ANSWER,
                                      "open_house/deep/x.py": ""})  # fmt: skip
    assert sorted(collect(module.answer, [], "desk").files) == ["open_house/deep/x.py", "open_house/desk.py"]


def test_handlers_may_live_in_an_init_file(load: Load) -> None:
    module = load("house", {"house/__init__.py": HEAD + ANSWER + "from house import rooms\n", "house/rooms.py": ""})
    bundle = collect(module.answer, [], "desk")
    assert sorted(bundle.files) == ["house/__init__.py", "house/rooms.py"]
    assert bundle.entrypoint.module == "house"


def test_a_package_hides_a_module_of_its_name(load: Load) -> None:
    module = load("desk_a", {"desk_a.py": HEAD + "import twin\n" + ANSWER, "twin/__init__.py": "", "twin.py": "x = ("})
    assert sorted(collect(module.answer, [], "desk").files) == ["desk_a.py", "twin/__init__.py"]


def test_tasks_of_other_modules_are_found_where_they_are_defined(load: Load) -> None:
    module = load("desk_b", {"desk_b.py": HEAD + "from tasks_b import later as renamed\n" + ANSWER,
                             "tasks_b.py": HEAD + LATER})  # fmt: skip
    bundle = collect(module.answer, [module.renamed], "desk")
    assert bundle.tasks == [BundleEntry(name="later", module="tasks_b", function="later")]


def test_imports_that_are_strings_are_followed(load: Load) -> None:
    source = (
        "import importlib\nimportlib.import_module('named_c')\n__import__('named_too_c')\nx = lambda: __import__('')\n"
    )
    module = load("desk_c", {"desk_c.py": HEAD + source + ANSWER, "named_c.py": "", "named_too_c.py": ""})
    assert sorted(collect(module.answer, [], "desk").files) == ["desk_c.py", "named_c.py", "named_too_c.py"]


def test_the_same_sources_make_the_same_bundle(load: Load) -> None:
    module = load("desk_d", {"desk_d.py": HEAD + "import z_d, a_d\n" + ANSWER, "z_d.py": "", "a_d.py": ""})
    bundle = collect(module.answer, [], "desk")
    assert list(bundle.files) == ["a_d.py", "desk_d.py", "z_d.py"]
    assert collect(module.answer, [], "desk").model_dump_json() == bundle.model_dump_json()
    assert Bundle.model_validate_json(bundle.model_dump_json()) == bundle


def test_two_handlers_of_one_name_are_refused(load: Load) -> None:
    module = load("desk_e", {"desk_e.py": HEAD + ANSWER + LATER})
    with pytest.raises(UsageError, match=r"2 handlers are called 'later'. Pass each task once"):
        collect(module.answer, [module.later, module.later], "desk")


def test_a_handler_inside_a_function_is_refused() -> None:
    @task()
    def later(agent: object, event: object) -> None: ...

    with pytest.raises(PublishError, match=r"'later' is made inside another function .*Move it to the top level"):
        collect(at_top_level, [later], "desk")


def test_a_handler_that_lost_its_name_is_refused(load: Load) -> None:
    module = load("desk_f", {"desk_f.py": HEAD + ANSWER + "kept = [answer]\ndel answer\n"})
    with pytest.raises(PublishError, match="'answer' is not at the top level of desk_f"):
        collect(module.kept[0], [], "desk")


def test_a_handler_of_a_module_that_is_gone_is_refused(load: Load) -> None:
    module = load("desk_g", {"desk_g.py": HEAD + ANSWER})
    del sys.modules["desk_g"]
    with pytest.raises(PublishError, match="'answer' is not in a module that is imported"):
        collect(module.answer, [], "desk")


def test_a_handler_of_a_module_without_a_file_is_refused(load: Load) -> None:
    module = load("desk_h", {"desk_h.py": HEAD + ANSWER})
    module.__file__ = None
    with pytest.raises(PublishError, match=r"'answer' is not in a file\. Save it in a .py file"):
        collect(module.answer, [], "desk")


def test_a_handler_typed_at_the_prompt_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("desk_i", {"desk_i.py": HEAD})
    monkeypatch.setitem(sys.modules, "__main__", module)
    module.__name__ = "__main__"
    exec(compile(ANSWER, "<stdin>", "exec"), vars(module))
    with pytest.raises(PublishError, match=r"'answer' is not in a file\. Save it in a .py file"):
        collect(module.answer, [], "desk")


@pytest.mark.parametrize(("file", "name"), [("__main__.py", "__main__"), ("desk.v2.py", "__main__")])
def test_a_file_that_cannot_be_imported_by_name_is_refused(
    file: str, name: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("desk_j", {"desk_j.py": HEAD + ANSWER, file: ""})
    place = Path(module.__file__ or "").with_name(file)
    monkeypatch.setitem(sys.modules, "desk_j", module)
    module.__file__, module.__name__, module.__spec__ = str(place), name, None
    with pytest.raises(PublishError, match=rf"is in {file}, which cannot be imported by name: rename it"):
        collect(module.answer, [], "desk")


def test_a_script_is_known_by_its_file_name(load: Load) -> None:
    module = load("desk_k", {"desk_k.py": HEAD + ANSWER})
    module.__name__, module.__spec__ = "__main__", None
    assert collect(module.answer, [], "desk").entrypoint.module == "desk_k"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"# \xe4", r"bad_l.py is not UTF-8 \(byte 2 is 0xe4\): save it as UTF-8"),
        (b"x = (", r"bad_l.py, line 1: .*The workflow imports this file: repair it"),
        (b"x = 1\0", r"bad_l.py.*The workflow imports this file: repair it"),
    ],
)
def test_a_source_that_python_cannot_read_is_refused(source: bytes, problem: str, load: Load, tmp_path: Path) -> None:
    module = load("desk_l", {"desk_l.py": HEAD + ANSWER + "def f():\n    import bad_l\n"})
    (tmp_path / "bad_l.py").write_bytes(source)
    with pytest.raises(PublishError, match=problem):
        collect(module.answer, [], "desk")


def test_too_much_source_is_refused_with_the_largest_file(load: Load) -> None:
    module = load("desk_m", {"desk_m.py": HEAD + ANSWER + "import big_m\n", "big_m.py": f"X = '{'x' * 4_400_000}'"})
    with pytest.raises(PublishError, match=r"'desk' has 4\.2 MB of sources, and 4\.0 MB .* big_m\.py \(4\.2 MB\)"):
        collect(module.answer, [], "desk")


def test_two_directories_may_hold_the_same_file_but_not_different_ones(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    module = load(
        "desk_n",
        {
            "desk_n.py": HEAD + "import same_n\nfrom tasks_n import later\n" + ANSWER,
            "same_n.py": "A = 1\n",
            "lib/tasks_n.py": HEAD + "import same_n\n" + LATER,
            "lib/same_n.py": "A = 1\n",
        },
    )
    assert sorted(collect(module.answer, [module.later], "desk").files) == ["desk_n.py", "same_n.py", "tasks_n.py"]
    (tmp_path / "lib/same_n.py").write_text("A = 2\n")
    with pytest.raises(PublishError, match=r"would both be same_n\.py in the bundle: rename one of them"):
        collect(module.answer, [module.later], "desk")


def test_of_an_installed_workflow_only_its_own_package_is_taken(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    module = load("desk_o", {"site-packages/desk_o/__init__.py": HEAD + "import lib_o\nfrom . import a\n" + ANSWER,
                             "site-packages/desk_o/a.py": "", "site-packages/lib_o.py": ""})  # fmt: skip
    assert sorted(collect(module.answer, [], "desk").files) == ["desk_o/__init__.py", "desk_o/a.py"]


def test_the_sdk_is_never_part_of_a_bundle(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("desk_p", {"desk_p.py": HEAD + ANSWER})
    beside_the_sdk = Path(runllm.__file__).parents[1] / "desk_p.py"
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"import runllm")
    real = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: path == beside_the_sdk or real(path))
    module.__file__ = str(beside_the_sdk)
    assert list(collect(module.answer, [], "desk").files) == ["desk_p.py"]


def test_a_bundle_takes_no_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Bundle.model_validate({"name": "x", "files": {}, "entrypoint": {}, "listeners": [], "extra": 1})


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def at_top_level(agent: object, event: object) -> None: ...
