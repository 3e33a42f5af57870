"""Where two trails of calls part, in words."""

from typing import Any

import pytest

from worker.deployments.trails import MadeCall, changed_words, parting


def call(activity: str, line: int = 0, **operation: Any) -> MadeCall:
    return MadeCall(
        activity=activity, handler="answer", operation=operation, line=f"desk.py, line {line}" if line else ""
    )


A, B, C = call("a", 1), call("b", 2), call("c", 3)


@pytest.mark.parametrize(
    ("before", "now", "text", "line"),
    [
        ([A, B], [A, C], "this code calls `c` in `answer` where the conversation called `b` in `answer`", 3),
        (
            [A, B],
            [B],
            "this code calls `b` in `answer` where the conversation called `a` in `answer`, and the other",
            2,
        ),
        (
            [A, B],
            [A],
            "the conversation went on with `b` in `answer`, which this code does not call any more, after",
            1,
        ),
        ([B], [], "the conversation went on with `b` in `answer`, which this code does not call any more", 0),
        ([A], [A, C], "this code calls `c` in `answer` where there was no call", 3),
    ],
)
def test_both_calls_and_the_line_are_named(before: list[MadeCall], now: list[MadeCall], text: str, line: int) -> None:
    difference = parting(before, now)
    assert difference is not None
    assert difference.kind == "path"
    assert difference.text.startswith(text)
    assert difference.line == (f"desk.py, line {line}" if line else "")


def test_calls_that_are_the_same_do_not_part() -> None:
    assert parting([A, B], [A, B]) is None
    assert changed_words([A, B], [A, B]) is None


def test_a_handler_that_fails_now_is_told_with_its_error() -> None:
    lines = [{"level": "print", "text": "hi"}, {"level": "error", "text": "Traceback\nKeyError: 'x'"}]
    difference = parting([A], [MadeCall(activity="session.report", operation={"lines": lines})])
    assert difference is not None
    assert difference.text == "this code fails where the conversation called `a` in `answer`: KeyError: 'x'"


def test_other_words_in_the_same_calls_are_no_other_path() -> None:
    difference = changed_words([call("post", text="one")], [call("post", 4, text="two")])
    assert difference is not None
    assert (difference.kind, difference.line) == ("words", "desk.py, line 4")
    assert difference.text == "`post` in `answer` gets another text"


def test_the_same_words_in_another_order_are_another_path() -> None:
    before = [call("post", text="one"), call("post", text="two")]
    difference = changed_words(before, [call("post", 1, text="two"), call("post", 2, text="one")])
    assert difference is not None
    assert (difference.kind, difference.line) == ("path", "desk.py, line 1")


def test_what_a_session_reports_may_differ() -> None:
    assert changed_words([call("session.report", lines=[1])], [call("session.report", lines=[2])]) is None
