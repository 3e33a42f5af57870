"""`runllm sessions` against a real control API."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from store import buttons, messages, sessions, tags
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import Gateway, empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name

ROOT = Path(__file__).parents[3]


async def conversation(gateway: Gateway, question: str = "How do I [b]log in[/b]?") -> int:
    """A conversation with a question in it; the number of its session."""
    visitor = await gateway.open()
    await visitor.say(question)
    async with gateway.store.read() as db:
        session = await sessions.bound_session(db, visitor.key)
    assert session is not None
    return session.id


async def answer(gateway: Gateway, session_id: int, text: str = "Like this.") -> None:
    """Plays the worker: an answer with a source."""
    async with gateway.store.begin() as db:
        source = {"title": "Signing in", "url": "https://acme.example/in"}
        message = await messages.add(
            db, session_id=session_id, author="assistant", text=text, category="answered", sources=[source]
        )
        await messages.post(
            db, session_id=session_id, chat_id=message.id, surface_key="widget:x", remote_id=f"r{message.id}"
        )


async def test_sessions_are_listed_and_filtered(terminal: Terminal) -> None:
    first, second = await conversation(terminal.gateway), await conversation(terminal.gateway)
    async with terminal.gateway.store.begin() as db:
        await sessions.update(db, first, phase="waiting_for_button", handler="ask_first")
        await tags.apply(db, first, ["needs-a-person"], "workflow")
    listed = await terminal.run("sessions", "list")
    assert fits(listed)
    for word in ("support", "waiting for button", "ask_first", "needs-a-person"):
        assert word in listed.stdout

    async def numbers(*filters: str) -> list[int]:
        return [session["id"] for session in (await terminal.json("sessions", "list", *filters))["sessions"]]

    assert await numbers("--phase", "waiting_for_button") == [first]
    assert await numbers("--handler", "ask_first") == [first]
    assert sorted(await numbers("--workflow", "support")) == [first, second]
    assert await numbers("--workflow", "other") == []
    assert len(await numbers("--limit", "1")) == 1
    assert "a session is never 'asleep'" in await terminal.refused("sessions", "list", "--phase", "asleep")
    assert (await terminal.run("sessions", "list", "--handler", "nobody")).stdout == "No session fits.\n"


async def test_no_sessions_yet(terminal: Terminal) -> None:
    assert "no sessions yet" in (await terminal.run("sessions", "list")).stdout


async def test_a_session_is_shown_with_all_that_belongs_to_it(terminal: Terminal) -> None:
    number = await conversation(terminal.gateway)
    await answer(terminal.gateway, number)
    async with terminal.gateway.store.begin() as db:
        await sessions.add_log(db, number, "k", [{"level": "error", "handler": "start", "text": "KeyError: 'x'"}])
        await buttons.open_wait(
            db,
            session_id=number,
            wait_id=1,
            chat_id=None,
            surface_key="w",
            button_ids=["yes", "no"],
            allowed_users=None,
        )
    shown = (await terminal.run("sessions", "show", str(number))).stdout
    for words in (
        f"session {number} of support", "How do I [b]log in[/b]?", "assistant [answered]:", "Like this.",
        "↳ Signing in: https://acme.example/in", "error: start: KeyError: 'x'", "open: yes, no",
        f"/namespaces/default/workflows/session-{number}",
    ):  # fmt: skip
        assert words in shown
    read = await terminal.json("sessions", "show", str(number))
    assert read["waits"][0]["buttons"] == ["yes", "no"]
    said = await terminal.refused("sessions", "show", "999")
    assert said.endswith("There is no session 999. `runllm sessions list` shows those there are.")


async def test_tail_shows_what_is_said_from_now_on_and_ends_quietly(terminal: Terminal) -> None:
    old = await conversation(terminal.gateway, "said before")
    command = (sys.executable, "-m", "runllm.cli", "sessions", "tail")
    environ = {**os.environ, **terminal.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"Ctrl-C ends this" in await process.stderr.readline()
    await answer(terminal.gateway, old, "said now")
    async with asyncio.timeout(20):
        head, text = await process.stdout.readline(), await process.stdout.readline()
    assert head.decode().startswith(f"#{old} support ")
    assert text.decode().strip() == "said now"
    process.send_signal(signal.SIGINT)
    rest, problems = await process.communicate()
    assert process.returncode == 0
    assert b"said before" not in rest
    assert problems.strip() == b""


async def test_tail_as_json_is_one_line_a_message(terminal: Terminal) -> None:
    number = await conversation(terminal.gateway)
    command = (sys.executable, "-m", "runllm.cli", "sessions", "tail", str(number), "--json")
    environ = {**os.environ, **terminal.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stderr.readline()
    await answer(terminal.gateway, await conversation(terminal.gateway), "elsewhere")
    await answer(terminal.gateway, number, "two\nlines")
    async with asyncio.timeout(20):
        line = await process.stdout.readline()
    assert json.loads(line)["text"] == "two\nlines"
    process.send_signal(signal.SIGINT)
    await process.communicate()


async def test_tail_shows_only_what_every_filter_lets_through(terminal: Terminal) -> None:
    number = await conversation(terminal.gateway)
    filters = ("--workflow", "support", "--author", "assistant", "--category", "answered", "--contains", "REFUND")
    command = (sys.executable, "-m", "runllm.cli", "sessions", "tail", "--json", *filters)
    environ = {**os.environ, **terminal.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stderr.readline()
    await conversation(terminal.gateway, "a refund, please")  # said by a person
    await answer(terminal.gateway, number, "about something else")
    await answer(terminal.gateway, number, "a refund takes a day")
    async with asyncio.timeout(20):
        line = await process.stdout.readline()
    assert json.loads(line)["text"] == "a refund takes a day"
    process.send_signal(signal.SIGINT)
    rest, _ = await process.communicate()
    assert rest == b""


async def test_tail_of_what_is_not_there(terminal: Terminal) -> None:
    assert "No workflow is published as 'nowhere'" in await terminal.refused(
        "sessions", "tail", "--workflow", "nowhere"
    )
    assert "There is no session 999" in await terminal.refused("sessions", "tail", "999")
