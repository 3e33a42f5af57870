"""`runllm init`: what it writes works as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runllm.cli.app import app
from runllm.cli.loading import handlers_in

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project."""
    result = CliRunner().invoke(app, ["init", str(tmp_path / "help-desk")])
    assert result.exit_code == 0, result.output
    assert "runllm publish support.py" in result.stdout
    return tmp_path / "help-desk"


def test_its_own_tests_pass(project: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio")
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_its_workflow_can_be_published(project: Path) -> None:
    found = handlers_in(project / "support.py")
    assert found.entrypoint.name == "answer_questions"
    assert [task.name for task in found.tasks] == ["take_down"]


def test_it_says_what_it_is_and_has_a_page_to_answer_from(project: Path) -> None:
    assert (project / "README.md").read_text().startswith("# help-desk\n")
    assert (project / "docs" / "passwords.md").read_text().startswith("# Passwords\n")
    assert ".runllm/" in (project / ".gitignore").read_text()


def test_a_folder_that_is_not_empty_is_left_alone(project: Path) -> None:
    before = sorted(project.rglob("*"))
    result = CliRunner().invoke(app, ["init", str(project)])
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert sorted(project.rglob("*")) == before


def test_an_empty_folder_will_do_and_a_file_will_not(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    result = CliRunner().invoke(app, ["init", str(tmp_path / "support.py")])
    assert result.exit_code == 2
    assert "is a file" in result.stderr
