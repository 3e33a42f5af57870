"""What Slack, Zendesk and Discord have in common in tests: outages, and waiting for what is shown or gone."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from runllm.errors import UsageError
from runllm.testing.serving import PATIENCE, Serving, StandIn

T = TypeVar("T")

Call = Literal["post", "open", "edit", "delete", "upload"]
"""What the engine does on a platform, see `Played`."""

Files = Mapping[str, bytes]
"""Names of files, and what is in them."""


class Played(ABC):
    """A platform as it is played in tests: `Slack`, `Zendesk` or `Discord`.

    The engine's calls can be made to fail by what they do: `post` a message or a comment, `open` a thread or a ticket,
    `edit` or `delete` what it posted, `upload` a file. Where a platform has one call for two of these, they fail
    together: Slack opens a thread by posting, Discord posts files with their message, and Zendesk takes comments,
    corrections and a new status alike.

    All of it is over when its test is. What was to fail, and was never tried, is told in the transcript.
    """

    _platform: StandIn

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is called below a failure."""

    @abstractmethod
    def transcript(self) -> str:
        """What happened there, a line each."""

    def will_fail(self, call: Call, times: int = 1, *, status: int = 503, retry_after: int = 1) -> None:
        """Has the engine's next calls of a kind answered with an error that passes; nothing is done for them.

        The engine tries again, so that a handler does not notice. `will_refuse` is what a handler notices.

        Args:
            call: What the engine does: `post`, `open`, `edit`, `delete` or `upload`.
            times: How many calls.
            status: What they are answered: 429 for too many calls, or a status from 500 on.
            retry_after: In how many seconds to try again, with 429.

        Raises:
            UsageError: It is another status.

        Example:
            ```python
            slack.will_fail("post", 2)
            slack.will_fail("post", status=429, retry_after=2)
            ```
        """
        if status != 429 and not 500 <= status <= 599:
            raise UsageError(f"{status} is not 429 or 500 to 599. For what a platform refuses for good: will_refuse")
        how = {"status": status, **({"retry_after": retry_after} if status == 429 else {})}
        self._do(lambda: self._plan(call, times, **how))

    def will_refuse(self, call: Call, times: int = 1) -> None:
        """Has the engine's next calls of a kind refused for good: the handler gets a `Rejected`.

        Args:
            call: What the engine does: `post`, `open`, `edit`, `delete` or `upload`.
            times: How many calls.

        Example:
            ```python
            slack.will_refuse("post")
            ```
        """
        self._do(lambda: self._plan(call, times, **self._refusal()))

    def will_lose_reply(self, call: Call, times: int = 1) -> None:
        """Has the engine's next calls of a kind done, and the connection broken before the answer.

        The engine cannot know that they were done. It finds out: whatever it does next, nobody sees it twice.

        Args:
            call: What the engine does: `post`, `open`, `edit`, `delete` or `upload`.
            times: How many calls.

        Example:
            ```python
            slack.will_lose_reply("post")
            ```
        """
        self._do(lambda: self._plan(call, times, lose_reply=True))

    @contextmanager
    def away(self) -> Iterator[None]:
        """The platform answers nothing but 503 until the block is left.

        People still write there, and the engine hears of it. Clicks lead nowhere meanwhile.

        Example:
            ```python
            with slack.away():
                slack.says("#support", "Is anybody there?", by="Ada")
            ```
        """
        self._do(lambda: setattr(self._platform, "is_away", True))
        try:
            yield
        finally:
            self._do(lambda: setattr(self._platform, "is_away", False))

    # What platforms, threads and tickets use

    @abstractmethod
    def _plan(self, call: Call, times: int, **how: Any) -> None:
        """Has the stand-in do something wrong."""

    @abstractmethod
    def _refusal(self) -> dict[str, Any]:
        """What the stand-in is told to refuse with."""

    def _do(self, work: Callable[[], T]) -> T:
        return self._serving.do(self, work)

    def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        return self._serving.finish(self, work)

    def _until(self, look: Callable[[], T | None], seconds: float, missing: str | Callable[[], str]) -> T:
        __tracebackhide__ = True
        return self._serving.until(self, look, seconds, missing if callable(missing) else lambda: missing)

    def _unmet(self) -> Iterator[str]:
        """A line of the transcript for the failures that the engine never met."""
        if count := self._platform.planned:
            yield f"({count} planned {'failure' if count == 1 else 'failures'} that no call of the engine has met)"


class Worded(Protocol):
    """What says something."""

    @property
    def text(self) -> str:
        """What it says."""
        ...


S = TypeVar("S", bound=Worded)


class Place(ABC, Generic[S]):
    """Where a conversation goes on: a thread or a ticket, as `Slack`, `Zendesk` and `Discord` make them."""

    def until_shown(self, text: str, seconds: float = PATIENCE) -> S:
        """Waits until something there says a text, whoever wrote it: for what is corrected, or passed on by the engine.

        Args:
            text: A part of what it says.
            seconds: How long to wait.

        Returns:
            The newest that says it.

        Raises:
            AssertionError: Nothing does after so many seconds.

        Example:
            ```python
            assert thread.until_shown("in Settings").author == "Support"
            ```
        """
        __tracebackhide__ = True

        def found() -> S | None:
            return next((one for one in reversed(self._all()) if text in one.text), None)

        return self._on()._until(found, seconds, lambda: f"nothing said {text!r}; there was {self._texts()}")

    def until_gone(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until nothing there says a text any more: it was deleted, or says something else now.

        Args:
            text: A part of what it said.
            seconds: How long to wait.

        Raises:
            AssertionError: Something still says it after so many seconds.

        Example:
            ```python
            thread.until_gone("1st try")
            ```
        """
        __tracebackhide__ = True

        def gone() -> bool | None:
            return None if any(text in one.text for one in self._all()) else True

        self._on()._until(gone, seconds, lambda: f"{text!r} was not gone from {self._texts()}")

    @abstractmethod
    def _on(self) -> Played:
        """The platform."""

    @abstractmethod
    def _all(self) -> list[S]:
        """All that is there now, oldest first; called where the stand-ins live."""

    def _texts(self) -> list[str]:
        return [one.text for one in self._all()]


@dataclass(frozen=True)
class Said:
    """A message of a thread, as it is shown now.

    Attributes:
        author: The name that is shown for who wrote it.
        text: What it says, without buttons.
        is_edited: It said something else before.
        files: Its files, by name.
    """

    author: str
    text: str
    is_edited: bool = False
    files: Files = field(default_factory=dict, hash=False)


def with_files(line: str, names: Iterator[str] | list[str], *, is_edited: bool = False) -> str:
    """A line of a transcript, with what else is shown beside the words."""
    return " ".join([line, *(["(edited)"] if is_edited else []), *(f"📎 {name}" for name in names)])
