import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.sdk.api import Api, running

ROOT = Path(__file__).parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def api() -> Iterator[Api]:
    with running() as api:
        yield api


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes files, given by their paths, into a directory of their own."""

    def write(files: dict[str, str]) -> Path:
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def python(api: Api) -> Run:
    """Runs Python as a customer does, with a key, in a directory; the API is where RUNLLM_SERVER says."""

    def run(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            input=stdin,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "RUNLLM_SERVER": api.address,
                "RUNLLM_API_KEY": "key-1",
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
