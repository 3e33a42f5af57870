"""The key, the address, and what every command says where they do not fit."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from runllm.cli.app import app
from tests.unit.cli.terminal import Terminal, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name

COMMANDS = [
    ("publish",), ("watch",), ("rollback",), ("workflows",), ("init",), ("doctor",), ("connect",), ("replay",),
    ("sessions", "list"), ("sessions", "show"), ("sessions", "tail"), ("docs", "add"), ("docs", "list"),
    ("docs", "search"), ("docs", "remove"), ("keys", "create"), ("keys", "list"), ("keys", "revoke"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_in_80_columns(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: runllm {' '.join(command)}")
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


@pytest.mark.parametrize("words", [("nothing",), ("publish",), ("sessions", "show", "x"), ("connect", "teams")])
def test_a_command_that_is_typed_wrongly_ends_with_2(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(words)).exit_code == 2


async def test_the_key_comes_from_the_option_the_environment_or_the_home(terminal: Terminal) -> None:
    await terminal.run("keys", "list")
    key = (Path(terminal.environ["RUNLLM_HOME"]) / "api_key").read_text().strip()
    nowhere = terminal.environ | {"RUNLLM_HOME": "/nowhere"}
    terminal.environ = nowhere
    said = await terminal.refused("keys", "list", code=2)
    assert "There is no API key. Set RUNLLM_API_KEY, pass --api-key" in said
    assert "/nowhere/api_key" in said
    await terminal.run("keys", "list", "--api-key", key)
    terminal.environ = nowhere | {"RUNLLM_API_KEY": key}
    await terminal.run("keys", "list")


async def test_a_wrong_key_and_a_wrong_address_are_told(terminal: Terminal) -> None:
    assert "does not know this API key" in await terminal.refused("docs", "list", "--api-key", "wrong")
    assert "No engine can be reached" in await terminal.refused("docs", "list", "--server", "http://127.0.0.1:1")
    assert "is no server address" in await terminal.refused("docs", "list", "--server", "ftp://x", code=2)
    page = f"{terminal.gateway.url}/demo?"
    assert "is not an engine" in await terminal.refused("docs", "list", "--server", page)
