"""What holds for every test: nothing of the developer's own set-up gets in, and nothing goes out."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from hypothesis import settings

from tests.contract.proxy import close_judges

_SETTINGS = ("RUNLLM_", "TEMPORAL_", "SLACK_", "ZENDESK_", "DISCORD_", "ANTHROPIC_", "OPENAI_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

SPECS = os.environ.get("RUNLLM_SPECS")
"""Where the platforms' specifications are; set by `make contract` alone."""

for name in list(os.environ):
    if (name.startswith(_SETTINGS) and name != "RUNLLM_SPECS") or name.upper() in _PROXIES:
        del os.environ[name]


def _is_this_machine(host: object) -> bool:
    try:
        return ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return host in ("localhost", "", None)


def _stay_here(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    connection, address = arguments
    if isinstance(connection, socket.socket) and connection.family in (socket.AF_INET, socket.AF_INET6):
        host = address[0] if isinstance(address, tuple) else address
        if not _is_this_machine(host):
            raise RuntimeError(f"A test tried to connect to {host}. Tests may only reach this machine: use a fake.")


sys.addaudithook(_stay_here)


if SPECS:

    @pytest.fixture(scope="session", autouse=True)
    async def no_judge_outlives_the_run() -> AsyncIterator[None]:
        yield
        await close_judges()


# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("here", deadline=None)
settings.load_profile("here")
