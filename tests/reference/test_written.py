"""Workflows written the way people write them: each publishes itself, passes validation, and runs."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from gateways.wire import build_id_of
from runllm import AdminConsole, AdminConsoleConfig, AnswerCategory
from runllm.agent import Agent
from runllm.bundle import Bundle, collect
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.testing import Rehearsal
from worker.deployments import bundles
from worker.deployments.validate import validate
from worker.deployments.verdicts import CheckBundle, Unpacked

WRITTEN = Path(__file__).parent / "written"
NAMES = sorted(path.stem for path in WRITTEN.glob("*.py"))

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports one of the files as a host does: without publishing it."""
    path, before = list(sys.path), set(sys.modules)
    monkeypatch.setenv("RUNLLM_LOADING", "1")
    monkeypatch.setattr("worker.session.published._served", {})  # validation serves what it checks
    monkeypatch.syspath_prepend(str(WRITTEN))
    yield import_module
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def bundle_of(module: ModuleType) -> Bundle:
    handlers = list(vars(module).values())
    [entry] = [handler for handler in handlers if isinstance(handler, EntrypointWrapper)]
    return collect(entry, [handler for handler in handlers if isinstance(handler, TaskWrapper)], module.__name__)


@pytest.mark.parametrize("name", NAMES)
def test_it_collects_into_a_bundle_of_its_own_file(name: str, load: Load) -> None:
    bundle = bundle_of(load(name))
    assert bundle.files == {f"{name}.py": (WRITTEN / f"{name}.py").read_text(encoding="utf-8")}
    assert bundle.entrypoint.module == name


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_validation(name: str, load: Load, tmp_path: Path) -> None:
    bundle = bundle_of(load(name))
    directory = bundles.unpack(bundle, build_id_of(bundle), tmp_path)
    del sys.modules[name]
    sys.path.remove(str(WRITTEN))
    version = Unpacked.of(bundle, build_id_of(bundle), directory)
    assert validate_apart(CheckBundle(version=version, listeners=bundle.listeners)) == []


def validate_apart(question: CheckBundle) -> list[str]:
    """Problems, and never warnings: names that do not exist must not stop a publish."""
    with ThreadPoolExecutor(1) as thread:  # it runs an event loop of its own
        return thread.submit(validate, question).result().problems


def test_each_method_of_the_agent_is_used_somewhere() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in WRITTEN.glob("*.py"))
    own = {"now", "sleep", "step", "summarize"}
    methods = {name for name in vars(Agent) if not name.startswith("_")} - own
    assert [name for name in sorted(methods) if f"agent.{name}(" not in sources] == []


# Each of them runs


def test_questions_are_routed(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    with Rehearsal(load("route_questions").route_questions) as talk:
        talk.will_tag("how-to")
        talk.will_categorize("how-to")
        talk.will_answer("Press the button.", AnswerCategory.ANSWERED)
        assert [sent.text for sent in talk.say("How?")] == ["Press the button."]
        talk.will_tag()
        talk.will_categorize("money")
        talk.will_answer("It costs nothing.")
        assert [sent.prefix for sent in talk.say("How much?")] == ["🤖 A longer look:"]
        talk.will_tag()
        talk.will_categorize("defect")
        talk.say("It broke.")
        assert [ticket.tags for ticket in talk.tickets.values()] == [["defect", "defect"]]
        assert set(talk.tags) == {"seen", "defect"}
    assert "They read: Press the button." in capsys.readouterr().out


def test_a_name_that_does_not_exist_fails_only_where_it_is_used(load: Load) -> None:
    talk = Rehearsal(load("keep_in_touch").keep_in_touch)
    with pytest.raises(NameError, match="response"):
        talk.say("hello")
    talk.say("a person, please")
    assert talk.phase == "mirroring"
    assert [sent.text for sent in talk.say("Are you there?")] == ["Are you there?"]


def test_a_conversation_is_handed_over(load: Load) -> None:
    module = load("hand_over")
    with Rehearsal(module.first_line, [module.second_line]) as talk:
        talk.will_answer("Try again tomorrow.")
        talk.say("It is broken.")
        assert talk.handler == "second_line"
        thread = talk.sent[0].to
        [ticket] = talk.tickets.values()
        assert ticket.description.startswith("The visitor wrote in the shop:\n")
        talk.say("I am on it.", on=thread, user="T0000001:U1")
        assert talk.texts()[-1] == "I am on it."
        talk.will_answer("Soon.")
        talk.say("When?")
        assert talk.texts(thread)[-1] == "Soon."
        assert ticket.status == "pending"


def test_handlers_without_annotations_get_their_surfaces_in_order(load: Load) -> None:
    module = load("without_annotations")
    with Rehearsal(module.open_a_thread, [module.two_ways]) as talk:
        talk.say("Hello?")
        talk.will_answer("Hello!")
        [sent] = talk.say("Is anybody there?")
        talk.say("Yes, me.", on=sent.to)
        assert talk.texts() == ["Yes, me."]


@pytest.mark.parametrize(("button", "expected"), [("send", ["Like this."]), ("keep", [])])
def test_an_answer_goes_out_when_somebody_says_so(button: str, expected: list[str], load: Load) -> None:
    with Rehearsal(load("ask_first").ask_first) as talk:
        talk.will_answer("Like this.")
        talk.will_click(button)
        talk.will_learn("Nothing new.")
        talk.say("How?")
        assert talk.texts() == expected


def test_discord_and_the_console_can_talk_to_each_other(load: Load) -> None:
    module = load("discord_and_console")
    with Rehearsal(module.in_the_open, [module.in_both]) as talk:
        talk.will_answer("In the open.")
        assert [sent.text for sent in talk.say("Where?")] == ["In the open."]
    console = AdminConsole(config=AdminConsoleConfig(agent_id=123, convo_identifier="1"))
    with Rehearsal(module.in_the_open, [module.in_both], surface=console) as talk:
        talk.will_answer("In private.")
        talk.say("Where?")
        talk.say("Tell them, too.")
        assert (talk.phase, talk.handler) == ("closed", "in both places")
