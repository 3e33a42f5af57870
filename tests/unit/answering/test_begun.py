"""An answer that is begun before anybody wants it: whoever takes it over notices nothing but that it is quick."""

import asyncio

import pytest

from runllm.bridge.messages import AnswerCategory
from runllm.errors import ModelError
from worker.answering.begun import Begun
from worker.answering.completion import Spent
from worker.answering.metering import metered, note
from worker.answering.protocol import Emit, Found, ModelAnswer, Question
from worker.answering.scripted import Script, ScriptedModel

SPENT = Spent(model="m", input_tokens=3)


class Talking(ScriptedModel):
    """Says one word, and the next only when it is let."""

    def __init__(self) -> None:
        super().__init__(Script())
        self.goes_on = asyncio.Event()
        self.has_ended = asyncio.Event()
        self.problem: Exception | None = None

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        try:
            await emit("First, ")
            await self.goes_on.wait()
            await emit("then ")
            if self.problem is not None:
                raise self.problem
            await emit("last.")
            return ModelAnswer(text="First, then last.", category=AnswerCategory.ANSWERED)
        finally:
            note(SPENT)
            self.has_ended.set()


@pytest.fixture
def model() -> Talking:
    return Talking()


class Watcher:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.began = asyncio.Event()

    async def emit(self, text: str) -> None:
        self.pieces.append(text)
        self.began.set()


def begun(model: Talking) -> Begun:
    return Begun(model, Question(text="How?"), Found())


async def test_what_was_said_is_shown_at_once_and_the_rest_as_it_is_said(model: Talking) -> None:
    one, watcher = begun(model), Watcher()
    await asyncio.sleep(0)
    taking = asyncio.create_task(one.taken_over(watcher.emit))
    await watcher.began.wait()
    assert watcher.pieces == ["First, "]
    model.goes_on.set()
    assert (await taking).text == "First, then last."
    assert watcher.pieces == ["First, ", "then ", "last."]


async def test_what_was_said_in_pieces_comes_as_one_and_none_is_lost_while_it_is_shown(model: Talking) -> None:
    one, pieces = begun(model), []
    model.goes_on.set()
    await asyncio.sleep(0)

    async def slow(text: str) -> None:
        pieces.append(text)
        await model.has_ended.wait()

    await one.taken_over(slow)
    assert "".join(pieces) == "First, then last."
    assert len(pieces) < 3


async def test_whoever_takes_it_over_pays(model: Talking) -> None:
    model.goes_on.set()
    with metered() as nobodys:
        one = begun(model)
        await model.has_ended.wait()
    with metered() as bill:
        await one.taken_over(Watcher().emit)
    assert (list(bill), list(nobodys)) == ([SPENT], [])


async def test_its_failure_is_that_of_whoever_takes_it_over(model: Talking) -> None:
    one, model.problem = begun(model), ModelError("cut off")
    model.goes_on.set()
    await model.has_ended.wait()
    with metered() as bill, pytest.raises(ModelError, match="cut off"):
        await one.taken_over(Watcher().emit)
    assert list(bill) == [SPENT]


async def test_whoever_takes_it_over_and_is_stopped_stops_it_and_has_paid(model: Talking) -> None:
    one, watcher = begun(model), Watcher()
    with metered() as bill:
        taking = asyncio.create_task(one.taken_over(watcher.emit))
        await watcher.began.wait()
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
    assert model.has_ended.is_set()
    assert list(bill) == [SPENT]


async def test_what_nobody_wants_ends_and_says_what_it_has_cost(model: Talking) -> None:
    one = begun(model)
    await asyncio.sleep(0)
    assert await one.given_up() == [SPENT]
    assert model.has_ended.is_set()
    assert not model.goes_on.is_set()


async def test_the_failure_of_what_nobody_wants_is_nobodys(model: Talking, recwarn: pytest.WarningsRecorder) -> None:
    one, model.problem = begun(model), ModelError("cut off")
    model.goes_on.set()
    await model.has_ended.wait()
    assert await one.given_up() == [SPENT]
