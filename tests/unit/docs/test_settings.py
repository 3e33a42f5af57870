"""Every variable that the engine reads is on the page of settings, and the page names no other."""

import re

from tests.unit.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "operations" / "settings.md").read_text(encoding="utf-8")
READ = {
    name
    for room in ("runllm", "store", "gateways", "worker")
    for path in (ROOT / room).rglob("*.py")
    for name in re.findall(r"[\"'](RUNLLM_[A-Z0-9_]+)[\"']", path.read_text(encoding="utf-8"))
}
DOCUMENTED = set(re.findall(r"`(RUNLLM_[A-Z0-9_]+)`", PAGE))


def test_every_setting_is_documented() -> None:
    assert set() == READ - DOCUMENTED


def test_no_setting_is_documented_that_nothing_reads() -> None:
    assert set() == DOCUMENTED - READ


def test_what_a_container_can_be_told_is_in_the_example_of_its_settings() -> None:
    """Add a line to `.env.example` with the default, and what it is for."""
    of_processes, clients, _ = PAGE.partition("## Clients and the command line")
    assert clients
    example = set(re.findall(r"^#(RUNLLM_[A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M))
    given_by_the_compose_file = {"RUNLLM_HOME", "RUNLLM_HOST", "RUNLLM_GATEWAY_URL"}
    wanted = set(re.findall(r"`(RUNLLM_[A-Z0-9_]+)`", of_processes)) - given_by_the_compose_file
    assert "RUNLLM_MODEL" in wanted
    assert wanted - example == set()
