"""Bad input gets one clear error where the person looks, and nothing else is disturbed."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runllm.testing.visitor import Visitor
from tests.faults.engine import Engine, running
from worker.activities.context import APOLOGY

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
HEAD = """
from runllm import Agent, Client, Event, WidgetListener, entrypoint
@entrypoint(listeners=[WidgetListener(domain="{domain}")])
def {name}(agent, event):
    {body}
"""
TAIL = """
if __name__ == "__main__":
    client = Client()
    client.publish("{name}", {name})
    client.watch("{name}")
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that serves `echoing`, which goes on working whatever happens."""
    home = tmp_path_factory.mktemp("engine") / "home"
    script = str(HERE / "slow_script.json")
    with running(home, "--no-example", RUNLLM_MODEL="scripted", RUNLLM_SCRIPT=script) as engine:
        engine.wait_until_ready()
        assert run(engine, HERE / "echoing.py").returncode == 0
        yield engine


@pytest.fixture(autouse=True)
def undisturbed(engine: Engine) -> Iterator[None]:
    """After each test the other workflow answers as before, and no event is without an outcome."""
    yield
    visitor = Visitor(engine.url)
    visitor.open()
    visitor.ask("question")
    assert visitor.read(2, 60) == ["the answer to question", "after: the answer to question"]
    engine.wait(lambda: engine.api("/api/v1/accounting")["unaccounted"] == 0, 30, "accounting")


def run(engine: Engine, script: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a customer's script as the customer would."""
    environ = {
        **engine.environment,
        "RUNLLM_SERVER": engine.url,
        "RUNLLM_API_KEY": engine.api_key,
        "NO_COLOR": "1",
        **environment,
    }
    return subprocess.run([sys.executable, str(script)], env=environ, capture_output=True, text=True, timeout=120)


def script(folder: Path, name: str, body: str, *, domain: str = "", head: str = "", tail: str = TAIL) -> Path:
    """Writes a workflow with one handler."""
    path = folder / f"{name}.py"
    code = HEAD.format(name=name, domain=domain or f"{name}.example.com", body=textwrap.indent(body, "    ").lstrip())
    path.write_text(head + code + tail.format(name=name))
    return path


def upload(engine: Engine, bundle: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    return httpx.post(f"{engine.url}/api/v1/workflows", json=bundle, headers=headers, timeout=30)


def last_line(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode != 0
    return result.stderr.strip()


def test_an_unknown_key(engine: Engine, tmp_path: Path) -> None:
    said = last_line(run(engine, script(tmp_path, "unknown_key", "pass"), RUNLLM_API_KEY="wrong"))
    assert "key" in said.splitlines()[-1]
    assert "RUNLLM_API_KEY" in said


def test_a_malformed_bundle(engine: Engine) -> None:
    answer = upload(engine, {"name": "broken", "files": {"a.py": 7}})
    assert answer.status_code == 422
    assert "files" in answer.json()["error"]["message"]
    assert upload(engine, [1]).status_code in (400, 422)


def test_a_path_that_leaves_the_bundle(engine: Engine) -> None:
    bundle = {
        "name": "leaving",
        "files": {"../../evil.py": "x = 1"},
        "entrypoint": {"name": "x", "module": "evil", "function": "x"},
        "listeners": [{"type": "widget", "domain": "leaving.example.com"}],
    }
    answer = upload(engine, bundle)
    if answer.status_code == 202:
        engine.wait(lambda: deployment(engine, "leaving")["status"] == "failed", 30, "the refusal")
        assert "evil.py" in deployment(engine, "leaving")["error"]
    else:
        assert answer.status_code == 422
        assert "evil.py" in answer.text


def deployment(engine: Engine, name: str) -> Any:
    return engine.api(f"/api/v1/workflows/{name}/deployment")


def test_a_syntax_error_in_a_file_of_the_customer(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text("def price(:\n    return 1\n")
    path = script(tmp_path, "syntax", "from prices import price\nprice()")
    said = last_line(run(engine, path))
    assert "prices.py, line 1: invalid syntax" in said.splitlines()[-1]


def test_a_module_that_is_missing_on_the_worker(engine: Engine) -> None:
    source = HEAD.format(name="m", domain="m.example.com", body="pass") + "import no_such_module\n"
    bundle = {
        "name": "missing_module",
        "files": {"m.py": source},
        "entrypoint": {"name": "m", "module": "m", "function": "m"},
        "listeners": [{"type": "widget", "domain": "m.example.com"}],
    }
    assert upload(engine, bundle).status_code == 202
    engine.wait(lambda: deployment(engine, "missing_module")["status"] == "failed", 30, "the refusal")
    error = deployment(engine, "missing_module")["error"]
    assert "no_such_module" in error
    assert "m.py" in error


def test_two_workflows_that_claim_the_same_listener(engine: Engine, tmp_path: Path) -> None:
    said = last_line(run(engine, script(tmp_path, "rival", "pass", domain="localhost")))
    assert "'rival'" in said or "rival" in said
    assert "echoing" in said


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("endless", "while True: pass", ["endless.py", "loop"]),
        ("requesting", "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')", ["agent.step"]),
        ("httpxing", "import httpx\nhttpx.get('http://127.0.0.1:9')", ["agent.step", "httpxing.py"]),
    ],
)
def test_a_handler_that_does_what_it_must_not(
    engine: Engine, tmp_path: Path, name: str, body: str, words: list[str]
) -> None:
    answering = (
        "text = event.conversation.new_message.text\n"
        f"if text == 'bad':\n{textwrap.indent(body, '    ')}\n"
        "agent.send_to_chat_widget('fine ' + text, event.conversation.surface)"
    )
    result = run(engine, script(tmp_path, name, answering))
    assert result.returncode == 0, result.stderr
    visitor = Visitor(engine.url, origin=f"https://{name}.example.com")
    visitor.open()
    visitor.ask("bad")
    visitor.ask("good")
    assert visitor.read(2, 60) == [APOLOGY, "fine good"]
    (session,) = [s for s in engine.api("/api/v1/sessions?limit=50")["sessions"] if s["published_name"] == name]
    engine.wait(lambda: bool(engine.api(f"/api/v1/sessions/{session['id']}")["log"]), 20, "the log")
    (line,) = engine.api(f"/api/v1/sessions/{session['id']}")["log"]
    assert line["level"] == "error"
    for word in words:
        assert word in line["text"]


def test_a_message_of_five_megabytes(engine: Engine) -> None:
    visitor = Visitor(engine.url)
    visitor.open()
    reply = visitor.post("/widget/v1/messages", {"id": "large", "text": "x" * 5_000_000})
    assert reply.status_code == 413
    assert "larger than" in reply.json()["error"]["message"]
    visitor.ask("question after it")
    assert visitor.read(2, 60)[0] == "the answer to question after it"
