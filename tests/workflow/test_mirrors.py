"""Surfaces in sync, as the session keeps them: order, a surface that is away, bots that answer each other."""

import asyncio

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from gateways.wire import Call, Relay, Relayed
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, surface_key
from runllm.bridge.triggers import AllMessages, Happening
from tests.temporal_server import dev_server
from tests.workflow.desk import Desk, Talk, open_desk, published
from tests.workflow.test_session import _settled
from worker.session.breaker import BOTS_IN_A_ROW, STOPPED

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(90)]


class Away:
    """One of the surfaces takes nothing while it is away; the others take everything. What was shown, in order."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_away = True
        self.shown: dict[str, list[int]] = {}
        self.keys: list[str] = []
        """Keys of the attempts at the surface that is away."""

    def relay(self, call: Call[Relay]) -> Relayed:
        became = Relayed()
        for to in map(surface_key, call.operation.to):
            if to == self.key:
                self.keys.append(call.key)
            if to == self.key and self.is_away:
                if call.operation.insists:
                    raise ApplicationError("it is away", type="Unavailable")
                became = became.model_copy(update={"later": {to: "it is away"}})
                continue
            texts = self.shown.setdefault(to, [])
            texts.append(call.operation.chat_id)
            became = became.model_copy(update={"shown": [*became.shown, to]})
        return became


async def mirror(desk: Desk) -> tuple[Talk, Away]:
    """A conversation on three surfaces, of which `b` is away."""
    talk = desk.session()
    away = Away(surface_key(place("b", talk)))
    desk.on_relay = away.relay
    await talk.say("begin")
    await desk.until(lambda: any(report.phase == "mirroring" for report in desk.reports))
    return talk, away


def place(name: str, talk: Talk) -> ChatWidget:
    return ChatWidget(config=ChatWidgetConfig(convo_identifier=f"{name}-{talk.session_id}"))


async def test_a_surface_that_is_away_gets_everything_in_order_and_keeps_nobody_waiting(client: Client) -> None:
    async with open_desk(client, published("front", "mirrors_three")) as desk:
        talk, away = await mirror(desk)
        there = surface_key(place("c", talk))
        for text in ("one", "two", "three"):
            await talk.say(text)
        await desk.until(lambda: len(away.shown.get(there, [])) == 3)
        assert away.key not in away.shown
        away.is_away = False
        await desk.until(lambda: len(away.shown.get(away.key, [])) == 3)
        assert away.shown[away.key] == away.shown[there] == [2, 3, 4]
        first = away.keys.count(away.keys[0])
        assert first >= 3, "the message that failed is tried again under its own key, so it cannot be doubled"
        sent = 4
        while desk.relays[-1].to != [place("b", talk), place("c", talk)]:  # it keeps up again
            await talk.say("more")
            sent += 1
            await desk.until(lambda count=sent - 1: len(away.shown[away.key]) == count)  # type: ignore[misc]
        assert away.shown[away.key] == away.shown[there] == list(range(2, sent + 1))
        outcomes = await _settled(talk, sent)
        assert [kind for kind, _ in outcomes.values()].count("mirrored") == sent - 1


async def test_what_is_refused_for_good_is_on_the_log_and_lets_the_next_message_pass(client: Client) -> None:
    async with open_desk(client, published("front", "mirrors")) as desk:
        talk = desk.session()
        refused: list[int] = []

        def relay(call: Call[Relay]) -> Relayed:
            (to,) = map(surface_key, call.operation.to)
            if not call.operation.insists:
                return Relayed(later={to: "it is away"})
            if not refused:
                refused.append(call.operation.chat_id)
                raise ApplicationError("the channel is archived", type="Rejected", non_retryable=True)
            return Relayed(shown=[to])

        desk.on_relay = relay
        await talk.say("begin")
        await desk.until(lambda: any(report.phase == "mirroring" for report in desk.reports))
        await talk.say("one")
        await desk.until(lambda: bool(desk.lines))
        await talk.say("two")
        outcomes = await _settled(talk, 3)
        assert sorted(kind for kind, _ in outcomes.values()) == ["handled", "ignored", "mirrored"]
        ((level, text),) = desk.lines
        assert level == "error"
        assert "message 2 was not mirrored to" in text
        assert "the channel is archived" in text


async def test_a_session_that_moves_on_takes_what_waits_along() -> None:
    settings = ("limit.historyCount.suggestContinueAsNew=60",)
    version = published("front", "mirrors_three")
    async with dev_server(*settings) as small, open_desk(small.client, version) as desk:
        talk, away = await mirror(desk)
        first_run = (await talk.handle.describe()).run_id
        await talk.say("one")
        await talk.say("two")
        await desk.until(lambda: len(away.shown.get(surface_key(place("c", talk)), [])) == 2)
        async with asyncio.timeout(40):
            while (await talk.handle.describe()).run_id == first_run:
                await talk.send(kind="feedback")
        away.is_away = False
        await desk.until(lambda: len(away.shown.get(away.key, [])) == 2)
        assert away.shown[away.key] == [2, 3]
        assert len(set(away.keys)) == 2, "each message keeps its key in the next run"


async def test_a_session_that_is_closed_says_what_was_not_shown(client: Client) -> None:
    async with open_desk(client, published("front", "mirrors_three")) as desk:
        talk, away = await mirror(desk)
        await talk.say("one")
        await desk.until(lambda: bool(away.keys))
        await talk.send(kind="control", action="close")
        await asyncio.wait_for(talk.handle.result(), 20)
        assert desk.lines == [("error", f"message 2 was not mirrored to {away.key}: the session closed")]


async def bots_talk(talk: Talk, count: int) -> None:
    for number in range(count):
        where = place("b" if number % 2 else "c", talk)
        happening = Happening(surface=where.type, is_from_bot=True)
        await talk.say(f"beep {number}", surface=where, happening=happening)


async def test_bots_that_answer_each_other_through_a_mirror_are_stopped_until_a_person_writes(client: Client) -> None:
    async with open_desk(client, published("front", "mirrors_three")) as desk:
        talk = desk.session()
        await talk.say("begin")
        await desk.until(lambda: any(report.phase == "mirroring" for report in desk.reports))
        await bots_talk(talk, BOTS_IN_A_ROW + 5)
        outcomes = await _settled(talk, 1 + BOTS_IN_A_ROW + 5)
        assert len(desk.relays) == BOTS_IN_A_ROW
        assert list(outcomes.values()).count(("ignored", STOPPED)) == 5
        await desk.until(lambda: bool(desk.lines))
        ((level, text),) = desk.lines
        assert level == "error"
        assert "they may be answering each other" in text
        await talk.say("Stop it, you two")
        await bots_talk(talk, 2)
        await desk.until(lambda: len(desk.relays) == BOTS_IN_A_ROW + 3)


async def test_a_bot_that_a_handler_answers_is_stopped_too(client: Client) -> None:
    async with open_desk(client, published("front", "answers_bots")) as desk:
        talk = desk.session()
        happening = Happening(surface=talk.surface.type, is_from_bot=True)
        listens_to = [AllMessages(from_bots=True)]
        for number in range(BOTS_IN_A_ROW + 2):
            await talk.say(f"yes {number}", happening=happening, listens_to=listens_to)
        outcomes = await _settled(talk, BOTS_IN_A_ROW + 2)
        assert [kind for kind, _ in outcomes.values()].count("handled") == BOTS_IN_A_ROW
        assert len(desk.posts) == BOTS_IN_A_ROW


async def test_bots_that_nobody_listens_to_raise_no_alarm(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        await talk.say("hello")
        happening = Happening(surface=talk.surface.type, is_from_bot=True)
        for number in range(BOTS_IN_A_ROW + 2):
            await talk.say(f"build {number} passed", happening=happening)
        outcomes = await _settled(talk, BOTS_IN_A_ROW + 3)
        assert list(outcomes.values()).count(("ignored", "a program wrote it")) == BOTS_IN_A_ROW + 2
        assert desk.lines == []
