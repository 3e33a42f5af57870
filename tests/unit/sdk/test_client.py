"""The client against a real server that plays the API."""

import io
import socket
import sys
from typing import Any

import pytest

from runllm import Client, PublishError, RunLLMError, ServerError, UsageError, WidgetListener, entrypoint, task
from tests.unit.sdk.api import Api

PUBLISH = "/api/v1/workflows"
DEPLOYMENT = "/api/v1/workflows/desk/deployment"
ROLLBACK = "/api/v1/workflows/desk/rollback"


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def answer(agent: Any, event: Any) -> None: ...


@task()
def later(agent: Any, event: Any) -> None: ...


def undecorated(agent: Any, event: Any) -> None: ...


@pytest.fixture
def client(api: Api) -> Client:
    return Client("key-1", api.address)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runllm.client._POLL_SECONDS", 0.01)


def looks(*steps: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    """A deployment as the API tells it; steps are (step, state, detail)."""
    names = ("step", "state", "detail")
    told = [dict(zip(names, (*step, "")[:3], strict=True)) | {"at": "2026-01-05T09:00:00Z"} for step in steps]
    plain = {"name": "desk", "build_id": "0123456789ab", "status": "uploaded", "error": None, "note": None}
    return {**plain, "steps": told, "replaces": None, "finished": False, **fields}


# Making a client


def test_a_client_knows_its_server_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(api_key=" key \n", server_address="https://engine.example.com/")
    assert (client.server_address, client.api_key) == ("https://engine.example.com", "key")
    monkeypatch.setenv("RUNLLM_API_KEY", "from-environ")
    assert (Client().server_address, Client().api_key) == ("http://127.0.0.1:8080", "from-environ")
    monkeypatch.setenv("RUNLLM_SERVER", "http://10.0.0.1:80")
    assert Client().server_address == "http://10.0.0.1:80"
    assert Client("mine", "http://other").api_key == "mine"


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_there_is_no_client(key: str | None) -> None:
    with pytest.raises(UsageError, match=r"There is no API key. Set RUNLLM_API_KEY"):
        Client(key)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines"])
def test_a_key_with_strange_characters_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="Copy it again"):
        Client(key)


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", "http://x:0"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"is no server address. Write RUNLLM_SERVER or .* like http://127.0.0.1:8080"):
        Client("key", address)


def test_where_published_code_is_loaded_nothing_happens(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setenv("RUNLLM_LOADING", "1")
    client = Client(server_address=api.address)
    client.publish("not a name", undecorated)  # type: ignore[arg-type]
    client.watch("not a name")
    client.rollback("not a name")
    assert api.asked == []


def test_loading_is_a_matter_of_the_moment_the_client_is_made(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setenv("RUNLLM_LOADING", "0")
    client = Client("key", api.address)
    monkeypatch.setenv("RUNLLM_LOADING", "1")
    with pytest.raises(ServerError):
        client.watch("desk")
    assert len(api.asked) == 1


# What is refused before anything is sent


@pytest.mark.parametrize("name", ["", "1desk", "desk.v2", "help desk", "d" * 65, "désk", "desk\n", None, 7])
def test_a_name_that_cannot_be_published_is_refused(name: Any, client: Client, api: Api) -> None:
    for call in (lambda: client.publish(name, answer), lambda: client.watch(name), lambda: client.rollback(name)):
        with pytest.raises(UsageError, match="take a letter, and then up to 63 letters, digits, - or _"):
            call()
    assert api.asked == []


@pytest.mark.parametrize(
    ("entry", "tasks", "expected"),
    [
        (undecorated, [], r"entrypoint takes a function marked with @entrypoint\(listeners=\[\.\.\.\]\), and not the "
                          "function undecorated"),
        (later, [], "and not the task later"),
        (None, [], "and not None"),
        (answer, [undecorated], r"tasks takes functions marked with @task\(\), and not the function undecorated"),
        (answer, [answer], "and not the entrypoint answer"),
        (answer, later, r"tasks takes a list of functions marked with @task\(\), and not the task later"),
        (answer, [later, later], "2 handlers are called 'later'"),
    ],
)  # fmt: skip
def test_handlers_have_to_be_marked(entry: Any, tasks: Any, expected: str, client: Client, api: Api) -> None:
    with pytest.raises(UsageError, match=expected):
        client.publish("desk", entry, tasks)
    assert api.asked == []


# Publishing


def test_publishing_sends_the_sources_and_says_so(client: Client, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer(PUBLISH, {"name": "desk", "build_id": "0123456789ab", "unchanged": False}, status=202)
    client.publish("desk", answer, tasks=[later])
    [asked] = api.asked
    assert (asked.method, asked.path, asked.key) == ("POST", PUBLISH, "key-1")
    assert asked.bundle.name == "desk"
    assert [task.function for task in asked.bundle.tasks] == ["later"]
    assert any(path.endswith("test_client.py") for path in asked.bundle.files)
    out = capsys.readouterr().out
    assert out.startswith("desk is published as build 0123456789ab, ")
    assert out.endswith(": client.watch('desk') follows its deployment\n")


def test_publishing_the_same_again_says_so(client: Client, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer(PUBLISH, {"name": "desk", "build_id": "0123456789ab", "unchanged": True}, status=202)
    client.publish("desk", answer)
    assert capsys.readouterr().out == "desk is unchanged: build 0123456789ab has this code already\n"


@pytest.mark.parametrize(
    ("status", "said", "kind", "expected"),
    [
        (401, "The API key abcd… is not known here.", ServerError, "does not know this API key. Check RUNLLM_API_KEY"),
        (403, "", ServerError, "does not know this API key"),
        (404, "", ServerError, "Nothing is published as 'desk' on http"),
        (404, "No workflow is published as 'desk'.", ServerError, r"^No workflow is published as 'desk'\.$"),
        (409, "'desk' and 'other' both listen to X.", PublishError, r"^'desk' and 'other' both listen to X\.$"),
        (409, "", PublishError, "'desk' listens where another published workflow does"),
        (413, "", PublishError, "'desk' is too large"),
        (422, "The bundle does not fit: files.", PublishError, r"^The bundle does not fit: files\.$"),
        (422, "", PublishError, "'desk' was refused as malformed"),
        (429, "", ServerError, "wants fewer calls. Wait a minute, and try again"),
        (500, "It broke.", ServerError, r"could not serve this \(status 500\): It broke. Its log says why; try again"),
        (503, "Temporal is away. Try again", ServerError, r"^Temporal is away. Try again$"),
        (503, "", ServerError, r"could not serve this \(status 503\). Its log says why; try again"),
        (301, "", ServerError, "answered with status 301. Check that RUNLLM_SERVER is an engine's address"),
        (400, "What.", ServerError, "answered with status 400: What. Check that RUNLLM_SERVER"),
    ],
)
def test_a_refusal_says_what_to_do(
    status: int, said: str, kind: type[RunLLMError], expected: str, client: Client, api: Api
) -> None:
    api.refuse(PUBLISH, status, said)
    with pytest.raises(kind, match=expected):
        client.publish("desk", answer)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"build_id": 7}', b'{"error": {"message": 7}}'])
def test_a_server_that_is_no_engine_is_told_apart(body: bytes, client: Client, api: Api) -> None:
    api.answer(PUBLISH, body)
    with pytest.raises(ServerError, match=r"is not an engine. Set RUNLLM_SERVER to the address of one"):
        client.publish("desk", answer)


def test_an_error_without_an_engines_words_is_still_one_sentence(client: Client, api: Api) -> None:
    api.answer(PUBLISH, {"error": {"message": 7}}, status=500)
    with pytest.raises(ServerError, match=r"could not serve this \(status 500\). Its log"):
        client.publish("desk", answer)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else gets the port, and connecting fails
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for call in (Client("key", address).watch, Client("key", address).rollback):
            with pytest.raises(
                ServerError, match=rf"No engine can be reached at {address} .*`make dev`.*RUNLLM_SERVER"
            ):
                call("desk")


# Watching


def test_watching_prints_each_step_once_it_changes(
    client: Client, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(
        DEPLOYMENT,
        looks(("uploaded", "done")),
        looks(("uploaded", "done"), ("validated", "running")),
        looks(("uploaded", "done"), ("validated", "running")),
        looks(("uploaded", "done"), ("validated", "done", "2 handlers"), ("replayed", "skipped", "no sessions")),
        looks(
            ("uploaded", "done"),
            ("validated", "done", "2 handlers"),
            ("replayed", "skipped", "no sessions"),
            ("current", "done"),
            status="current",
            note="3 sessions wait for a button on build ffff.",
            finished=True,
        ),
    )
    client.watch("desk")
    assert capsys.readouterr().out == (
        "desk, build 0123456789ab\n"
        "  ✓ uploaded\n"
        "  … validated\n"
        "  ✓ validated: 2 handlers\n"
        "  – replayed: no sessions\n"
        "  ✓ current\n"
        "3 sessions wait for a button on build ffff.\n"
    )
    assert {(asked.method, asked.key) for asked in api.asked} == {("GET", "key-1")}


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_running_step_is_one_line_that_changes(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    api.answer(
        DEPLOYMENT,
        looks(("uploaded", "done"), ("validated", "running")),
        looks(("uploaded", "done"), ("validated", "running", "importing")),
        looks(("uploaded", "done"), ("validated", "done"), status="current", finished=True),
    )
    client.watch("desk")
    assert terminal.getvalue() == (
        "desk, build 0123456789ab\n  ✓ uploaded\n  … validated\r\x1b[2K  … validated: importing\r\x1b[2K  ✓ validated\n"
    )


def test_a_terminal_is_left_at_the_start_of_a_line(client: Client, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    api.answer(DEPLOYMENT, looks(("validated", "running")))
    api.refuse(DEPLOYMENT, 404, "gone")
    with pytest.raises(ServerError, match="gone"):
        client.watch("desk")
    assert terminal.getvalue().endswith("  … validated\n")


def test_a_log_in_ascii_does_not_end_the_watching(client: Client, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", log)
    api.answer(DEPLOYMENT, looks(("uploaded", "done"), status="current", finished=True))
    client.watch("desk")
    log.seek(0)
    assert log.read() == "desk, build 0123456789ab\n  ? uploaded\n"


def test_another_version_published_meanwhile_is_shown_as_such(
    client: Client, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(
        DEPLOYMENT,
        looks(("uploaded", "done")),
        looks(("uploaded", "done"), build_id="ba9876543210", status="current", finished=True),
    )
    client.watch("desk")
    assert capsys.readouterr().out == (
        "desk, build 0123456789ab\n  ✓ uploaded\ndesk, build ba9876543210\n  ✓ uploaded\n"
    )


def test_a_state_of_a_newer_engine_is_shown_as_it_is(
    client: Client, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(DEPLOYMENT, looks(("loaded", "paused", "by hand"), status="current", finished=True))
    client.watch("desk")
    assert capsys.readouterr().out.endswith("\n  paused loaded: by hand\n")


@pytest.mark.parametrize(
    ("steps", "error", "expected"),
    [
        ([("validated", "failed", "desk.py: has no `answer`.")], None, r"validated: desk.py: has no `answer`$"),
        ([("validated", "failed", "no `answer`")], "no `answer`", r"not deployed. validated: no `answer`$"),
        ([("loaded", "failed")], "the host ended", r"loaded. the host ended$"),
        ([], "the host ended.", r"not deployed. the host ended$"),
        ([], None, "the server does not say why"),
    ],
)
def test_a_failed_deployment_raises_with_the_steps_words(
    steps: list[tuple[str, ...]], error: str | None, expected: str, client: Client, api: Api
) -> None:
    api.answer(DEPLOYMENT, looks(*steps, status="failed", error=error, finished=True))
    with pytest.raises(PublishError, match=r"desk, build 0123456789ab, was not deployed") as raised:
        client.watch("desk")
    assert raised.match(expected)


def test_a_server_that_restarts_meanwhile_is_waited_for(
    client: Client, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(DEPLOYMENT, looks(("uploaded", "done")))
    api.refuse(DEPLOYMENT, 503)
    api.refuse(DEPLOYMENT, 502)
    api.answer(DEPLOYMENT, looks(("uploaded", "done"), ("current", "done"), status="current", finished=True))
    client.watch("desk")
    assert capsys.readouterr().out.endswith("  ✓ current\n")


def test_a_server_that_does_not_come_back_is_given_up(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runllm.client._OUTAGE_SECONDS", 0.05)
    api.answer(DEPLOYMENT, looks(("uploaded", "done")))
    api.refuse(DEPLOYMENT, 503)
    with pytest.raises(ServerError, match="status 503"):
        client.watch("desk")
    assert len(api.asked) > 2


def test_a_look_that_makes_no_sense_is_not_an_engines(client: Client, api: Api) -> None:
    api.answer(DEPLOYMENT, {"steps": 7})
    with pytest.raises(ServerError, match="is not an engine"):
        client.watch("desk")


# Going back


@pytest.mark.parametrize(("build_id", "body"), [(None, b"{}"), ("fedcba987654", b'{"build_id": "fedcba987654"}')])
def test_rolling_back_says_to_what(
    build_id: str | None, body: bytes, client: Client, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(ROLLBACK, {"name": "desk", "build_id": "fedcba987654"})
    client.rollback("desk", build_id)
    assert (api.asked[0].method, api.asked[0].body) == ("POST", body)
    assert capsys.readouterr().out == (
        "desk goes back to build fedcba987654: client.watch('desk') follows its deployment\n"
    )


def test_there_may_be_nothing_to_go_back_to(client: Client, api: Api) -> None:
    api.refuse(ROLLBACK, 404, "No version of 'desk' was current before this one.")
    with pytest.raises(ServerError, match="No version of 'desk' was current before"):
        client.rollback("desk")


def test_a_deployment_that_nobody_gets_on_with_is_given_up(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runllm.client._STANDSTILL_SECONDS", 0.05)
    api.answer(DEPLOYMENT, looks(("uploaded", "done")), looks(("uploaded", "done"), ("validated", "running")))
    with pytest.raises(ServerError, match=r"desk has not moved since the step 'validated'.*`python -m worker`"):
        client.watch("desk")


def test_a_live_version_is_enough_where_the_old_one_takes_its_time(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runllm.client._LEAVING_SECONDS", 0.05)
    api.answer(DEPLOYMENT, looks(("current", "done"), ("drained", "running"), status="current"))
    client.watch("desk")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "desk, build 0123456789ab, is live; conversations of an older build still end there"
