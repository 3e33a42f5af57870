"""Slack and the whole engine, process by process: a burst while Temporal stands still, and workers that are killed."""

import asyncio
import os
import signal
import statistics
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runllm.testing.platforms.slack import FakeSlack
from tests.faults.engine import Engine, running
from tests.faults.kills import publish

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
RATE = 50
SECONDS = int(os.environ.get("BURST_SECONDS", "4"))
ACK = float(os.environ.get("BURST_ACK", "3"))
"""Seconds that Slack waits; `make slack-burst`, on a machine that is otherwise idle, wants half a second."""


class Town:
    def __init__(self, engine: Engine, slack: FakeSlack) -> None:
        self.engine = engine
        self.slack = slack

    async def answered(self, wanted: dict[str, str], seconds: float = 120) -> None:
        """Waits until each of these threads has its one answer."""
        async with asyncio.timeout(seconds):
            while not all(self.slack.by_app("C1", ts) for ts in wanted):  # noqa: ASYNC110 - other processes answer
                await asyncio.sleep(0.2)
        for ts, text in wanted.items():
            assert [self.slack.words(one) for one in self.slack.by_app("C1", ts)] == [f"You said: {text}"]

    def looked(self, ts: str) -> bool:
        """Whether a thread was read."""
        return any(name == "conversations.replies" and given["ts"] == ts for name, given in self.slack.calls)

    def worked(self) -> float:
        """Seconds of CPU that the gateways have used."""
        [pid] = self.engine.pids("gateways")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def accounted(self) -> None:
        """Waits until nothing is without an outcome."""
        await asyncio.to_thread(
            self.engine.wait, lambda: self.engine.api("/api/v1/accounting")["unaccounted"] == 0, 90, "accounting"
        )


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    home = tmp_path_factory.mktemp("engine") / "home"
    with ExitStack() as stack:
        async with FakeSlack() as slack:
            started = await asyncio.to_thread(
                stack.enter_context,
                running(
                    home,
                    "--no-example",
                    RUNLLM_SLACK_API_URL=slack.api_url,
                    RUNLLM_SLACK_SIGNING_SECRET=slack.signing_secret,
                    RUNLLM_SLACK_BOT_TOKEN="xoxb-1",
                ),
            )
            await asyncio.to_thread(started.wait_until_ready)
            await asyncio.to_thread(publish, started, HERE / "slack_echoing.py")
            slack.deliver_to(started.url)
            yield Town(started, slack)
            await asyncio.to_thread(started.stop)


@pytest.mark.long
async def test_a_burst_is_acknowledged_at_once_while_temporal_stands_still_and_answered_after(town: Town) -> None:
    slack = town.slack
    warm = await slack.say("C1", "U1", "warm up")
    await town.answered({warm: "warm up"})
    slack.acks.clear()
    slack.deliveries.clear()
    worked = town.worked()
    [temporal] = town.engine.pids("temporal")
    os.kill(temporal, signal.SIGSTOP)
    wanted: dict[str, str] = {}
    try:
        clock = asyncio.get_running_loop()
        begun = clock.time()
        for number in range(RATE * SECONDS):
            await asyncio.sleep(max(0.0, begun + number / RATE - clock.time()))
            text = f"question {number}"
            wanted[await slack.say("C1", "U1" if number % 2 else "U2", text)] = text
        took = clock.time() - begun
        await slack.delivered()
    finally:
        os.kill(temporal, signal.SIGCONT)
    worked = (town.worked() - worked) / (RATE * SECONDS)
    acks = sorted(slack.acks)
    statuses = Counter(status for _, status in slack.deliveries)
    assert statuses == {200: RATE * SECONDS}, "each was taken at the first delivery"
    middle, late = statistics.median(acks), acks[int(len(acks) * 0.99)]
    print(f"{len(acks)} events in {took:.1f} s; answers to Slack: median {middle * 1000:.0f} ms, ", end="")
    print(f"99% under {late * 1000:.0f} ms, the slowest {acks[-1] * 1000:.0f} ms; {worked * 1000:.1f} ms of CPU each")
    assert acks[-1] < ACK
    await town.answered(wanted)
    await town.accounted()


@pytest.mark.long
async def test_a_worker_that_is_killed_after_slack_took_the_message_leaves_one(town: Town) -> None:
    for attempt in range(3):
        hold = asyncio.Event()
        town.slack.next("chat.postMessage", wait=hold)
        text = f"kill {attempt}"
        ts = await town.slack.say("C1", "U1", text)
        async with asyncio.timeout(60):
            while not town.slack.by_app("C1", ts):  # noqa: ASYNC110 - another process posts
                await asyncio.sleep(0.02)
        await asyncio.to_thread(town.engine.kill, "activity worker")
        hold.set()
        async with asyncio.timeout(60):
            while not town.looked(ts):  # noqa: ASYNC110 - the next worker looks before it sends
                await asyncio.sleep(0.1)
        # What comes next in the thread is answered after this.
        await town.slack.say("C1", "U1", "and now?", ts)
        async with asyncio.timeout(60):
            while len(town.slack.by_app("C1", ts)) < 2:  # noqa: ASYNC110 - another process posts
                await asyncio.sleep(0.1)
        shown = [town.slack.words(one) for one in town.slack.by_app("C1", ts)]
        assert shown == [f"You said: {text}", "You said: and now?"]
    await town.accounted()


async def test_a_gateway_that_is_killed_has_taken_each_message_once(town: Town) -> None:
    town.slack.repeats = 5
    wanted: dict[str, str] = {}
    for number in range(6):
        text = f"gateway {number}"
        wanted[await town.slack.say("C1", "U1", text)] = text
        if number == 1:
            await town.slack.delivered()
        if number == 2:
            await asyncio.to_thread(town.engine.kill, "gateways")
            await asyncio.to_thread(town.engine.wait, lambda: town.engine.api("/api/v1/workflows") is not None)
    await town.slack.delivered()
    town.slack.repeats = 1
    # What was delivered while no gateway ran, Slack delivers again later; it tries three times in all.
    taken = Counter(body["event"]["ts"] for body, status in town.slack.deliveries if status == 200)
    await town.answered({ts: text for ts, text in wanted.items() if taken[ts]})
    assert sum(1 for ts in wanted if taken[ts]) >= 4
