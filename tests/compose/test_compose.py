"""`docker compose up`, from nothing to a conversation, and what each container's end does to it: nothing.

Needs Docker Compose. On a machine without an engine, COMPOSE_ENGINE may name a program that brings one.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runllm.testing.visitor import Visitor
from tests.compose.containers import ROOT, SCRIPTED, SERVICES, Containers, containers

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PATIENCE = 180


@pytest.fixture(scope="module")
def engine() -> Iterator[Containers]:
    with containers() as found:
        if found is None:
            pytest.skip(
                "no Docker Compose that works on this machine: install it, or set COMPOSE_ENGINE to a program that "
                "brings an engine (`up PORTS`, `run COMMAND`, `down`)"
            )
        found.compose("build", "--quiet")
        found.up()
        yield found


@pytest.fixture(scope="module")
def key(engine: Containers) -> str:
    """The first key, as the documentation says."""
    return engine.inside("gateways", "runllm", "keys", "create", "laptop", "--here")


def test_a_question_is_answered_from_the_documents_of_the_host(engine: Containers, key: str) -> None:
    engine.say(engine.inside("worker", "runllm", "docs", "add", "/srv/docs", key=key))
    assert "✓ current" in engine.runllm("publish", "examples/answer_or_escalate.py", key=key)
    visitor = Visitor(engine.url)
    visitor.open()
    visitor.ask("How do I rotate an API key?")
    [answer] = visitor.read(1, PATIENCE)
    engine.say(f"answered: {' '.join(answer.split())[:160]}…")
    assert "rotate" in answer.lower()
    found = httpx.get(f"{engine.ui_url}/api/v1/namespaces/default/workflows", timeout=30).json()["executions"]
    assert [session["type"]["name"] for session in found if session["status"].endswith("RUNNING")] == [
        "answer_or_escalate"
    ]
    assert engine.runllm("doctor", key=key).count("✗") == 0


def test_the_console_opens_with_the_link_that_a_container_prints(engine: Containers) -> None:
    link = engine.inside("gateways", "runllm", "keys", "login")
    assert link.startswith(f"http://localhost:{engine.ports[0]}/console/login?token=")
    page = httpx.get(link, follow_redirects=True, timeout=30)
    assert page.status_code == 200
    assert "answer_or_escalate" in page.text


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_nobody_and_can_write_into_its_volume_only(engine: Containers, service: str) -> None:
    assert engine.inside(service, "id", "-u") == "10001"
    tried = engine.inside(service, "sh", "-c", "touch /opt/engine/x /etc/x 2>&1 || true; touch $RUNLLM_HOME/x; echo ok")
    assert tried.count("Read-only file system") == 2
    assert tried.endswith("ok")


def test_restarts_and_kills_of_each_service_lose_nothing_and_double_nothing(
    engine: Containers, key: str, tmp_path: Path
) -> None:
    engine.files.append(SCRIPTED)
    engine.up()  # new containers on the same volumes, with the model that can be checked
    for name in ("echoing", "asking"):
        publish(engine, key, ROOT / "tests" / "faults" / f"{name}.py", tmp_path)
    parked = Visitor(engine.url, origin="https://asking.example.com")
    parked.open()
    parked.ask("question")
    assert parked.read(1, PATIENCE) == ["shall I?"]

    with talking(engine, visitors=3) as talks:
        for service in SERVICES:
            engine.compose("restart", service)
            wait_for_an_answer(talks)
        for service in SERVICES:
            engine.compose("kill", service)
            engine.compose("up", "--detach", "--wait", *SERVICES)
            wait_for_an_answer(talks)

    for talk in talks:
        assert talk.problem is None
        asked = talk.visitor.said
        expected = [text for said in asked for text in (f"the answer to {said}", f"after: the answer to {said}")]
        assert talk.visitor.answers() == expected
    assert parked.click(parked.wait_id(), "yes")["result"] == "won"
    assert parked.read(2, PATIENCE) == ["shall I?", "clicked yes"]
    count = sum(len(talk.visitor.said) for talk in talks)
    assert unaccounted(engine, key) == 0
    engine.say(f"{count} questions, each answered once and in order; 0 messages unaccounted")


def test_a_conversation_goes_on_after_down_and_up(engine: Containers, key: str) -> None:
    visitor = Visitor(engine.url, origin="https://restarts.example.com")
    visitor.open()
    visitor.ask("question before")
    visitor.read(2, PATIENCE)
    engine.compose("down")
    engine.up()
    visitor.ask("question after")
    assert visitor.read(4, PATIENCE) == [
        "the answer to question before", "after: the answer to question before",
        "the answer to question after", "after: the answer to question after",
    ]  # fmt: skip
    assert unaccounted(engine, key) == 0


class Talk:
    """Somebody who asks, waits for both messages, and asks again, until it is enough."""

    def __init__(self, url: str, number: int) -> None:
        self.visitor = Visitor(url, origin="https://restarts.example.com")
        self.problem: BaseException | None = None
        self.enough = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(number,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Lets the last question be answered."""
        self.enough.set()
        self._thread.join(2 * PATIENCE)

    def _run(self, number: int) -> None:
        try:
            self.visitor.open()
            while not self.enough.is_set():
                self.visitor.ask(f"question {len(self.visitor.said)} by {number}")
                self.visitor.read(2 * len(self.visitor.said), PATIENCE)
        except BaseException as error:
            self.problem = error


@contextmanager
def talking(engine: Containers, visitors: int) -> Iterator[list[Talk]]:
    """Visitors who talk while the block runs."""
    talks = [Talk(engine.url, number) for number in range(visitors)]
    for talk in talks:
        talk.start()
    try:
        wait_for_an_answer(talks)
        yield talks
    finally:
        for talk in talks:
            talk.finish()


def wait_for_an_answer(talks: list[Talk]) -> None:
    """Until each visitor has had an answer to something that was asked after now."""
    wanted = [2 * len(talk.visitor.said) + 2 for talk in talks]
    deadline = time.monotonic() + PATIENCE
    while any(len(talk.visitor.answers()) < count for talk, count in zip(talks, wanted, strict=True)):
        problems = [talk.problem for talk in talks if talk.problem]
        assert not problems, problems
        assert time.monotonic() < deadline, [talk.visitor.said[-1:] for talk in talks]
        time.sleep(0.1)


def publish(engine: Containers, key: str, script: Path, folder: Path) -> None:
    """Publishes a workflow of the fault tests, as a script that publishes itself, for a site of its own."""
    copy = folder / script.name
    copy.write_text(script.read_text().replace('domain="localhost"', 'domain="restarts.example.com"'))
    engine.say(f"$ python {script.name}")
    environment = {"PATH": "", "RUNLLM_SERVER": engine.url, "RUNLLM_API_KEY": key}
    subprocess.run([sys.executable, str(copy)], env=environment, check=True, timeout=PATIENCE, stdout=subprocess.PIPE)


def unaccounted(engine: Containers, key: str) -> int:
    """How many messages nobody has accounted for; those just handled get a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        headers = {"Authorization": f"Bearer {key}"}
        count = int(httpx.get(f"{engine.url}/api/v1/accounting", headers=headers, timeout=30).json()["unaccounted"])
        if count == 0 or time.monotonic() > deadline:
            return count
        time.sleep(0.2)
