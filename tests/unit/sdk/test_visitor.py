"""A visitor reads until what it waits for is there, and says what the page shows where it does not come."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runllm.testing.visitor import Visitor
from tests.unit.sdk.examples import VISITOR_EXAMPLES

Json = dict[str, Any]


class Widget:
    """The stream of one conversation, as the gateway sends it: all so far, and then it ends."""

    def __init__(self) -> None:
        self.url = ""
        self.shown: list[Json] = []
        self.reads = 0
        self.on_read: Callable[[int], object] = lambda number: None

    def says(self, id: str, text: str, *, author: str = "assistant", name: str | None = None) -> Json:
        """Shows a message, in the place of the one with that id."""
        message = {"id": id, "position": id, "author": author, "author_name": name, "text": text, "deleted": False}
        self.shown = [*(one for one in self.shown if one["id"] != id), message]
        return message

    def deletes(self, id: str) -> None:
        self.says(id, "")["deleted"] = True

    def stream(self) -> bytes:
        self.reads += 1
        self.on_read(self.reads)
        return "".join(f"event: message\ndata: {json.dumps(one)}\n\n" for one in self.shown).encode()


@pytest.fixture
def widget() -> Iterator[Widget]:
    made = Widget()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(b'{"token": "t"}')

        def do_GET(self) -> None:
            self._send(made.stream())

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        worker = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        worker.start()
        yield made
        server.shutdown()
        worker.join()


@pytest.fixture
def visitor(widget: Widget) -> Visitor:
    made = Visitor(widget.url)
    made.ask("How?")
    return made


def test_reading_goes_on_until_there_are_enough_answers(widget: Widget, visitor: Visitor) -> None:
    widget.says("1", "How?", author="user")
    widget.on_read = lambda number: widget.says(str(number + 1), f"Answer {number}")
    assert visitor.read(3) == ["Answer 1", "Answer 2", "Answer 3"]


def test_too_few_answers_fail_with_what_the_page_shows(widget: Widget, visitor: Visitor) -> None:
    widget.says("1", "How?", author="user")
    widget.says("2", "Like this")
    with pytest.raises(AssertionError) as caught:
        visitor.read(2, seconds=0.2)
    assert str(caught.value) == "1 answers and not 2 came in 0.2 s. The page shows:\nuser: How?\nassistant: Like this"


def test_nothing_at_all_is_told_as_nothing(visitor: Visitor) -> None:
    with pytest.raises(AssertionError, match=r"0 answers and not 1 came in 0.1 s. The page shows:\n\(nothing\)"):
        visitor.read(1, seconds=0.1)


def test_what_a_person_answers_is_waited_for_by_its_words(widget: Widget, visitor: Visitor) -> None:
    widget.on_read = lambda number: number < 3 or widget.says("9", "It ships in May.", author="user", name="Grace")
    assert visitor.until_shown("in May") == "It ships in May."
    assert visitor.answers() == []
    assert visitor.transcript() == "Grace: It ships in May."
    with pytest.raises(
        AssertionError, match=r"nothing said 'in June' in 0.1 s. The page shows:\nGrace: It ships in May"
    ):
        visitor.until_shown("in June", seconds=0.1)


def test_what_was_changed_or_deleted_is_gone(widget: Widget, visitor: Visitor) -> None:
    widget.says("1", "It ships in April.")
    widget.says("2", "Not for you.")
    assert visitor.read(2) == ["It ships in April.", "Not for you."]
    with pytest.raises(AssertionError, match=r"'April' was not gone in 0.1 s. The page shows:\nassistant: It ships"):
        visitor.until_gone("April", seconds=0.1)
    widget.says("1", "It ships in May.")
    widget.deletes("2")
    visitor.until_gone("April")
    visitor.until_gone("Not for you")
    assert visitor.answers() == ["It ships in May."]


@pytest.mark.parametrize("name", [name for name in VISITOR_EXAMPLES if not name.endswith(".Visitor 1")])
def test_an_example_runs(name: str, widget: Widget, visitor: Visitor) -> None:
    widget.says("1", "It is in Settings. It ships in May.")
    exec(compile(VISITOR_EXAMPLES[name], name, "exec"), {"visitor": visitor})


def test_the_examples_are_there() -> None:
    assert len(VISITOR_EXAMPLES) == 4
