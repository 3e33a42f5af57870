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


async def test_what_is_meant_goes_to_the_engine(terminal: Terminal, folder: Path, tmp_path: Path) -> None:
    """The kinds of addresses are the engine's to guess; files are looked at here."""
    api = tmp_path / "api.yaml"
    api.write_text("openapi: 3.1.0")
    given = {
        "https://docs.example.com/": "site",
        "https://github.com/acme/docs": "git",
        "https://acme.zendesk.com/hc/en-us": "zendesk",
        "https://docs.example.com/sitemap.xml": "sitemap",
        "https://docs.example.com/openapi.json": "openapi",
        "https://docs.example.com/manual.pdf": "file",
        str(api): "openapi",
        str(folder): "folder",
    }
    for what in given:
        adding = asyncio.create_task(terminal.run("docs", "add", what, "--every", "6h", "--internal", code=1))
        await conclude(terminal.gateway, what)
        await adding
    found = (await terminal.json("docs", "list"))["sources"]
    assert {source["location"]: source["kind"] for source in found} == given
    assert {source["every_seconds"] for source in found} == {6 * 3600}
    assert len(terminal.gateway.temporal.schedules) == len(given)
    listed = await terminal.run("docs", "list")
    assert fits(listed)
    assert "every 6h" in listed.stdout
    assert "internal" in listed.stdout
    assert {source["is_internal"] for source in found} == {True}


async def conclude(gateway: Gateway, location: str) -> None:
    """Plays the worker: a source fails as soon as it is there."""
    async with asyncio.timeout(20):
        while True:
            async with gateway.store.read() as db:
                found = [one for one in await knowledge.sources(db) if one.location == location]
            if found:
                break
            await asyncio.sleep(0.01)
    async with gateway.store.begin() as db:
        await knowledge.set_progress(db, found[0].id, state="failed", error="It is a test.")


async def test_documents_and_problems_of_a_source_are_listed(terminal: Terminal, folder: Path) -> None:
    adding = asyncio.create_task(terminal.run("docs", "add", str(folder)))
    await index(terminal.gateway)
    await adding
    async with terminal.gateway.store.begin() as db:
        await knowledge.add_pages(db, 1, ["a.md", "b.pdf"])
        (page,) = [one for one in await knowledge.pages_after(db, 1, 0, 9) if one.path == "b.pdf"]
        await knowledge.set_page(db, page.id, problem="has more than 50 MB")
    listed = await terminal.run("docs", "list", "1")
    assert fits(listed)
    assert "Accounts" in listed.stdout
    assert (await terminal.run("docs", "list", "1", "--failed")).stdout == "b.pdf has more than 50 MB\n"
    assert "docs list 1 --failed" in (await terminal.run("docs", "list")).stdout
    assert (await terminal.json("docs", "list", "1", "--failed"))["problems"][0]["path"] == "b.pdf"
    assert "There is no source 7" in await terminal.refused("docs", "list", "7")
    doctor = " ".join((await terminal.run("doctor", code=1)).stdout.split())
    assert "1 page could not be indexed, or not as they should be. `runllm docs list 1 --failed`" in doctor


async def test_a_source_is_synced_again(terminal: Terminal, folder: Path) -> None:
    adding = asyncio.create_task(terminal.run("docs", "add", str(folder)))
    await index(terminal.gateway)
    await adding
    syncing = asyncio.create_task(terminal.run("docs", "sync", "1"))
    async with asyncio.timeout(20):
        while True:
            if (await terminal.gateway_sources())[0].state == "new":
                break
            await asyncio.sleep(0.01)
    await index(terminal.gateway)
    assert "Source 1: 1 document" in (await syncing).stdout
    assert "There is no source 9" in await terminal.refused("docs", "sync", "9")


async def test_most_documents_being_gone_needs_a_look_and_a_word(terminal: Terminal, folder: Path) -> None:
    adding = asyncio.create_task(terminal.run("docs", "add", str(folder)))
    await index(terminal.gateway)
    await adding
    async with terminal.gateway.store.begin() as db:
        await knowledge.set_kept_back(db, 1, 40)
    listed = await terminal.run("docs", "list")
    assert fits(listed)
    said = " ".join(listed.stdout.split())
    assert "needs a look" in said
    assert "40 documents, more than half of them, were not found at the last sync." in said
    assert "runllm docs sync 1 --accept-removals" in said
    for options in ([], ["--accept-removals"]):
        syncing = asyncio.create_task(terminal.run("docs", "sync", "1", *options))
        async with asyncio.timeout(20):
            while (await terminal.gateway_sources())[0].state != "new":  # noqa: ASYNC110 - a process beside does it
                await asyncio.sleep(0.01)
        assert (await terminal.gateway_sources())[0].accepts_removals == bool(options)
        await index(terminal.gateway)
        assert "--accept-removals" in (await syncing).stdout
    assert "There is no source 9" in await terminal.refused("docs", "sync", "9", "--accept-removals")


async def test_indexing_that_nobody_does_is_given_up(
    terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runllm.cli.documents.STANDSTILL_SECONDS", 0.05)
    said = await terminal.refused("docs", "add", str(folder))
    assert "does not move. Look with `runllm doctor`" in said


async def test_likely_mistakes_are_told(terminal: Terminal, folder: Path) -> None:
    assert "does not exist" in await terminal.refused("docs", "add", str(folder / "none"), code=2)
    (folder / "a.md").write_text("# A")
    assert "is none. Kinds are" in await terminal.refused("docs", "add", str(folder), "--kind", "book", code=2)
    assert "is a folder, which no source" in await terminal.refused(
        "docs", "add", str(folder), "--kind", "file", code=2
    )
    assert "is a file, which no source" in await terminal.refused(
        "docs", "add", str(folder / "a.md"), "--kind", "folder", code=2
    )
    assert "is no time" in await terminal.refused("docs", "add", str(folder), "--every", "6 weeks", code=2)
    said = await terminal.refused("docs", "add", "https://me:secret@docs.example.com/")
    assert "has a name or a password in it" in said
    assert "needs. Write it like" in await terminal.refused("docs", "add", "ftp://example.com", "--kind", "site")
    assert "is no address" in await terminal.refused("docs", "add", str(folder), "--base-url", "docs", code=2)
    assert "has no words" in await terminal.refused("docs", "search", "?!")
    said = await terminal.refused("docs", "remove", "77")
    assert said.endswith("There is no source 77. `runllm docs list` shows those there are.")
