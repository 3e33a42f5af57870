"""The pytest plugin: the fixtures `rehearse` and `runllm_engine`, and the conversation below every failure.

It loads by itself.
"""

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from runllm.bridge.surfaces import ChatSurface
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.testing.rehearsal import Rehearsal

if TYPE_CHECKING:
    from runllm.testing.engine import RunningEngine

_TALKS = pytest.StashKey[list[Rehearsal]]()
_BEGAN = pytest.StashKey[datetime]()
_ENGINES = pytest.StashKey[list["RunningEngine"]]()


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the real engine of the tests is started with."""
    parser.addini("runllm_docs", "Folder of documents that the engine of the fixture runllm_engine answers from.")
    parser.addini("runllm_script", "JSON file of a scripted model for the fixture runllm_engine, instead of documents.")


@pytest.fixture(scope="session")
def runllm_engine(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RunningEngine]":
    """The real engine, started once for the whole test run on ports of its own, and stopped at its end.

    It answers from the folder that the ini option `runllm_docs` names, or says what the script of `runllm_script` says.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_it_offers_a_person(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            visitor = runllm_engine.visitor()
            visitor.ask("Can I pay with seashells?")
            assert "person" in visitor.read(2)[1]
        ```
    """
    from runllm.testing.engine import running  # brings an HTTP client, which rehearsals do without

    arguments, environment = ["--no-example"], dict[str, str]()
    if docs := pytestconfig.getini("runllm_docs"):
        arguments += ["--docs", str(_beside(pytestconfig, docs))]
    if script := pytestconfig.getini("runllm_script"):
        environment = {"RUNLLM_MODEL": "scripted", "RUNLLM_SCRIPT": str(_beside(pytestconfig, script))}
    with running(tmp_path_factory.mktemp("engine") / "home", *arguments, **environment) as engine:
        engine.wait_until_ready()
        pytestconfig.stash.setdefault(_ENGINES, []).append(engine)
        yield engine


def _beside(config: pytest.Config, path: str) -> Path:
    """A path of the ini file, which is relative to it."""
    found = config.rootpath / path
    if not found.exists():
        raise pytest.UsageError(f"{path} of the pytest configuration is not there: {found}")
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What earlier tests talked through is not shown below the failure of this one, and their outages are over."""
    item.stash[_BEGAN] = datetime.now(UTC)
    for engine in item.config.stash.get(_ENGINES, []):
        engine.platforms.begin_test()


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
        for engine in item.config.stash.get(_ENGINES, []):
            report.sections += [(told.title, told.transcript() or "(nothing)") for told in engine.platforms.used]
            report.sections += _errors(engine, item.stash[_BEGAN])
    return report


def _errors(engine: "RunningEngine", since: datetime) -> list[tuple[str, str]]:
    """What went wrong in handlers, as a section of a report; nothing where an engine cannot say."""
    import httpx  # the engine's tests have it loaded already

    try:
        errors = engine.errors(since)
    except (httpx.HTTPError, OSError):
        return []
    return [("What went wrong in handlers", errors)] if errors else []
