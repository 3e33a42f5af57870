"""`runllm publish`, `watch`, `rollback` and `workflows` against a real control API."""

import asyncio
from pathlib import Path

import pytest

from store import published
from tests.unit.cli.terminal import Terminal, fits, roll_out, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name

FLOW = """\
from runllm import Agent, Client, Event, WidgetListener, entrypoint, task

@entrypoint(listeners=[WidgetListener(domain="example.com")])
def answer(agent: Agent, event: Event) -> None:
    agent.listen(on=[event.conversation.surface], handler=later)

@task()
def later(agent: Agent, event: Event) -> None: ...
"""
SECOND = """
@entrypoint(listeners=[WidgetListener(domain="example.org")])
def another(agent: Agent, event: Event) -> None: ...
"""
STEPS = ("validated", "replayed", "loaded", "current")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runllm.client._POLL_SECONDS", 0.01)


def flow(tmp_path: Path, name: str, text: str = FLOW) -> str:
    """A workflow's file. Each test has its own name: Python remembers modules."""
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    return str(file)


async def test_a_file_is_published_under_its_name_with_its_tasks(terminal: Terminal, tmp_path: Path) -> None:
    result = await terminal.run("publish", flow(tmp_path, "help_desk"), "--no-watch")
    assert result.stdout.startswith("help_desk is published as build ")
    assert result.stdout.endswith("1 file; `runllm watch` shows its deployment\n")
    async with terminal.gateway.store.read() as db:
        version = await published.newest_wanted(db, "help_desk")
        assert version is not None
        bundle = await published.bundle_of(db, version.id)
    assert bundle.entrypoint.name == "answer"
    assert [entry.name for entry in bundle.tasks] == ["later"]
    again = await terminal.run("publish", flow(tmp_path, "help_desk"), "--no-watch")
    assert "unchanged" in again.stdout


async def test_publish_shows_the_steps_until_it_is_live(terminal: Terminal, tmp_path: Path) -> None:
    running = asyncio.create_task(terminal.run("publish", flow(tmp_path, "watched"), "--name", "desk"))
    while not running.done():
        async with terminal.gateway.store.read() as db:
            if await published.newest_wanted(db, "desk"):
                break
        await asyncio.sleep(0.01)
    build = await roll_out(terminal.gateway, "desk", *STEPS)
    shown = (await running).stdout
    assert f"desk, build {build}" in shown
    assert "✓ current" in shown


async def test_a_file_that_publishes_itself_is_published_once(terminal: Terminal, tmp_path: Path) -> None:
    text = FLOW + 'Client().publish("by_itself", answer)\nClient().watch("by_itself")\n'
    await terminal.run("publish", flow(tmp_path, "selfish", text), "--no-watch")
    found = (await terminal.json("workflows"))["workflows"]
    assert sorted(workflow["name"] for workflow in found) == ["selfish", "support"]


async def test_several_entrypoints_are_listed_and_one_is_chosen(terminal: Terminal, tmp_path: Path) -> None:
    file = flow(tmp_path, "two_starts", FLOW + SECOND)
    said = await terminal.refused("publish", file, code=2)
    assert "2 entrypoints: answer, another. Choose one with --entrypoint" in said
    assert "It has: answer, another" in await terminal.refused("publish", file, "--entrypoint", "third", code=2)
    await terminal.run("publish", file, "--entrypoint", "another", "--no-watch")


async def test_a_file_of_a_package_is_imported_by_its_whole_name(terminal: Terminal, tmp_path: Path) -> None:
    package = tmp_path / "bureau"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text("HELLO = 'hello'\n")
    file = flow(package, "front", "from bureau.words import HELLO\n" + FLOW)
    await terminal.run("publish", file, "--no-watch")
    async with terminal.gateway.store.read() as db:
        version = await published.newest_wanted(db, "front")
        assert version is not None
        bundle = await published.bundle_of(db, version.id)
    assert bundle.entrypoint.module == "bureau.front"
    assert sorted(bundle.files) == ["bureau/__init__.py", "bureau/front.py", "bureau/words.py"]


@pytest.mark.parametrize(
    ("name", "text", "code", "expected"),
    [
        ("no_start", "x = 1\n", 2, "has no entrypoint"),
        ("bad_name", "x = \n", 1, "SyntaxError"),
        ("bad_import", "import nothing_like_this\n", 1, "bad_import.py, line 1: No module named"),
        ("raises", "\n1 / 0\n", 1, "raises.py, line 2: ZeroDivisionError"),
        ("leaves", "import sys\nsys.exit(3)\n", 1, "ends the process (sys.exit)"),
        ("no-module", FLOW, 2, "cannot be imported. Give it a name"),
    ],
)
async def test_what_is_wrong_with_a_file_is_one_sentence(
    name: str, text: str, code: int, expected: str, terminal: Terminal, tmp_path: Path
) -> None:
    assert expected in await terminal.refused("publish", flow(tmp_path, name, text), code=code)


async def test_a_file_that_is_not_there_and_a_bad_name_are_told(terminal: Terminal, tmp_path: Path) -> None:
    assert "There is no file" in await terminal.refused("publish", str(tmp_path / "none.py"), code=2)
    said = await terminal.refused("publish", flow(tmp_path, "named"), "--name", "no dots.", code=2)
    assert "cannot be published as 'no dots.'" in said


async def test_the_same_listener_twice_is_refused_with_both_names(terminal: Terminal, tmp_path: Path) -> None:
    text = FLOW.replace("example.com", "acme.example")
    assert "'rival' and 'support' both listen to" in await terminal.refused("publish", flow(tmp_path, "rival", text))


async def test_a_failed_deployment_ends_watch_with_its_reason(terminal: Terminal, tmp_path: Path) -> None:
    await terminal.run("publish", flow(tmp_path, "failing"), "--no-watch")
    await roll_out(terminal.gateway, "failing", "failed", error="failing.py, line 3: no")
    assert "failing.py, line 3: no" in await terminal.refused("watch", "failing")


async def test_rollback_goes_to_the_version_before(terminal: Terminal, tmp_path: Path) -> None:
    file = flow(tmp_path, "turned_back")
    await terminal.run("publish", file, "--no-watch")
    first = await roll_out(terminal.gateway, "turned_back", *STEPS)
    changed = flow(tmp_path, "turned_back", FLOW + "# changed\n")
    await terminal.run("publish", changed, "--no-watch")
    await roll_out(terminal.gateway, "turned_back", *STEPS)
    result = await terminal.run("rollback", "turned_back", "--no-watch")
    assert f"turned_back goes back to build {first}" in result.stdout
    assert "has no version 'abc'" in await terminal.refused("rollback", "turned_back", "abc")


async def test_programs_get_the_deployment_as_it_is_at_the_end(terminal: Terminal, tmp_path: Path) -> None:
    file = flow(tmp_path, "for_programs")
    begun = await terminal.json("publish", file, "--no-watch")
    assert (begun["name"], begun["finished"]) == ("for_programs", False)
    first = await roll_out(terminal.gateway, "for_programs", *STEPS)
    live = await terminal.json("publish", file)  # unchanged: people are told on standard error
    assert (live["build_id"], live["status"], live["finished"]) == (first, "current", True)

    await terminal.run("publish", flow(tmp_path, "for_programs", FLOW + "# changed\n"), "--no-watch")
    await roll_out(terminal.gateway, "for_programs", "failed", error="line 3: no")
    failed = await terminal.json("watch", "for_programs", code=1)
    assert (failed["status"], failed["error"]) == ("failed", "line 3: no")
    back = await terminal.json("rollback", "for_programs", first)
    assert (back["build_id"], back["status"]) == (first, "current")


async def test_workflows_lists_all_and_shows_one(terminal: Terminal, tmp_path: Path) -> None:
    await terminal.run("publish", flow(tmp_path, "shown"), "--no-watch")
    await roll_out(terminal.gateway, "shown", "failed", error="It listens to the moon.")
    listed = await terminal.run("workflows")
    assert fits(listed)
    assert "support" in listed.stdout
    assert "widget acme.example" in listed.stdout
    one = await terminal.run("workflows", "shown")
    assert fits(one)
    assert "✗ validated" in one.stdout
    assert "It listens to the moon." in one.stdout
    assert (await terminal.json("workflows", "shown"))["sessions"] == []
    said = await terminal.refused("workflows", "nowhere")
    assert said.endswith("No workflow is published as 'nowhere'. `runllm workflows` lists those there are.")


async def test_nothing_published_is_told_with_what_to_do(terminal: Terminal) -> None:
    async with terminal.gateway.store.begin() as db:
        from sqlalchemy import text

        for table in ("versions", "published_workflows"):
            await db.execute(text(f"DELETE FROM {table}"))
    assert "`runllm publish FILE`" in (await terminal.run("workflows")).stdout
