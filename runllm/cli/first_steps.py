"""What `runllm dev` does for somebody who has just arrived: a key, documentation to answer from, a workflow."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

Say = Callable[[str], None]


class StepError(Exception):
    """One of the first steps failed; the engine goes on."""


async def credentials(home: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """The development key, made on the first start, and a token that logs a browser in to the console."""
    file = home / "api_key"
    if not file.exists():
        key = await _keys(environment, "create", "dev")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(key + "\n")
    return file.read_text().strip(), await _keys(environment, "login")


async def _keys(environment: Mapping[str, str], *arguments: str) -> str:
    command = (sys.executable, "-P", "-m", "gateways.keys", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, problem = await process.communicate()
    if process.returncode:
        raise StepError(problem.decode(errors="replace").strip())
    return out.decode().strip()


async def index(url: str, key: str, folder: Path, say: Say) -> None:
    """Indexes a folder, and says how far it is."""
    location = os.path.abspath(folder)  # noqa: ASYNC240 - looks at no file
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as api:
        reply = await api.post("/api/v1/sources", json={"kind": "folder", "location": location})
        if reply.is_error:
            return say(f"  documentation       not indexed: {_message(reply)}")
        source, shown = reply.json(), ""
        while True:
            line = f"  documentation       {_progress(source)} from {folder.name}/"
            if line != shown and (not shown or source["state"] in ("done", "failed") or sys.stdout.isatty()):
                shown = line
                say(line)
            if source["state"] in ("done", "failed"):
                return None
            await asyncio.sleep(0.2)
            source = (await api.get(f"/api/v1/sources/{source['id']}")).json()


def _progress(source: dict[str, Any]) -> str:
    match source["state"]:
        case "done":
            return f"{source['documents']} documents, {source['passages']} passages"
        case "failed":
            return f"failed: {source['error']}"
        case _:
            return f"{source['done']} of {source['total'] or '?'} files"


async def publish(url: str, key: str, script: Path, environment: Mapping[str, str], say: Say) -> None:
    """Runs a script that publishes a workflow, as its author would, and says what it says."""
    environ = {**environment, "RUNLLM_SERVER": url, "RUNLLM_API_KEY": key, "PYTHONUNBUFFERED": "1"}
    environ.pop("RUNLLM_TETHER", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), env=environ, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            say(f"  {line.decode(errors='replace').rstrip()}")
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        say(f"  {script.name} was not published; the engine goes on without it")


def _message(reply: httpx.Response) -> str:
    try:
        return str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {reply.status_code}"
