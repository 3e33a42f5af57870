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
