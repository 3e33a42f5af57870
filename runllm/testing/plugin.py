"""The pytest plugin: the fixture `rehearse`, and the conversation below every failure. It loads by itself."""

from collections.abc import Generator, Sequence
from typing import Protocol

import pytest

from runllm.bridge.surfaces import ChatSurface
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.testing.rehearsal import Rehearsal

_TALKS = pytest.StashKey[list[Rehearsal]]()


class Rehearse(Protocol):
    """What the fixture `rehearse` is: it makes a `Rehearsal`, and takes the same arguments."""

    def __call__(
        self,
        handler: EntrypointWrapper | TaskWrapper,
        tasks: Sequence[TaskWrapper] = (),
        *,
        surface: ChatSurface | None = None,
        on: Sequence[ChatSurface] = (),
    ) -> Rehearsal:
        """A new conversation."""
        ...


@pytest.fixture
def rehearse(request: pytest.FixtureRequest) -> Rehearse:
    """Makes rehearsals. At the end of the test each of them must have used its whole script.

    Example:
        ```python
        from runllm.testing.plugin import Rehearse


        def test_it_answers(rehearse: Rehearse) -> None:
            talk = rehearse(answer_questions)
            talk.will_answer("42")
            assert [sent.text for sent in talk.say("What is it?")] == ["42"]
        ```
    """
    talks: list[Rehearsal] = []
    request.node.stash[_TALKS] = talks

    def new(
        handler: EntrypointWrapper | TaskWrapper,
        tasks: Sequence[TaskWrapper] = (),
        *,
        surface: ChatSurface | None = None,
        on: Sequence[ChatSurface] = (),
    ) -> Rehearsal:
        talks.append(Rehearsal(handler, tasks, surface=surface, on=on))
        return talks[-1]

    return new


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Checks the scripts as a part of the test, so that what is left over is a failure and no error."""
    result = yield
    for talk in pyfuncitem.stash.get(_TALKS, []):
        talk.check_script()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts the conversations below a failure."""
    report = yield
    if report.failed:
        for talk in item.stash.get(_TALKS, []):
            report.sections.append(("The conversation", talk.transcript()))
    return report
