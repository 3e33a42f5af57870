"""Recorded conversations replay with today's code; a changed handler does not, and the message says where."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.workflow import NondeterminismError

from runllm.bundle import BundleEntry
from tests.replay.cases import CASES, CHANGED, EARLIER, EXAMPLES, HISTORIES, Case
from worker.session.hosting import Published, prepare, session_replayer

pytestmark = pytest.mark.workflow


async def replay(case: Case, published: Published) -> Exception | None:
    return await replay_text((HISTORIES / f"{case.name}.json").read_text(), published)


async def replay_text(text: str, published: Published) -> Exception | None:
    prepare(published)
    history = WorkflowHistory.from_json("session-1", text)
    result = await session_replayer(published).replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_recorded_conversation_replays(case: Case) -> None:
    assert await replay(case, case.published(EXAMPLES)) is None


async def test_a_session_whose_handler_failed_before_anybody_was_told_of_that_replays() -> None:
    """Recorded by an engine that did not tell them: `make record-history` must not record it again."""
    entry = BundleEntry(name="stumbles", module="stumbles", function="stumbles")
    published = Published("stumbles", "recorded", EARLIER, entry, [])
    text = (EARLIER / "failed_untold.json").read_text()
    assert "session.report" in text
    assert "handover.own_up" not in text
    assert await replay_text(text, published) is None


async def test_a_session_from_before_threads_apart_were_bound_replays() -> None:
    """Recorded by an engine that took them for bound, and so told the record nothing of the second one."""
    begin, go_on = (BundleEntry(name=name, module="apart", function=name) for name in ("begin", "go_on"))
    published = Published("apart", "recorded", EARLIER, begin, [go_on])
    text = (EARLIER / "apart.json").read_text()
    assert text.count("surfaces.create_slack_thread") > 1
    assert await replay_text(text, published) is None


async def test_a_changed_handler_fails_and_the_message_names_the_call() -> None:
    case = CASES[0]
    published = Case(case.name, "changed_handler", case.handlers, case.script).published(CHANGED)
    renamed = Published(case.module, "changed", published.directory, published.entrypoint, [])
    failure = await replay(case, renamed)
    assert isinstance(failure, NondeterminismError)
    assert "answers.stream_answer" in str(failure)
    assert "tagging.apply_tag" in str(failure)
