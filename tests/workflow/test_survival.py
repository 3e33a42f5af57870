"""What a session survives: eviction, replay, other people's mistakes, growth, days of silence."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.workflow import NondeterminismError

from tests.temporal_server import dev_server, time_skipping_server
from tests.workflow.desk import open_desk, published
from worker.session.hosting import prepare, session_replayer

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.long)])
async def test_parked_sessions_with_a_cache_of_two_all_resume_on_their_click(client: Client, count: int) -> None:
    async with open_desk(client, published("front", "parks"), max_cached_workflows=2) as desk:
        talks = [desk.session() for _ in range(count)]
        await asyncio.gather(*(talk.say("ask") for talk in talks))
        await desk.until(lambda: len(desk.waits) == count, 120)
        waits = {
            call.session_id: call.operation.wait.wait_id
            for call in desk.calls
            if call.operation.__class__.__name__ == "PostMessage" and call.operation.wait
        }
        await asyncio.gather(*(talk.click("yes", waits[talk.session_id]) for talk in talks))
        await desk.until(lambda: len([t for _, t in desk.posts if t == "clicked yes"]) == count, 120)
        assert len(desk.posts) == 2 * count
        assert desk.lines == []


async def test_a_spinning_handler_does_not_disturb_its_neighbours(client: Client) -> None:
    async with open_desk(client, published("front", "breaks")) as desk:
        spinning = desk.session()
        await spinning.say("spin")
        beside = [desk.session() for _ in range(8)]
        await asyncio.gather(*(talk.say(f"hello {i}") for i, talk in enumerate(beside)))
        await desk.until(lambda: len(desk.posts) == 8, 30)
        await desk.until(lambda: bool(desk.lines), 30)
        assert "does a loop never end" in desk.lines[0][1]
        await spinning.say("and you")
        await desk.until(lambda: ("breaks", "fine: and you") in desk.posts, 30)


async def test_a_long_session_continues_as_new_and_forgets_nothing() -> None:
    settings = ("limit.historyCount.suggestContinueAsNew=60",)
    version = published("front", "moves", "second", "third")
    async with dev_server(*settings) as small, open_desk(small.client, version) as desk:
        talk = desk.session()
        await talk.say("a", event_id="first")
        await desk.until_posted("first")
        first_run = (await talk.handle.describe()).run_id
        for i in range(40):
            await talk.send(kind="feedback", event_id=f"f{i}")
            await talk.handle.query("outcomes")
        async with asyncio.timeout(30):
            while (await talk.handle.describe()).run_id == first_run:
                await talk.send(kind="feedback")
        await talk.say("a", event_id="first")  # known from the earlier run: forgotten duplicates would answer again
        await talk.say("b")
        await desk.until_posted("first", "second: b", "tags: ['urgent']")
        await talk.say("c")
        await desk.until_posted("first", "second: b", "tags: ['urgent']", "third: c ['urgent']")
        keys = [call.key for call in desk.calls]
        assert len(keys) == len(set(keys))


async def test_silence_of_a_day_runs_the_other_handler() -> None:
    async with (
        time_skipping_server() as environment,
        open_desk(environment.client, published("front", "waits_for_silence", "waits_more", "follows_up")) as desk,
    ):
        talk = desk.session()
        await talk.say("a")
        await desk.until_posted("here you are")
        await environment.fast_forward(talk.handle, timedelta(hours=20))
        await talk.say("b")  # starts the silence anew
        await desk.until_posted("here you are", "not silent: b")
        await environment.fast_forward(talk.handle, timedelta(hours=20))
        assert len(desk.posts) == 2
        await environment.fast_forward(talk.handle, timedelta(hours=5))
        await desk.until_posted("here you are", "not silent: b", "still there? True None")


async def test_listening_again_with_another_patience_is_what_counts() -> None:
    version = published("front", "waits_for_less_silence", "waits_again", "follows_up")
    async with time_skipping_server() as environment, open_desk(environment.client, version) as desk:
        talk = desk.session()
        for number, text in enumerate(("a", "b", "c")):
            await talk.say(text)
            await desk.until(lambda count=number + 1: len(desk.posts) == count)  # type: ignore[misc]
        await environment.fast_forward(talk.handle, timedelta(hours=2))
        await desk.until_posted("here you are", "not silent: b", "not silent: c", "still there? True None")


async def test_a_changed_handler_fails_the_replay_and_the_message_names_the_call(client: Client) -> None:
    original = published("front", "answers")
    async with open_desk(client, original) as desk:
        talk = desk.session()
        await talk.say("one")
        await desk.until_posted("answer to one")
        await talk.say("two")
        await desk.until_posted("answer to one", "answer to two")
        history = await talk.handle.fetch_history()
    same = await session_replayer(original).replay_workflow(history, raise_on_replay_failure=False)
    assert same.replay_failure is None
    changed = published("front", "prints")
    changed = type(changed)(original.name, "changed", changed.directory, changed.entrypoint, [])
    prepare(changed)
    result = await session_replayer(changed).replay_workflow(history, raise_on_replay_failure=False)
    assert isinstance(result.replay_failure, NondeterminismError)
    assert "answers.answer" in str(result.replay_failure)
    assert "surfaces.post_message" in str(result.replay_failure)
