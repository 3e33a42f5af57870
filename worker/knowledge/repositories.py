"""Git repositories: the documents of a branch, read from a copy without a working tree.

git itself makes the connection, so its host is looked up and checked here, and git is told the address to use.
"""

import asyncio
import hashlib
import os
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from runllm.errors import UsageError
from worker.answering.documents import Parsed, Unreadable, is_document
from worker.answering.folders import LARGEST, LARGEST_PDF, NOT_DOCUMENTATION
from worker.knowledge.egress import Egress
from worker.knowledge.reading import Gone, Got, Known, Listing
from worker.knowledge.settings import KnowledgeSettings

_SECONDS = 540.0
_LARGEST_FILE_BLOCKS = 4 * 1024 * 1024  # of 512 bytes: no file of the copy may have more than 2 GB
_HEAD = "refs/indexed/head"
_FORGES = ("github.com", "gitlab.com", "codeberg.org")


class RepositoryReader:
    """The documents of one branch of a repository. `LOCATION#BRANCH` names the branch; otherwise it is the default."""

    def __init__(self, location: str, base_url: str | None, settings: KnowledgeSettings) -> None:
        self._location = location
        self._url, _, self._branch = location.partition("#")
        self._base_url = base_url or _forge(self._url, self._branch)
        self._settings = settings
        self._copy = settings.cache / "git" / f"{hashlib.sha256(location.encode()).hexdigest()[:24]}.git"

    async def listing(self) -> Listing:
        """The documents, with the numbers of their contents."""
        await self._fetch()
        listed = (await self._git("ls-tree", "-r", "-z", "--full-tree", _HEAD)).decode("utf-8", "replace")
        pages: dict[str, str] = {}
        for entry in filter(None, listed.split("\0")):
            about, _, path = entry.partition("\t")
            mode, _, number = about.split(" ")
            if mode.startswith("100") and _is_documentation(path):
                pages[path] = number
        notes = [] if pages else ["There are no documents in it"]
        return Listing(pages=pages, notes=notes)

    async def read(self, page: Known) -> Got | None:
        """A file, as it is on the branch."""
        if not self._copy.is_dir():
            await self._fetch()
        name = f"{_HEAD}:{page.path}"
        try:
            size = int(await self._git("cat-file", "-s", name))
        except UsageError:
            raise Gone("is not in the repository any more") from None
        limit = LARGEST_PDF if page.path.lower().endswith(".pdf") else LARGEST
        if size > limit:
            raise Unreadable(f"has more than {limit // 1_000_000} MB")
        content = await self._git("cat-file", "blob", name)
        url = f"{self._base_url.rstrip('/')}/{quote(page.path)}" if self._base_url else None
        return Got(content=content, name=page.path, url=url)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: the tree has all files."""
        return []

    async def close(self) -> None:
        """Nothing is open."""

    async def _fetch(self) -> None:
        """Brings the copy up to date. One that is broken is made anew."""
        reach = await self._reach()
        if not (self._copy / "HEAD").is_file():
            shutil.rmtree(self._copy, ignore_errors=True)
            self._copy.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", str(self._copy), at_copy=False)
        wanted = f"+{self._branch or 'HEAD'}:{_HEAD}"
        await self._git(*reach, "fetch", "--quiet", "--depth", "1", "--no-tags", "--force", "--", self._url, wanted)

    async def _reach(self) -> list[str]:
        """Settings for git with which it reaches what is allowed, and nothing else.

        Raises:
            UsageError: The location is none that may be read.
        """
        parts = urlsplit(self._url)
        if parts.scheme in ("http", "https") and parts.hostname:
            if parts.username or parts.password:
                raise UsageError(
                    f"The address of the repository on {parts.hostname} has a name or a password in it, and would be "
                    "shown to everybody. Clone the repository, and add the folder"
                )
            port = parts.port or (443 if parts.scheme == "https" else 80)
            address = await self._looked_up(parts.hostname, port)
            shown = f"[{address}]" if ":" in address else address
            return ["-c", f"http.curloptResolve={parts.hostname}:{port}:{shown}"]
        if PurePosixPath(self._url).is_absolute() or parts.scheme == "file":
            if self._settings.may_read_local_repositories:
                return []
            raise UsageError(
                f"{self._url} is on the worker's own disk. Add it as a folder, or allow such repositories to the "
                "worker with RUNLLM_LOCAL_REPOSITORIES=1"
            )
        raise UsageError(f"{self._url} is no address of a repository. Write it like https://github.com/owner/name")

    async def _looked_up(self, host: str, port: int) -> str:
        egress = Egress(self._settings.allowed_networks)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(
                f"{host} cannot be found ({error.strerror}). Check the address of the repository"
            ) from None
        good = [str(address[0]) for *_, address in found if egress.permits(str(address[0]))]
        if not good:
            raise UsageError(
                f"{host} is not an address of the internet. If that is meant, allow its network to the worker with "
                "RUNLLM_ALLOWED_NETWORKS"
            )
        return good[0]

    async def _git(self, *arguments: str, at_copy: bool = True) -> bytes:
        place = ["--git-dir", str(self._copy)] if at_copy else []
        limited = f'ulimit -f {_LARGEST_FILE_BLOCKS}; exec git "$@"'
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", limited, "git", *_QUIET, *place, *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=self._environ(),
        )  # fmt: skip
        try:
            out, said = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            raise UsageError(f"{self._location} took longer than {_SECONDS / 60:.0f} minutes to be fetched") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise UsageError(_refused(self._url, self._branch, said.decode("utf-8", "replace")))
        return out

    def _environ(self) -> dict[str, str]:
        local = ":file" if self._settings.may_read_local_repositories else ""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._settings.cache),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_ALLOW_PROTOCOL": f"https:http{local}",
            "LC_ALL": "C",
        }


# A redirect would lead git to a host that was not looked up.
_QUIET = (
    "-c", "http.followRedirects=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*",
    "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "gc.auto=0",
)  # fmt: skip


def _refused(url: str, branch: str, said: str) -> str:
    """What git's refusal means."""
    lines = said.strip().splitlines()
    last = lines[-1].removeprefix("fatal: ")[:200] if lines else "git does not say why"
    if "couldn't find remote ref" in said:
        if branch:
            return f"{url} has no branch {branch}. Check its name after the #"
        return f"{url} has no commits. Add it once there is something in it"
    if "does not appear to be a git repository" in said or "not found" in said.lower():
        return f"There is no Git repository at {url}, or only some may read it. Check the address"
    if "could not read Username" in said or "Authentication failed" in said:
        return f"{url} asks for a password. Only public repositories can be read; clone it, and add the folder"
    return f"The repository {url} cannot be fetched: {last}. Check the address"


def _is_documentation(path: str) -> bool:
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") or part in NOT_DOCUMENTATION for part in parts)
    return not hidden and is_document(path) and path.isprintable() and len(path) <= 1000


def _forge(url: str, branch: str) -> str | None:
    """Where people read the files of a repository, at places whose addresses are well known."""
    parts = urlsplit(url)
    if parts.hostname not in _FORGES:
        return None
    path = parts.path.rstrip("/").removesuffix(".git")
    kind = {"github.com": "blob", "gitlab.com": "-/blob", "codeberg.org": "src/branch"}[parts.hostname]
    return f"https://{parts.hostname}{path}/{kind}/{branch or 'HEAD'}"
