"""A visitor with a chat widget, over the widget's public protocol: to talk to a running engine in tests.

Its line is unreliable: it asks until it is heard, with the same id, and reads until it has read all.
"""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from runllm.testing.serving import PATIENCE


class Visitor:
    """One conversation on the widget.

    Args:
        url: Where the gateways are, like `http://127.0.0.1:8080`.
        origin: The page that the widget is on: what `WidgetListener.domain` is compared with.

    Attributes:
        said: What the visitor has written.
        shown: What the page shows, by posting.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_it_answers(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            visitor = runllm_engine.visitor()
            visitor.ask("How do I change my password?")
            assert "Settings" in visitor.read(1)[0]
        ```
    """

    def __init__(self, url: str, origin: str = "http://localhost") -> None:
        self._url = url
        self._headers = {"Origin": origin}
        self.said: list[str] = []
        self.shown: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        """Gets a conversation."""
        grant = self._until_heard("/widget/v1/conversations", {})
        self._headers["Authorization"] = f"Bearer {grant['token']}"

    def ask(self, text: str) -> None:
        """Sends a message, again with the same id while nobody confirms it. The first one opens the conversation."""
        if "Authorization" not in self._headers:
            self.open()
        self._until_heard("/widget/v1/messages", {"id": uuid.uuid4().hex, "text": text})
        self.said.append(text)

    def click(self, wait_id: int, button_id: str) -> dict[str, Any]:
        """Clicks a button; the answer's `result` says what became of it: `won`, `already`, `ended`, `not_allowed`."""
        return self._until_heard("/widget/v1/clicks", {"wait_id": wait_id, "button_id": button_id})

    def answers(self) -> list[str]:
        """What the assistant has said so far, in order, without what was deleted."""
        return [message["text"] for message in self._now() if message["author"] == "assistant"]

    def read(self, count: int, seconds: float = PATIENCE) -> list[str]:
        """Reads the stream, reconnecting, until there are `count` answers.

        Returns:
            All answers, in order: more than `count` where there are more.

        Raises:
            AssertionError: There are fewer after so many seconds; the text has what the page shows.

        Example:
            ```python
            assert "Settings" in visitor.read(1)[0]
            ```
        """
        __tracebackhide__ = True
        missing = f"answers and not {count} came"
        self._until(lambda: len(self.answers()) >= count, seconds, lambda: f"{len(self.answers())} {missing}")
        return self.answers()

    def until_shown(self, text: str, seconds: float = PATIENCE) -> str:
        """Waits until a message on the page says a text, whoever wrote it: for what a person of the team answers.

        Args:
            text: A part of what it says.
            seconds: How long to wait.

        Returns:
            All that the newest such message says.

        Raises:
            AssertionError: None does after so many seconds; the text has what the page shows.

        Example:
            ```python
            visitor.until_shown("It ships in May.")
            ```
        """
        __tracebackhide__ = True
        self._until(lambda: bool(self._saying(text)), seconds, lambda: f"nothing said {text!r}")
        return self._saying(text)[-1]

    def until_gone(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until no message on the page says a text any more: it was deleted, or says something else now.

        Args:
            text: A part of what it said.
            seconds: How long to wait.

        Raises:
            AssertionError: Some message still says it after so many seconds; the text has what the page shows.

        Example:
            ```python
            visitor.until_gone("It ships in April.")
            ```
        """
        __tracebackhide__ = True
        self._until(lambda: not self._saying(text), seconds, lambda: f"{text!r} was not gone")

    def wait_id(self) -> int:
        """The number of the newest buttons, for `click`."""
        waits = [message["wait"] for message in self.shown.values() if message.get("buttons") and message.get("wait")]
        return int(waits[-1]["id"])

    @property
    def title(self) -> str:
        """What it is called below a failure."""
        return "The chat widget"

    def transcript(self) -> str:
        """What the page shows, a message after the other."""
        return "\n".join(f"{message['author_name'] or message['author']}: {message['text']}" for message in self._now())

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Posts once, and returns whatever comes back."""
        return httpx.post(self._url + path, json=body, headers=self._headers, timeout=10)

    def _now(self) -> list[dict[str, Any]]:
        """What the page shows, in order."""
        shown = sorted(self.shown.values(), key=lambda message: message["position"])
        return [message for message in shown if not message["deleted"]]

    def _saying(self, text: str) -> list[str]:
        return [message["text"] for message in self._now() if text in message["text"]]

    def _until(self, holds: Callable[[], bool], seconds: float, missing: Callable[[], str]) -> None:
        __tracebackhide__ = True  # pytest shows the line of the test that waits
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() >= deadline:
                raise AssertionError(
                    f"{missing()} in {seconds:g} s. The page shows:\n{self.transcript() or '(nothing)'}"
                )
            try:
                self._read_once(holds, deadline)
            except httpx.HTTPError:
                time.sleep(0.2)

    def _read_once(self, holds: Callable[[], bool], deadline: float) -> None:
        # From the beginning each time: what is shown twice has the same id, what is doubled has another.
        timeout = httpx.Timeout(5.0, read=max(0.5, min(16.0, deadline - time.monotonic())))
        with httpx.stream("GET", f"{self._url}/widget/v1/stream", headers=self._headers, timeout=timeout) as reply:
            reply.raise_for_status()
            kind = ""
            for line in reply.iter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:") and kind in ("message", ""):
                    message = json.loads(line.removeprefix("data:"))
                    self.shown[message["id"]] = message
                if holds() or time.monotonic() > deadline:
                    return

    def _until_heard(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while True:
            try:
                reply = self.post(path, body)
                if reply.status_code < 500:
                    reply.raise_for_status()
                    heard: dict[str, Any] = reply.json()
                    return heard
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"{path} was not heard in 60 s")
            time.sleep(0.1)
