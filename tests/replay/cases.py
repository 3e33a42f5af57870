"""The conversations whose histories are kept: which workflow, and what is said in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from runllm.bundle import BundleEntry
from tests.workflow.desk import Desk, Talk
from worker.session.hosting import Published

HISTORIES = Path(__file__).parent / "histories"
EXAMPLES = Path(__file__).parents[2] / "examples"
CHANGED = Path(__file__).parent / "changed"
EARLIER = Path(__file__).parent / "earlier"

Script = Callable[[Desk, Talk], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """A conversation.

    Attributes:
        name: Name of its history's file.
        module: Module of the workflow in `examples/`; also the published name.
        handlers: The entrypoint, then the tasks.
        script: What is said.
    """

    name: str
    module: str
    handlers: tuple[str, ...]
    script: Script

    def published(self, directory: Path = EXAMPLES) -> Published:
        """The workflow as it is in a directory."""
        entries = [BundleEntry(name=name, module=self.module, function=name) for name in self.handlers]
        return Published(self.module, "recorded", directory, entries[0], entries[1:])


async def answered(desk: Desk, talk: Talk) -> None:
    """A question with a good answer, and another one."""
    await talk.say("How do I install it?")
    await desk.until(lambda: len(desk.posts) == 1)
    await talk.say("And how do I upgrade it?")
    await desk.until(lambda: len(desk.posts) == 2)


async def escalated(desk: Desk, talk: Talk) -> None:
    """A question without an answer, a message while the buttons wait, and a click."""
    await talk.say("unanswerable: who are you?")
    await desk.until(lambda: len(desk.waits) == 1)
    await talk.say("How do I install it?")
    await desk.until(lambda: len(desk.posts) == 3)
    before = len(desk.calls)
    await talk.click("person", desk.waits[0])
    await desk.until(lambda: len(desk.calls) > before + 1)


async def triaged(desk: Desk, talk: Talk) -> None:
    """Two questions that are not urgent."""
    await talk.say("How do I install it?")
    await desk.until(lambda: len(desk.posts) == 1)
    await talk.say("unanswerable: who are you?")
    await desk.until(lambda: len(desk.posts) == 2)


async def followed(desk: Desk, talk: Talk) -> None:
    """A question, and another one before the silence is long."""
    await talk.say("How do I install it?")
    await desk.until(lambda: any(report.current_handler == "carry_on" for report in desk.reports))
    await talk.say("And how do I upgrade it?")
    await desk.until(lambda: len(desk.posts) == 2)


CASES = [
    Case("answered", "answer_or_escalate", ("answer_or_escalate", "collect_details"), answered),
    Case("escalated", "answer_or_escalate", ("answer_or_escalate", "collect_details"), escalated),
    Case("triaged", "triage", ("triage",), triaged),
    Case(
        "followed",
        "follow_up",
        ("answer_and_follow_up", "carry_on", "ask_whether_it_helped", "close"),
        followed,
    ),
]
