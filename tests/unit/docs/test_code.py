"""What the pages show works: Python is type-checked, loaded and its tests run; commands and options exist."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from runllm.cli.app import app
from tests.unit.docs.blocks import ROOT, Block, blocks

PYTHON = list(blocks("python"))
SHELL = [
    (block, line)
    for block in blocks("bash", "sh", "console")
    for line in block.code.replace("\\\n", " ").splitlines()
    if line.strip()
]
TARGETS = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line[:30]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each Python block as a module."""
    directory = tmp_path_factory.mktemp("pages")
    for block in PYTHON:
        (directory / f"{block.name}.py").write_text(block.code, encoding="utf-8")
    return directory


def _run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    beside = os.pathsep.join([str(ROOT), str(ROOT / "examples")])  # where pages say that a file is at hand
    environment = {**os.environ, "RUNLLM_LOADING": "1", "MYPYPATH": beside, "PYTHONPATH": beside}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=cwd, env=environment, timeout=110
    )


def test_there_are_blocks_to_look_at() -> None:
    assert len(PYTHON) >= 10
    assert len(SHELL) >= 20


def test_every_python_block_passes_the_type_checker(files: Path) -> None:
    names = sorted(map(str, files.glob("*.py")))
    checked = _run("-m", "mypy", "--config-file", "pyproject.toml", "--no-incremental", *names)
    assert checked.returncode == 0, checked.stdout


def test_every_python_block_loads(files: Path) -> None:
    load = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    loaded = _run("-c", load, *(block.name for block in PYTHON), cwd=files)
    assert loaded.returncode == 0, loaded.stderr


def test_the_tests_on_the_pages_pass(files: Path) -> None:
    ran = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "python_files=*.py", ".", cwd=files)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each command on a line, without the comment and without what a shell does itself."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            if words:
                yield words
            words = []
        else:
            words.append(word)


@pytest.mark.parametrize(("block", "line"), SHELL, ids=lambda x: x.name if isinstance(x, Block) else x[:40])
def test_a_command_exists_with_its_options(
    block: Block, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in _commands(line):
        while words and "=" in words[0] and not words[0].startswith("-"):
            words.pop(0)  # a variable for the command that follows
        match words:
            case ["runllm", *arguments]:
                _parse(arguments)
            case ["make", *arguments]:
                targets = [word for word in arguments if not word.startswith("-") and "=" not in word]
                assert set(targets) <= TARGETS, f"the Makefile has no {targets}"


def _parse(arguments: list[str]) -> None:
    """Parses as the command would. Files that a page names need not be here."""
    command: click.Command = typer.main.get_command(app)
    context: click.Context | None = None
    rest = [word for word in arguments if not set(word) <= set("<>")]
    while True:
        try:
            context = command.make_context(command.name or "runllm", list(rest), parent=context)
        except click.exceptions.Exit:
            return  # --help, --version
        except click.BadParameter as error:
            if "does not exist" in error.format_message():
                return
            raise
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
