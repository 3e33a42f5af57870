"""Scripts that publish themselves: what arrives at the server, and what the person at the terminal reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.sdk.api import Api
from tests.unit.sdk.conftest import Run

Project = Callable[[dict[str, str]], Path]

PUBLISH = "/api/v1/workflows"
TAKEN = {"name": "desk", "build_id": "0123456789ab", "unchanged": False}

HEAD = """
from runllm import Client, WidgetListener, entrypoint, task

LISTENERS = [WidgetListener(domain="example.com")]
"""
ANSWER = """
@entrypoint(listeners=LISTENERS)
def answer(agent, event):
    agent.stream_answer(event.conversation)
"""
PUBLISH_SUPPORT = 'import support\nfrom runllm import Client\nClient().publish("desk", support.answer)\n'
SCRIPT = HEAD + ANSWER + '\nClient().publish("desk", answer)\n'


@pytest.fixture(autouse=True)
def _takes_all(api: Api) -> None:
    api.answer(PUBLISH, TAKEN, status=202)


def test_a_script_is_stored_under_its_own_name(api: Api, python: Run, project: Project) -> None:
    done = python("desk.py", cwd=project({"desk.py": SCRIPT}))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "desk is published as build 0123456789ab, 1 file: client.watch('desk') follows its deployment\n"
    )
    [asked] = api.asked
    assert (asked.method, asked.path, asked.key) == ("POST", PUBLISH, "key-1")
    bundle = asked.bundle
    assert bundle.files == {"desk.py": SCRIPT}
    assert bundle.entrypoint.model_dump() == {"name": "answer", "module": "desk", "function": "answer"}
    assert [listener.model_dump() for listener in bundle.listeners] == [{"type": "widget", "domain": "example.com"}]


def test_the_modules_it_imports_come_along_and_nothing_else(api: Api, python: Run, project: Project) -> None:
    root = project(
        {
            "desk.py": HEAD
            + "import json, httpx\nimport texts.greetings\nfrom parts import *\nfrom parts.later import follow_up\n"
            + ANSWER
            + '\nClient().publish("desk", answer, [follow_up])\n',
            "texts/greetings.py": "HELLO = 'hello'\n",
            "texts/unused.py": "",
            "parts/__init__.py": "from . import names as names\n__all__ = ['names']\n",
            "parts/names.py": "",
            "parts/later.py": """
from runllm import task
from .deep.inner import SOMETHING

@task(name="follow up")
def follow_up(agent, event, surface):
    from parts import lazy
    import importlib
    importlib.import_module("parts.by_name")
    if surface:
        from ..nowhere import nothing
""",
            "parts/lazy.py": "from .. import too_far_up\n",
            "parts/by_name.py": "",
            "parts/deep/__init__.py": "",
            "parts/deep/inner.py": "from .. import names\nfrom ..sibling import *\nSOMETHING = 1\n",
            "parts/sibling.py": "",
            "parts/data.json": "{}",
            "other.py": "raise RuntimeError('never imported')\n",
            ".venv/lib/python3.11/site-packages/httpx/__init__.py": "",
        }
    )
    done = python("desk.py", cwd=root)
    assert done.returncode == 0, done.stderr
    bundle = api.asked[0].bundle
    assert sorted(bundle.files) == [
        "desk.py",
        "parts/__init__.py",
        "parts/by_name.py",
        "parts/deep/__init__.py",
        "parts/deep/inner.py",
        "parts/later.py",
        "parts/lazy.py",
        "parts/names.py",
        "parts/sibling.py",
        "texts/greetings.py",
    ]
    assert [task.model_dump() for task in bundle.tasks] == [
        {"name": "follow up", "module": "parts.later", "function": "follow_up"}
    ]


def test_started_with_dash_m_a_module_keeps_its_dotted_name(api: Api, python: Run, project: Project) -> None:
    root = project(
        {"support/__init__.py": "", "support/desk.py": "from . import texts\n" + SCRIPT, "support/texts.py": ""}
    )
    assert python("-m", "support.desk", cwd=root).returncode == 0
    bundle = api.asked[0].bundle
    assert sorted(bundle.files) == ["support/__init__.py", "support/desk.py", "support/texts.py"]
    assert bundle.entrypoint.module == "support.desk"


def test_a_script_may_publish_the_handlers_of_a_package_elsewhere(api: Api, python: Run, project: Project) -> None:
    root = project(
        {
            "src/support/__init__.py": HEAD + ANSWER + "from support import texts\n",
            "src/support/texts.py": "",
            "scripts/publish.py": PUBLISH_SUPPORT,
        }
    )
    done = python("scripts/publish.py", cwd=root, PYTHONPATH=f"{root / 'src'}:{Path(__file__).parents[3]}")
    assert done.returncode == 0, done.stderr
    bundle = api.asked[0].bundle
    assert sorted(bundle.files) == ["support/__init__.py", "support/texts.py"]
    assert bundle.entrypoint.module == "support"


def test_handlers_of_two_directories_travel_together(api: Api, python: Run, project: Project) -> None:
    root = project(
        {
            "desk.py": HEAD
            + "from later import follow_up\n"
            + ANSWER
            + 'Client().publish("desk", answer, [follow_up])\n',
            "lib/later.py": HEAD + "@task()\ndef follow_up(agent, event): ...\n",
        }
    )
    done = python("desk.py", cwd=root, PYTHONPATH=f"{root / 'lib'}:{Path(__file__).parents[3]}")
    assert done.returncode == 0, done.stderr
    assert sorted(api.asked[0].bundle.files) == ["desk.py", "later.py"]


def test_two_files_of_one_name_are_refused(api: Api, python: Run, project: Project) -> None:
    root = project(
        {
            "desk.py": HEAD
            + "import texts, sys\nfrom later import follow_up\n"
            + ANSWER
            + 'Client().publish("desk", answer, [follow_up])\n',
            "texts.py": "A = 1\n",
            "lib/later.py": HEAD + "import texts\n@task()\ndef follow_up(agent, event): ...\n",
            "lib/texts.py": "A = 2\n",
        }
    )
    done = python("desk.py", cwd=root, PYTHONPATH=f"{root / 'lib'}:{Path(__file__).parents[3]}")
    assert f"{root}/texts.py and {root}/lib/texts.py would both be texts.py in the bundle" in done.stderr
    assert not api.asked


def test_a_workflow_installed_like_a_library_takes_its_own_package_only(
    api: Api, python: Run, project: Project
) -> None:
    root = project(
        {
            "site-packages/support/__init__.py": HEAD + "import dependency\nfrom . import texts\n" + ANSWER,
            "site-packages/support/texts.py": "",
            "site-packages/dependency.py": "",
            "publish.py": PUBLISH_SUPPORT,
        }
    )
    done = python("publish.py", cwd=root, PYTHONPATH=f"{root / 'site-packages'}:{Path(__file__).parents[3]}")
    assert done.returncode == 0, done.stderr
    assert sorted(api.asked[0].bundle.files) == ["support/__init__.py", "support/texts.py"]


def test_loading_a_script_does_not_publish_it_again(api: Api, python: Run, project: Project) -> None:
    script = HEAD + ANSWER + 'c = Client()\nc.publish("desk", answer)\nc.watch("desk")\nc.rollback("desk")\n'
    done = python("desk.py", cwd=project({"desk.py": script}), RUNLLM_LOADING="1", RUNLLM_API_KEY="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not api.asked


def test_code_typed_at_a_prompt_has_no_file_to_publish(python: Run, tmp_path: Path) -> None:
    done = python("-", cwd=tmp_path, stdin=SCRIPT)
    assert "PublishError: The handler 'answer' is not in a file. Save it in a .py file" in done.stderr


def test_code_typed_after_a_script_has_no_file_either(python: Run, project: Project) -> None:
    source = "exec(compile(" + repr(SCRIPT) + ", '<python-input-0>', 'exec'))\n"
    done = python("desk.py", cwd=project({"desk.py": source}))
    assert "PublishError: The handler 'answer' is not in a file" in done.stderr


def test_a_script_whose_name_cannot_be_imported_is_to_be_renamed(python: Run, project: Project) -> None:
    done = python("desk.v2.py", cwd=project({"desk.v2.py": SCRIPT}))
    assert "is in desk.v2.py, which cannot be imported by name: rename it" in done.stderr


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            HEAD
            + "def make():\n    @entrypoint(listeners=LISTENERS)\n    def answer(agent, event): ...\n"
            + '    Client().publish("desk", answer)\nmake()\n',
            "The handler 'answer' is made inside another function (make.<locals>.answer)",
        ),
        (
            HEAD + ANSWER + "def take(handler=answer):\n    Client().publish('desk', handler)\ndel answer\ntake()\n",
            "The handler 'answer' is not at the top level of __main__",
        ),
        (
            HEAD
            + ANSWER
            + "@task(name='answer')\ndef other(agent, event): ...\nClient().publish('desk', answer, [other])",
            "2 handlers are called 'answer'",
        ),
        (
            HEAD + ANSWER + "def later():\n    import broken\nClient().publish('desk', answer)\n",
            "broken.py, line 2: '(' was never closed. The workflow imports this file: repair it",
        ),
        (
            HEAD + ANSWER + "def later():\n    import latin\nClient().publish('desk', answer)\n",
            "latin.py is not UTF-8 (byte 4 is 0xe4): save it as UTF-8",
        ),
        (
            HEAD + ANSWER + "def later():\n    import nulls\nClient().publish('desk', answer)\n",
            "The workflow imports this file: repair it",
        ),
        (
            HEAD + ANSWER + "def later():\n    import big, medium\nClient().publish('desk', answer)\n",
            "'desk' has 4.6 MB of sources, and 4.0 MB is the limit. The largest file is big.py (3.0 MB)",
        ),
    ],
)
def test_what_cannot_be_published_says_what_to_change(
    script: str, expected: str, api: Api, python: Run, project: Project
) -> None:
    root = project(
        {
            "desk.py": script,
            "broken.py": "\nx = (\n",
            "big.py": f"DATA = '{'x' * 3_145_728}'\n",
            "medium.py": f"DATA = '{'x' * 1_700_000}'\n",
        }
    )
    (root / "latin.py").write_bytes("# gr\xe4\xdflich".encode("latin-1"))
    (root / "nulls.py").write_bytes(b"x = 1\0\n")
    done = python("desk.py", cwd=root)
    assert expected in done.stderr
    assert not api.asked


def test_a_handler_may_be_made_by_a_function_and_have_another_name(api: Api, python: Run, project: Project) -> None:
    script = HEAD + (
        "def make():\n    def inner(agent, event): ...\n    return entrypoint(listeners=LISTENERS)(inner)\n"
        "answer = make()\nClient().publish('desk', answer)\n"
    )
    assert python("desk.py", cwd=project({"desk.py": script})).returncode == 0
    assert api.asked[0].bundle.entrypoint.model_dump() == {"name": "inner", "module": "desk", "function": "answer"}


def test_a_byte_order_mark_is_left_out(api: Api, python: Run, tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(SCRIPT, encoding="utf-8-sig")
    assert python("desk.py", cwd=tmp_path).returncode == 0
    assert api.asked[0].bundle.files["desk.py"] == SCRIPT
