"""What authors get with the fixture `runllm_engine`: their project on the real engine, and histories to keep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runllm.cli.new_project import write_project

pytestmark = [pytest.mark.workflow, pytest.mark.long]

TEST = """
from pathlib import Path

import pytest

from runllm.testing import RunningEngine, replays


def test_a_project_on_the_real_engine(runllm_engine: RunningEngine) -> None:
    runllm_engine.publish("support.py")
    visitor = runllm_engine.visitor()
    visitor.ask("How do I change my password?")
    assert "Settings" in visitor.read(1)[0]
    other = runllm_engine.visitor()
    other.ask("Do you sell elephants to zoos?")
    assert other.until_shown("Shall I get a person?") == other.read(2)[1]
    assert other.click(other.wait_id(), "fine")["result"] == "won"
    [parked] = [x["id"] for x in runllm_engine.api("/api/v1/sessions")["sessions"] if x["id"] == 2]
    runllm_engine.save_history(parked, "history.json")


def test_histories_that_were_kept_still_fit() -> None:
    replays("support.py", "history.json")


def test_a_history_that_no_longer_fits_is_named_with_the_line() -> None:
    changed = Path("changed") / "support.py"
    changed.parent.mkdir()
    code = Path("support.py").read_text()
    first = "    answer = agent.stream_answer"
    changed.write_text(code.replace(first, "    agent.apply_tag('new', event.conversation)\\n" + first))
    with pytest.raises(AssertionError, match=r"support\\.py:\\d+|line \\d+"):
        replays(changed, "history.json")
"""


def test_a_project_is_tested_on_the_real_engine_and_its_histories_are_replayed(tmp_path: Path) -> None:
    project = tmp_path / "desk"
    write_project(project)
    (project / "pytest.ini").write_text("[pytest]\nrunllm_docs = docs\npython_files = engine_test.py\n")
    (project / "engine_test.py").write_text(TEST)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project, env={**os.environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
