"""Git repositories: the documents of a branch, with nothing of git's many other abilities."""

import subprocess
from pathlib import Path

import pytest

from runllm.errors import UsageError
from store.engine import Store
from tests.unit.knowledge.conftest import Shelf, Writes
from worker.answering.ingest import IndexingActivities
from worker.knowledge.settings import KnowledgeSettings


class Repository:
    """A repository of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, **files: str | None) -> None:
        """Writes files (`a__b` is a/b.md); None removes one."""
        for name, text in files.items():
            path = self.folder / f"{name.replace('__', '/')}.md"
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "x")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


async def test_the_documents_of_a_branch_are_indexed_and_followed(
    shelf: Shelf, repository: Repository, writes: Writes
) -> None:
    repository.commit(start="# Start\n\nWords.", guides__keys="# Keys\n\nWords.", node_modules__x="# X")
    source = await shelf.add("git", str(repository.folder), "https://docs.example.com")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.indexed.failed) == (2, 0)
    assert await shelf.titles(source) == {"start.md": "Start", "guides/keys.md": "Keys"}
    assert (await shelf.documents(source))["guides/keys.md"].url == "https://docs.example.com/guides/keys.md"

    writes.tables.clear()
    assert (await shelf.sync(source)).indexed.unchanged == 2
    assert set(writes.tables) == {"knowledge_sources"}

    repository.commit(start="# Start again\n\nWords.", guides__keys=None, new="# New")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.removed) == (2, 1)
    assert await shelf.titles(source) == {"start.md": "Start again", "new.md": "New"}


async def test_a_branch_can_be_named(shelf: Shelf, repository: Repository) -> None:
    repository.commit(a="# On main")
    repository.git("checkout", "--quiet", "-b", "v2")
    repository.commit(a="# On v2")
    repository.git("checkout", "--quiet", "main")
    assert await shelf.titles(await _synced(shelf, f"{repository.folder}#v2")) == {"a.md": "On v2"}
    assert await shelf.titles(await _synced(shelf, f"file://{repository.folder}")) == {"a.md": "On main"}
    with pytest.raises(UsageError, match="has no branch v3"):
        await _synced(shelf, f"{repository.folder}#v3")


async def _synced(shelf: Shelf, location: str):  # type: ignore[no-untyped-def]
    source = await shelf.add("git", location)
    await shelf.sync(source)
    return source


async def test_links_and_hooks_in_a_repository_are_nothing(
    shelf: Shelf, repository: Repository, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# Secret")
    repository.commit(a="# A")
    (repository.folder / "leak.md").symlink_to(secret)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "x")
    assert await shelf.titles(await _synced(shelf, str(repository.folder))) == {"a.md": "A"}


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("{tmp}/nothing", "There is no Git repository at"),
        ("{tmp}", "There is no Git repository at"),
        ("git@github.com:owner/name.git", "is no address of a repository. Write it like https://"),
        ("ext::sh -c id", "is no address of a repository"),
        ("--upload-pack=id", "is no address of a repository"),
        ("https://me:secret@127.0.0.1/x.git", "has a name or a password in it"),
        ("http://127.0.0.1:9/x.git", "cannot be fetched"),
        ("http://169.254.169.254/x.git", "is not an address of the internet"),
    ],
)
async def test_what_is_no_repository_is_told(shelf: Shelf, tmp_path: Path, location: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        await _synced(shelf, location.format(tmp=tmp_path))
    assert "secret" not in str(refused.value)


async def test_an_empty_repository_is_told(shelf: Shelf, repository: Repository) -> None:
    with pytest.raises(UsageError, match="has no commits"):
        await _synced(shelf, str(repository.folder))


async def test_the_workers_own_disk_is_not_read_unless_that_is_allowed(
    store: Store, repository: Repository, tmp_path: Path
) -> None:
    repository.commit(a="# A")
    shelf = Shelf(store, IndexingActivities(store, KnowledgeSettings(cache=tmp_path / "cache")))
    for location in (str(repository.folder), f"file://{repository.folder}"):
        with pytest.raises(UsageError, match="RUNLLM_LOCAL_REPOSITORIES=1"):
            await _synced(shelf, location)


async def test_a_copy_that_was_broken_is_made_anew(
    shelf: Shelf, repository: Repository, settings: KnowledgeSettings
) -> None:
    repository.commit(a="# A")
    source = await _synced(shelf, str(repository.folder))
    (copy,) = (settings.cache / "git").iterdir()
    (copy / "HEAD").unlink()
    repository.commit(a="# B")
    await shelf.sync(source)
    assert await shelf.titles(source) == {"a.md": "B"}
