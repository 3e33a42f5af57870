"""What `--help` of each command looks like in a terminal of 80 columns."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runllm.cli import engine
from runllm.cli.app import EXIT_CODES, app


def _paths(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from _paths(inner, (*words, name))


RUNLLM = Path(sys.executable).parent / "runllm"
GROUPS = {("sessions",), ("docs",), ("facts",), ("keys",), ("connect",)}
PATHS = list(_paths(typer.main.get_command(app)))


def shown(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("words", PATHS, ids=" ".join)
def test_help_fits_and_cuts_no_sentence(words: tuple[str, ...]) -> None:
    text = shown(*words)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "..." not in text.replace("[ARGS]...", "").replace("runllm keys ...", "")


@pytest.mark.parametrize("words", [path for path in PATHS if path not in GROUPS])
def test_help_says_what_exit_codes_mean(words: tuple[str, ...]) -> None:
    assert EXIT_CODES in " ".join(shown(*words).split())


def test_there_are_as_many_commands_as_there_should_be() -> None:
    assert {path[0] for path in PATHS if path} >= {
        "dev", "init", "publish", "watch", "rollback", "workflows", "replay", "sessions", "docs", "keys", "connect",
        "doctor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "offered"), [("runllm pub", "publish"), ("runllm sessions ta", "tail"), ("runllm watch --js", "--json")]
)
def test_the_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    environ = {
        **os.environ,
        "_RUNLLM_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    done = subprocess.run([RUNLLM], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [offered]


def test_the_script_for_the_shell_is_shown() -> None:
    words = f"{RUNLLM} --show-completion; exit $?"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "_RUNLLM_COMPLETE=complete_bash" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("publish",), "runllm: Missing argument 'file'. `runllm publish --help` shows how it is called.\n"),
        (("publish", "x.py", "--wach"), "runllm: No such option: --wach"),
        (("frob",), "runllm: No such command 'frob'"),
        (("sessions", "show", "abc"), "runllm: Invalid value for 'ID'"),
        (("sessions", "tail", "--author", "me"), "'me' is not one of 'assistant', 'user'"),
    ],
)
def test_a_command_called_in_a_wrong_way_says_so_in_a_sentence(words: tuple[str, ...], said: str) -> None:
    done = subprocess.run([RUNLLM, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("runllm: ")
    assert done.stderr.endswith("--help` shows how it is called.\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_group_without_a_command_shows_what_there_is() -> None:
    done = subprocess.run([RUNLLM, "sessions"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Follow new messages" in done.stderr


def test_an_error_on_a_terminal_is_broken_between_words_and_an_address_stays_whole() -> None:
    address = "http://localhost:8080/" + "x" * 70
    lines = engine._lines(f"runllm: There is no API key anywhere, and so this cannot work; look at {address}.", 60)
    assert lines[-1] == f"{address}."
    assert all(len(line) <= 60 for line in lines[:-1])
    assert (
        " ".join(lines).split()
        == f"runllm: There is no API key anywhere, and so this cannot work; look at {address}.".split()
    )
