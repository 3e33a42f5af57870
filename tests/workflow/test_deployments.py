"""A version's life: published, current, replaced, gone; and what becomes of the conversations on it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.temporal_server import dev_server
from tests.workflow.town import Town, town, until, until_equal

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(300)]

ONE = """
@entrypoint(listeners=[HERE])
def answer(agent: Agent, event: Event) -> None:
    agent.send_to_chat_widget("one", event.conversation.surface)
"""
TWO = ONE.replace('"one"', '"two"')


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Client]:
    """A server that soon forgets who polled, so that a version's record can be deleted within a test."""
    settings = (
        'matching.PollerHistoryTTL="1s"',
        'matching.wv.VersionDrainageStatusRefreshInterval="1s"',
        'matching.wv.VersionDrainageStatusVisibilityGracePeriod="1s"',
    )
    async with dev_server(*settings) as environment:
        yield environment.client


@pytest.fixture
async def here(tmp_path: Path, server: Client) -> AsyncIterator[Town]:
    """A new installation."""
    async with town(tmp_path, server) as new:
        yield new


async def test_a_published_workflow_answers(here: Town) -> None:
    version = await here.live(ONE)

    assert await here.steps(version) == dict.fromkeys(
        ("uploaded", "validated", "replayed", "loaded", "registered", "current"), "done"
    )
    assert await here.detail(version, "validated") == "1 handler: answer"
    assert await here.detail(version, "replayed") == "no conversations yet"
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")
    assert await visitor.build() == version.build_id


async def test_identical_code_changes_nothing(here: Town) -> None:
    first = await here.live(ONE)
    before = await here.steps(first)

    again = await here.publish(ONE)

    assert again.id == first.id
    assert again.status == "current"
    await here.until(again, "current")
    assert await here.steps(again) == before


async def test_an_idle_conversation_moves_to_the_new_version_without_a_message(here: Town) -> None:
    one = await here.live(ONE)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")

    two = await here.live(TWO)

    await visitor.until_on(two)
    await visitor.say("still there?")
    await visitor.until_answered("one", "two")
    await here.until(one, "retired")


@pytest.mark.long
async def test_the_old_versions_host_and_record_go_when_it_is_drained(here: Town) -> None:
    one = await here.live(ONE)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")
    two = await here.live(TWO)

    await here.until(one, "retired")

    await until_equal(lambda: here.hosts.running(), {(here.name, two.build_id)})
    await here.until_step(one, "drained", "done")
    await here.until_step(one, "deleted", "done")
    assert await here.versions.registered(here.name) == [two.build_id]


REMOVED = """
@task()
def follow_up(agent: Agent, event: Event) -> None:
    agent.send_to_chat_widget("old follow-up", event.conversation.surface)

@entrypoint(listeners=[HERE])
def answer(agent: Agent, event: Event) -> None:
    agent.send_to_chat_widget("one", event.conversation.surface)
    agent.listen(on=[event.conversation.surface], handler=follow_up)
"""


@pytest.mark.long
async def test_a_conversation_whose_handler_was_removed_stays_and_the_publisher_is_told(here: Town) -> None:
    one = await here.live(REMOVED, ["follow_up"])
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")
    sentence = f"1 session waits in `follow_up`, which this version does not have: it stays on {one.build_id}"
    await until_equal(lambda: here.handlers(one), ["follow_up"])

    two = await here.live(TWO)

    assert await here.detail(two, "current") == sentence
    await until_equal(lambda: here.note(two), sentence)
    await visitor.say("still there?")
    await visitor.until_answered("one", "old follow-up")
    assert await visitor.build() == one.build_id
    assert (await here.version(one)).status == "draining"

    three = await here.live(REMOVED.replace("old", "new"), ["follow_up"])
    await visitor.until_on(three)
    await here.until(one, "retired")
    assert await here.note(three) == ""
    await visitor.say("and now?")
    await visitor.until_answered("one", "old follow-up", "new follow-up")


PARKED = """
@entrypoint(listeners=[HERE])
def answer(agent: Agent, event: Event) -> None:
    widget = event.conversation.surface
    buttons = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}]}]
    clicked = agent.send_to_chat_widget("one?", widget, blocks=buttons, block_until_button_clicked=True)
    agent.send_to_chat_widget(f"one: {clicked.id}", widget)
"""


async def test_a_parked_handler_ends_on_its_version_and_then_the_conversation_moves(here: Town) -> None:
    one = await here.live(PARKED)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one?")
    await until_equal(lambda: here.states(one), ["waiting_for_button"])

    two = await here.live(TWO)

    sentence = f"1 session waits for a button: it stays on {one.build_id}"
    await until_equal(lambda: here.note(two), sentence)
    assert await visitor.build() == one.build_id
    await visitor.click("yes")
    await visitor.until_answered("one?", "one: yes")
    await visitor.until_on(two)
    await here.until(one, "retired")


@pytest.mark.long
async def test_a_rollback_brings_a_retired_version_back(here: Town) -> None:
    one = await here.live(ONE)
    two = await here.live(TWO)
    await here.until(one, "retired")

    await here.roll_back(one)
    await here.until(one, "current")

    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")
    await here.until(two, "retired")


@pytest.mark.long
async def test_a_rollback_to_a_draining_version_keeps_its_conversations(here: Town) -> None:
    one = await here.live(PARKED)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one?")
    await here.live(TWO)

    await here.roll_back(one)
    await here.until(one, "current")

    await visitor.click("yes")
    await visitor.until_answered("one?", "one: yes")
    assert await visitor.build() == one.build_id


async def test_a_version_that_fails_leaves_the_one_before_it_alone(here: Town) -> None:
    one = await here.live(ONE)

    broken = await here.until(await here.publish(ONE + "\nif True\n"), "failed")

    assert broken.error is not None
    assert "line" in broken.error
    assert "expected ':'" in broken.error
    assert (await here.steps(broken))["validated"] == "failed"
    assert (await here.version(one)).status == "current"
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")


async def test_a_failed_version_can_be_published_again_once_it_is_repaired(here: Town, tmp_path: Path) -> None:
    text = ONE + f"\nimport os\nassert os.path.exists({str(tmp_path / 'repaired')!r}), 'not yet'\n"
    failed = await here.until(await here.publish(text), "failed")
    assert "not yet" in (failed.error or "")

    (tmp_path / "repaired").touch()
    again = await here.publish(text)

    assert again.id == failed.id
    assert (await here.until(again, "current")).error in (None, "")


async def test_a_newer_publish_overtakes_one_that_is_under_way(here: Town) -> None:
    slow = await here.publish(ONE + "\nimport time\ntime.sleep(3)\n")
    await here.until_step(slow, "validated", "running")

    quick = await here.live(TWO)

    overtaken = await here.version(slow)
    assert overtaken.status == "retired"
    assert overtaken.note == f"superseded by {quick.build_id} before it was current"
    assert (await here.steps(overtaken))["validated"] == "skipped"
    assert here.hosts.running() == {(here.name, quick.build_id)}


@pytest.mark.long
async def test_recent_conversations_are_replayed_against_the_new_code(here: Town) -> None:
    await here.live(ONE)
    for _ in range(3):
        visitor = here.visitor()
        await visitor.say("hello")
        await visitor.until_answered("one")

    same = await here.live(TWO)
    assert await here.detail(same, "replayed") == "3 recent conversations: all take the same path"

    other = await here.live(ONE.replace("agent.send_to", "agent.answer(event.conversation)\n    agent.send_to"))
    detail = await here.detail(other, "replayed")
    assert detail == (
        "6 recent conversations: 3 the same, 3 take another path (this code calls `answers.answer` in `answer` where "
        "the conversation called `surfaces.post_message` in `answer`; flow.py, line 9: "
        "agent.answer(event.conversation))"
    )


async def test_two_workflows_that_claim_one_listener_are_refused_with_both_names(here: Town) -> None:
    await here.live(ONE)
    other = await here.publish(ONE, name=f"{here.name}_b", domain=f"{here.name}.test")

    failed = await here.until(other, "failed")

    assert f"'{here.name}_b' and '{here.name}' both listen to the widget of " in (failed.error or "")


@pytest.mark.long
async def test_a_worker_that_is_killed_goes_on_where_it_was(here: Town) -> None:
    one = await here.live(ONE)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")
    two = await here.publish(TWO + "\nimport time\ntime.sleep(0.3)\n")

    for step in ("validated", "loaded", "current"):
        await here.until_begun(two, step)
        await here.crash()
        here.start_deploying()

    await here.until(two, "current")
    await visitor.say("still there?")
    await visitor.until_answered("one", "two")
    await here.until(one, "retired")
    assert set((await here.steps(two)).values()) == {"done"}


@pytest.mark.long
async def test_only_one_of_two_workers_deploys_and_both_run_hosts(here: Town, tmp_path: Path) -> None:
    async with here.second_worker(tmp_path / "second") as hosts:
        one = await here.live(ONE)
        two = await here.live(TWO)
        await here.until(one, "retired")

        await until_equal(lambda: hosts.running(), {(here.name, two.build_id)})
        await until_equal(lambda: here.hosts.running(), {(here.name, two.build_id)})
        assert set((await here.steps(two)).values()) == {"done"}


@pytest.mark.long
async def test_a_host_that_is_killed_is_back_and_the_conversation_goes_on(here: Town) -> None:
    await here.live(ONE)
    visitor = here.visitor()
    await visitor.say("hello")
    await visitor.until_answered("one")

    for child in here.hosts.children():
        child.kill()
    await visitor.say("still there?")

    await visitor.until_answered("one", "one")
    assert any("starting it again" in line for line in here.lines)


async def test_a_temporal_server_that_lost_everything_is_told_again(tmp_path: Path, server: Client) -> None:
    """What the record says holds: new conversations are answered by the version that was current."""
    async with town(tmp_path, server) as before:
        version = await before.live(ONE)
    async with dev_server() as another, town(tmp_path, another.client) as after:
        visitor = after.visitor(before.name)
        await visitor.say("hello")

        await visitor.until_answered("one")

        assert await visitor.build() == version.build_id


async def test_a_version_that_cannot_be_loaded_by_its_host_shows_the_hosts_words(here: Town, tmp_path: Path) -> None:
    """It was validated, and then the worker lost the library."""
    gate = tmp_path / "installed"
    gate.touch()
    text = f"""
import os
if "TEMPORAL_ADDRESS" in os.environ:
    import lost_library
{ONE}
"""
    failed = await here.until(await here.publish(text), "failed")

    assert "session host of" in (failed.error or "")
    assert "keeps ending" in (failed.error or "")
    assert "imports `lost_library`, which is not installed on the worker" in (failed.error or "")
    assert (await here.steps(failed))["loaded"] == "failed"
    await until_equal(lambda: here.hosts.running(), set())


@pytest.mark.long
async def test_a_publish_amid_fifty_conversations_loses_and_doubles_nothing(here: Town) -> None:
    one = await here.live(ONE)
    visitors = [here.visitor() for _ in range(50)]
    await asyncio.gather(*(visitor.say("first") for visitor in visitors))
    two = await here.publish(TWO)

    for number in range(4):  # while the new version is prepared, becomes current and takes over
        await asyncio.gather(*(visitor.say(f"message {number}") for visitor in visitors))
        await asyncio.sleep(1.0)

    await here.until(two, "current")
    await asyncio.gather(*(until(visitor.answers, lambda found: len(found) >= 5, 60) for visitor in visitors))
    await asyncio.gather(*(visitor.until_on(two) for visitor in visitors))
    for visitor in visitors:
        answers = await visitor.answers()
        assert len(answers) == 5, answers
        assert answers == sorted(answers, key=["one", "two"].index), "back on the old version"
    await here.until(one, "retired")
    await until_equal(lambda: here.hosts.running(), {(here.name, two.build_id)})
