"""What a new engine needs to be tried: an API key, documents to answer from, a workflow that answers."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from runllm.cli.local import LocalEngine
from runllm.cli.refusal import FAILED, RefusalError

EXAMPLES = Path(__file__).parents[2] / "examples"
"""In a checkout; an installed package comes without."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Furniture:
    """What to put into the engine.

    Attributes:
        workflow: A script that publishes a workflow; None for none.
        docs: A folder of documents to index; None for none.
    """

    workflow: Path | None
    docs: Path | None


async def api_key(engine: LocalEngine) -> str:
    """The key for this machine: the one in the home if the record knows it, else a new one, which is put there."""
    path = engine.places.home / "api_key"
    key = path.read_text().strip() if path.exists() else ""
    if key and await _is_known(engine, key):
        return key
    key = await _keys(engine, "create", "dev")
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key}\n")
    draft.replace(path)
    return key


async def login_token(engine: LocalEngine) -> str:
    """A token for the admin console."""
    return await _keys(engine, "login")


async def index(engine: LocalEngine, key: str, docs: Path, show: Callable[[int, int], None]) -> int:
    """Indexes a folder of documents; `show` is told how many are done, and of how many. Returns their number.

    Raises:
        RefusalError: They cannot be indexed.
    """
    async with _client(engine, key) as http:
        answer = await http.post("/api/v1/sources", json={"kind": "folder", "location": str(docs)})
        source = _checked(answer, f"index {docs}")
        while source["state"] not in ("done", "failed"):
            show(source["done"], source["total"])
            await asyncio.sleep(_POLL_SECONDS)
            source = _checked(await http.get(f"/api/v1/sources/{source['id']}"), f"index {docs}")
    if source["state"] == "failed":
        raise RefusalError(f"{docs} could not be indexed: {source['error']}", FAILED)
    return int(source["documents"])


async def publish(engine: LocalEngine, key: str, script: Path, say: Callable[[str], None]) -> None:
    """Runs a script that publishes a workflow, as its author would, and says what it says.

    Raises:
        RefusalError: It failed.
    """
    environment = {**engine.environment, "RUNLLM_API_KEY": key, "RUNLLM_SERVER": engine.places.local_url}
    environment.pop("RUNLLM_LOADING", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environment, process_group=0
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            say(line.decode(errors="replace").rstrip())
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    if status != 0:
        raise RefusalError(f"{script} published nothing: it ended with exit status {status}.", FAILED)


async def _is_known(engine: LocalEngine, key: str) -> bool:
    async with _client(engine, key) as http:
        return (await http.get("/api/v1/workflows")).status_code != httpx.codes.UNAUTHORIZED


def _client(engine: LocalEngine, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=engine.places.local_url,
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=30.0,
    )


def _checked(answer: httpx.Response, what: str) -> dict[str, Any]:
    if not answer.is_success:
        raise RefusalError(f"The engine did not {what}: {answer.text[:500]}", FAILED)
    found: dict[str, Any] = answer.json()
    return found


async def _keys(engine: LocalEngine, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "gateways.keys", *arguments,
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=engine.environment, process_group=0,
    )  # fmt: skip
    try:
        said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise RefusalError(f"There is no key: {errors.decode(errors='replace').strip()}", FAILED)
    return said.decode().strip()
