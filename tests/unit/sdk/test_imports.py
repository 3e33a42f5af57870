"""Importing the SDK is cheap: customers do it in every script, and every session host does it."""

import json
import subprocess
import sys

import pytest

import runllm
from runllm.version import DISTRIBUTION, VERSION, version_of

_LOADED = """
import json, sys
import {module}
print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)))
"""
SERVER_LIBRARIES = {
    "aiohttp", "alembic", "asyncpg", "greenlet", "jinja2", "rich", "selectolax", "sqlalchemy", "temporalio", "typer",
    "gateways", "store", "worker",
}  # fmt: skip


def _loaded_by(module: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module=module)], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("module", ["runllm", "runllm.testing", "runllm.operations"])
def test_the_sdk_loads_no_server_library_and_no_http_client(module: str) -> None:
    loaded = _loaded_by(module)
    assert loaded & SERVER_LIBRARIES == set()
    assert "httpx" not in loaded, "publishing loads it, handlers do not need it"


def test_a_running_engine_loads_no_server_library_before_a_test_talks_through_a_platform() -> None:
    assert _loaded_by("runllm.testing.engine") & SERVER_LIBRARIES <= {"rich"}  # which httpx takes where it is there


def test_all_names_are_sorted_and_there() -> None:
    classes = [name for name in runllm.__all__ if name[0].isupper()]
    assert classes == sorted(classes)
    assert runllm.__all__ == [*classes, "__version__", "entrypoint", "task", "tool"]
    assert [name for name in runllm.__all__ if not hasattr(runllm, name)] == []


def test_no_public_name_is_missing_from_all() -> None:
    modules = {name for name, value in vars(runllm).items() if type(value).__name__ == "module"}
    found = {name for name in vars(runllm) if not name.startswith("_")} - modules - {"VERSION"}
    assert found <= set(runllm.__all__)


def test_the_version_is_the_installed_one() -> None:
    assert runllm.__version__ == VERSION == version_of(DISTRIBUTION)


def test_a_checkout_that_is_not_installed_says_so() -> None:
    assert version_of("no-such-distribution-anywhere") == "0+unknown"
