"""`runllm docs` against a real control API; the worker's part is played."""

import asyncio
from pathlib import Path

import pytest

from store import knowledge
from store.knowledge import NewPassage
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import Gateway, empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runllm.cli.documents.POLL_SECONDS", 0.01)


async def index(gateway: Gateway, *, error: str | None = None) -> None:
    """Plays the worker: indexes the first source that is added."""
    async with asyncio.timeout(20):
        while True:
            async with gateway.store.read() as db:
                if found := await knowledge.sources(db):
                    break
            await asyncio.sleep(0.01)
    async with gateway.store.begin() as db:
        await knowledge.set_progress(db, found[0].id, state="running", done=0, total=1)
        passage = NewPassage(heading_path="Sign in", anchor="sign-in", text="Use the password that you chose.")
        if error is None:
            url = "https://acme.example/a"
            await knowledge.put_document(db, found[0], "a.md", url, "Accounts", "hash", [passage])
    async with gateway.store.begin() as db:
        await knowledge.set_progress(db, found[0].id, state="failed" if error else "done", done=1, error=error)


async def test_a_folder_is_indexed_listed_searched_and_forgotten(terminal: Terminal, folder: Path) -> None:
    adding = asyncio.create_task(terminal.run("docs", "add", str(folder), "--base-url", "https://acme.example"))
    await index(terminal.gateway)
    assert "Source 1: 1 document, 1 passage from" in (await adding).stdout
    listed = await terminal.run("docs", "list")
    assert fits(listed)
    assert "https://acme.example" in listed.stdout
    found = await terminal.run("docs", "search", "which password do I use?")
    assert fits(found)
    assert "https://acme.example/a#sign-in" in found.stdout
    assert "Use the password that you chose." in found.stdout
    (passage,) = (await terminal.json("docs", "search", "password"))["passages"]
    assert isinstance(passage["score"], float)
    assert "No passage has any of these words" in (await terminal.run("docs", "search", "zebra")).stdout
    assert (await terminal.run("docs", "remove", "1")).stdout == "Source 1 is forgotten.\n"
    assert "Nothing is indexed" in (await terminal.run("docs", "list")).stdout


async def test_a_folder_that_cannot_be_indexed_ends_with_the_reason(terminal: Terminal, folder: Path) -> None:
    adding = asyncio.create_task(terminal.refused("docs", "add", str(folder)))
    await index(terminal.gateway, error="No file in it could be read.")
    assert "could not be indexed: No file in it could be read. Once that is put right" in await adding
    assert "No file in it could be read." in (await terminal.run("docs", "list")).stdout


async def test_indexing_that_nobody_does_is_given_up(
    terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runllm.cli.documents.STANDSTILL_SECONDS", 0.05)
    said = await terminal.refused("docs", "add", str(folder))
    assert "does not move. Look with `runllm doctor`" in said


async def test_likely_mistakes_are_told(terminal: Terminal, folder: Path) -> None:
    assert "does not exist" in await terminal.refused("docs", "add", str(folder / "none"), code=2)
    (folder / "a.md").write_text("# A")
    assert "is a file" in await terminal.refused("docs", "add", str(folder / "a.md"), code=2)
    assert "is no address" in await terminal.refused("docs", "add", str(folder), "--base-url", "docs", code=2)
    assert "has no words" in await terminal.refused("docs", "search", "?!")
    said = await terminal.refused("docs", "remove", "77")
    assert said.endswith("There is no source 77. `runllm docs list` shows those there are.")
