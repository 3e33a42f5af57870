"""What is looked up before a session asks: the same as it would have found, or nothing that counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from gateways.hub import Said
from runllm.operations import Answer, MessageRef
from tests.unit.activities.conftest import Case
from worker.activities import ahead as module
from worker.activities.ahead import Ahead
from worker.activities.answers import AnswerActivities
from worker.activities.conversations import asked
from worker.answering.protocol import Found, Question


class Knowledge:
    """Finds as many passages as it was asked before, so that no two answers are alike; as slowly as is wanted."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.open = asyncio.Event()
        self.open.set()
        self.problem: Exception | None = None

    async def find(self, agent_id: int, question: Question, limit: int = 8) -> Found:
        self.asked.append(question)
        number = len(self.asked)
        await self.open.wait()
        if self.problem is not None:
            raise self.problem
        return Found(searched=number)

    async def expect_more(self, question: Question) -> None:
        return


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a few turns of the loop, and nothing says when
            await asyncio.sleep(0)


class Street:
    """People write, and a worker that looks ahead hears of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.knowledge = Knowledge()
        self.ahead = Ahead(self.knowledge, case.store)
        self.news: asyncio.Queue[Said] = asyncio.Queue()

    async def said(self) -> AsyncIterator[Said]:
        while True:
            yield await self.news.get()

    async def writes(self, text: str) -> int:
        """Somebody writes, and it has been looked up, or left."""
        chat_id = (await self.case.said(text)).id
        await self.hears(chat_id)
        return chat_id

    async def hears(self, chat_id: int) -> None:
        self.news.put_nowait(Said(session_id=self.case.session_id, chat_id=chat_id))
        await until(self.news.empty)
        await asyncio.sleep(0)
        await asyncio.gather(*self.ahead._under_way, return_exceptions=True)

    async def question(self, chat_id: int) -> tuple[int, Question]:
        async with self.case.store.read() as db:
            return await asked(db, self.case.session_id, MessageRef(chat_id=chat_id))

    async def finds(self, chat_id: int) -> int:
        """Which of all searches a session is given that asks about this message."""
        return (await self.ahead.find(*await self.question(chat_id))).searched


@pytest.fixture
async def street(case: Case) -> AsyncIterator[Street]:
    street = Street(case)
    listening = asyncio.create_task(street.ahead.listen(street.said()))
    yield street
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_was_looked_up_ahead_is_given_once(street: Street) -> None:
    chat_id = await street.writes("How do I log in?")
    assert [one.text for one in street.knowledge.asked] == ["How do I log in?"]
    assert await street.finds(chat_id) == 1
    assert len(street.knowledge.asked) == 1
    assert await street.finds(chat_id) == 2, "what is asked again is looked up again"


async def test_a_session_that_asks_meanwhile_waits_for_the_same_search(street: Street) -> None:
    street.knowledge.open.clear()
    chat_id = (await street.case.said("How do I log in?")).id
    street.news.put_nowait(Said(session_id=street.case.session_id, chat_id=chat_id))
    await until(lambda: street.knowledge.asked)
    finding = asyncio.create_task(street.finds(chat_id))
    await until(lambda: not street.ahead._looks)
    street.knowledge.open.set()
    assert await finding == 1


async def test_a_question_in_another_light_is_looked_up_anew(street: Street) -> None:
    first = await street.writes("How do I log in?")
    other = (await street.question(first))[1].model_copy(update={"audience": "internal"})
    assert (await street.ahead.find(1, other)).searched == 2
    second = await street.writes("And how out?")
    await street.case.said("Never mind.", author="assistant")
    third = (await street.case.said("Then how?")).id
    assert await street.finds(third) == 4
    assert await street.finds(second) == 3, "the conversation up to it is as it was"
    agent_id, question = await street.question(first)
    assert (await street.ahead.find(agent_id + 1, question)).searched == 5
    assert (await street.ahead.find(agent_id, question, limit=3)).searched == 6


async def test_what_was_found_a_while_ago_does_not_count(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_id = await street.writes("How do I log in?")
    monkeypatch.setattr(module, "_GOOD_FOR", -1.0)
    assert await street.finds(chat_id) == 2


async def test_a_search_that_failed_is_made_again(street: Street) -> None:
    street.knowledge.problem = OSError("no such weights")
    chat_id = await street.writes("How do I log in?")
    street.knowledge.problem = None
    assert await street.finds(chat_id) == 2


async def test_where_nobody_asks_nothing_is_looked_up_until_somebody_does(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GOOD_FOR", -1.0)
    for number in range(6):
        await street.writes(f"To a colleague: {number}")
    assert len(street.knowledge.asked) == 3
    monkeypatch.undo()
    await street.finds((await street.case.said("To the engine")).id)
    chat_id = await street.writes("And this, too")
    before = len(street.knowledge.asked)
    assert await street.finds(chat_id) == before


async def test_of_a_crowd_only_the_first_are_looked_up(street: Street) -> None:
    street.knowledge.open.clear()
    for number in range(9):
        row = await street.case.said(f"Question {number}")
        street.news.put_nowait(Said(session_id=row.session_id, chat_id=row.id))
    await until(lambda: street.news.empty() and len(street.knowledge.asked) == 4)
    assert len(street.ahead._under_way) == 4
    street.knowledge.open.set()
    await asyncio.gather(*street.ahead._under_way)
    assert len(street.knowledge.asked) == 4


async def test_a_message_that_is_not_there_is_left_to_whoever_asks(street: Street) -> None:
    await street.hears(999)
    assert street.knowledge.asked == []
    assert await street.finds(await street.writes("How do I log in?")) == 1


async def test_an_answer_rests_on_what_was_looked_up_ahead(street: Street) -> None:
    chat_id = await street.writes("How do I log in?")
    activities = AnswerActivities(replace(street.case.context, retriever=street.ahead))
    await activities.answer(street.case.call(Answer(question=MessageRef(chat_id=chat_id))))
    assert len(street.knowledge.asked) == 1
    await activities.answer(street.case.call(Answer(question=MessageRef(chat_id=chat_id, text="Something else"))))
    assert [one.text for one in street.knowledge.asked] == ["How do I log in?", "Something else"]
