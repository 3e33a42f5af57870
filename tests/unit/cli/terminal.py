"""A terminal of 80 columns in front of a real gateway: what a person types, and what is printed."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from runllm.cli.app import app
from store import agents, knowledge, published
from store.models import KnowledgeSource
from tests.unit.gateways.conftest import Gateway


@dataclass
class Terminal:
    """Runs commands in this process, as `runllm` would."""

    gateway: Gateway
    environ: dict[str, str] = field(default_factory=dict)

    async def run(self, *words: str, code: int = 0) -> Result:
        """Runs a command in a thread of its own: the gateway serves meanwhile. Checks the exit code, and the width."""
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words), env=self.environ)
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    async def gateway_sources(self) -> list[KnowledgeSource]:
        """The knowledge sources in the record."""
        async with self.gateway.store.read() as db:
            return await knowledge.sources(db)

    async def json(self, *words: str, code: int = 0) -> Any:
        """Runs a command with --json and reads what it prints."""
        return json.loads((await self.run(*words, "--json", code=code)).stdout)

    async def refused(self, *words: str, code: int = 1) -> str:
        """The one sentence on standard error with which a command ends."""
        result = await self.run(*words, code=code)
        said = result.stderr.strip()
        assert said.startswith("runllm: "), said
        assert said.endswith(".")
        assert "Traceback" not in said
        return said


@pytest.fixture
async def terminal(gateway: Gateway, tmp_path: Path) -> Terminal:
    """Somebody whose key is where `runllm dev` leaves it."""
    async with gateway.store.begin() as db:
        key = await agents.create_key(db, (await agents.ensure_agent(db)).id, "laptop")
    home = tmp_path / "home"
    home.mkdir()
    (home / "api_key").write_text(key + "\n")
    return Terminal(gateway, {"RUNLLM_HOME": str(home), "RUNLLM_SERVER": gateway.url, "COLUMNS": "80"})


def fits(result: Result) -> bool:
    """Whether no line is wider than the terminal."""
    return all(len(line) <= 80 for line in result.stdout.splitlines())


async def roll_out(gateway: Gateway, name: str, *statuses: str, error: str | None = None, note: str = "") -> str:
    """Plays the worker: the newest version passes these. Returns its build."""
    async with gateway.store.begin() as db:
        version = await published.newest_wanted(db, name)
        assert version is not None
        for status in statuses:
            if status == "current":
                await published.make_current(db, version.id)
            else:
                await published.set_status(db, version.id, status, error=error, note=note or None)
            step = "validated" if status == "failed" else status
            await published.set_step(db, version.id, step, "failed" if error else "done", error or "")
    return version.build_id
