"""`runllm connect` against a real control API, with a platform that knows one token."""

import asyncio

import pytest
import typer

from runllm.cli.connecting import connect_and_say
from runllm.cli.engine import Engine
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal
from tests.unit.gateways.test_api_installations import TOKEN, Workspace, workspace

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal", "workspace"]


async def connect(terminal: Terminal) -> None:
    engine = Engine.of(terminal.environ["RUNLLM_SERVER"], "", terminal.environ)
    await asyncio.to_thread(engine.post, "installations", {"platform": "slack", "credentials": {"token": TOKEN}})


async def test_what_is_connected_is_listed_looked_at_and_removed(terminal: Terminal, workspace: Workspace) -> None:
    assert "Nothing is connected yet." in (await terminal.run("connect", "list")).stdout
    await connect(terminal)
    workspace.missing = ["chat:write"]
    listed = await terminal.run("connect", "list", "--check")
    assert fits(listed)
    assert "Acme" in listed.stdout
    assert "The scope chat:write is missing." in listed.stdout
    assert TOKEN not in listed.stdout
    assert "Slack T1 is no longer connected" in (await terminal.run("connect", "remove", "slack", "T1")).stdout
    said = await terminal.refused("connect", "remove", "slack", "T1")
    assert said.endswith("`runllm connect list` shows those there are.")


async def test_the_doctor_looks_at_what_is_connected(terminal: Terminal, workspace: Workspace) -> None:
    await connect(terminal)
    said = " ".join((await terminal.run("doctor", code=1)).stdout.split())
    assert "Slack Acme is connected, and nothing is missing." in said
    workspace.missing = ["chat:write"]
    found = (await terminal.json("doctor", code=1))["findings"]
    assert {"verdict": "bad", "text": "Slack Acme: The scope chat:write is missing."} in found


async def test_connecting_says_what_is_missing_and_ends_with_1(
    terminal: Terminal, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.missing = ["chat:write"]
    key = (await terminal.run("keys", "create", "me")).stdout.strip()
    how = {"server": terminal.gateway.url, "api_key": key}
    with pytest.raises(typer.Exit) as ended:
        await asyncio.to_thread(connect_and_say, "slack", {"token": TOKEN}, **how)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert said.startswith("Slack is connected: Acme (T1).\n")
    assert "The scope chat:write is missing." in said
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(connect_and_say, "slack", {"token": "wrong"}, **how)
    assert "does not know this token" in capsys.readouterr().err
