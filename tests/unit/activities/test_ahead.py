"""What is looked up before a session asks: the same as it would have found, or nothing that counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from gateways.hub import News, Said, Writing
from runllm.bridge.surfaces import ChatWidget
from runllm.operations import Answer, MessageRef, StreamAnswer
from store import sessions
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import CountingModel
from worker.activities import ahead as module
from worker.activities.ahead import Ahead
from worker.activities.answers import AnswerActivities
from worker.activities.conversations import asked
from worker.activities.foresight import SURE_AFTER, Foresight
from worker.activities.spending import Accounts
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
    """People write, and a worker that looks ahead hears of it before it is on record."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.knowledge = Knowledge()
        self.model = CountingModel()
        self.ahead = Ahead(self.knowledge, Foresight(self.model, Accounts(case.store)), case.store)
        self.news: asyncio.Queue[News] = asyncio.Queue()

    async def happens(self) -> AsyncIterator[News]:
        while True:
            yield await self.news.get()

    async def writes(self, text: str) -> int:
        """Somebody writes, and it has been looked up, or left."""
        await self.hears(text)
        return (await self.case.said(text)).id

    async def hears(self, text: str, shown: int | None = None, surface: ChatWidget | None = None) -> None:
        await self.tells(text, shown, surface)
        await self.has_looked()

    async def tells(self, text: str, shown: int | None = None, surface: ChatWidget | None = None) -> None:
        """A gateway tells of a message that it is about to write down."""
        async with self.case.store.read() as db:
            session = await sessions.get(db, self.case.session_id)
        assert session is not None
        self._tell(text, session.id, session.last_seq if shown is None else shown, surface)

    async def hears_early(self, text: str, session_id: int = 0) -> None:
        """A gateway tells of a message as it comes."""
        self._tell(text, session_id, None)
        await self.has_looked()

    def _tell(self, text: str, session_id: int, shown: int | None, surface: ChatWidget | None = None) -> None:
        said = Said(
            event_id=f"event {text}",
            session_id=session_id,
            agent_id=1,
            workflow="support",
            text=text,
            surface=surface or self.case.widget,
            shown=shown,
        )
        self.news.put_nowait(said)

    async def has_looked(self) -> None:
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
    listening = asyncio.create_task(street.ahead.listen(street.happens()))
    yield street
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_was_looked_up_ahead_is_given_once(street: Street) -> None:
    chat_id = await street.writes("How do I log in?")
    assert [one.text for one in street.knowledge.asked] == ["How do I log in?"]
    assert await street.finds(chat_id) == 1
    assert len(street.knowledge.asked) == 1
    assert await street.finds(chat_id) == 2, "what is asked again is looked up again"


async def test_what_a_message_seems_to_ask_is_looked_up_as_it_comes(street: Street) -> None:
    await street.hears_early("How do I log in?")
    assert len(street.knowledge.asked) == 1
    first = await street.writes("How do I log in?")
    await street.case.said("Open the menu.", author="assistant")
    await street.ahead.read_on(street.case.session_id)
    await street.hears_early("And how out?", street.case.session_id)
    assert [turn.text for turn in street.knowledge.asked[1].history] == ["How do I log in?", "Open the menu."]
    second = await street.writes("And how out?")
    assert (await street.finds(first), await street.finds(second)) == (1, 2)
    assert len(street.knowledge.asked) == 2, "nothing was looked up again once its session was known"


async def test_while_somebody_writes_the_way_is_kept_warm_and_a_message_goes_first(street: Street) -> None:
    street.news.put_nowait(Writing(agent_id=7))
    await until(lambda: street.knowledge.asked)
    assert street.ahead._warmth._until > 0
    chat_id = await street.writes("How do I log in?")
    assert street.ahead._warmth._until == 0
    assert await street.finds(chat_id) == 2


async def test_nothing_is_kept_warm_for_an_agent_that_nobody_asks(street: Street) -> None:
    street.ahead._in_vain[7] = 3
    street.news.put_nowait(Writing(agent_id=7))
    await street.hears("How do I log in?")
    assert [one.text for one in street.knowledge.asked] == ["How do I log in?"]


async def test_what_a_message_seemed_to_ask_and_did_not_is_looked_up_again(street: Street) -> None:
    await street.case.said("How do I log in?")
    await street.case.said("Open the menu.", author="assistant")
    await street.hears_early("And how out?")
    second = await street.writes("And how out?")
    assert await street.finds(second) == 2


async def test_a_conversation_that_is_not_remembered_is_not_looked_up_as_its_message_comes(street: Street) -> None:
    await street.hears_early("And how out?", street.case.session_id)
    assert street.knowledge.asked == []


async def test_nobody_is_expected_to_ask_before_a_message_is_written_down(street: Street) -> None:
    await street.hears_early("How do I log in?")
    assert not street.ahead._foresight._expected
    await street.writes("How do I log in?")
    assert [one.said.shown for one in street.ahead._foresight._expected] == [0]


async def test_in_a_crowd_too_it_is_known_who_is_expected_to_ask(street: Street) -> None:
    street.knowledge.open.clear()
    for number in range(6):
        street._tell(f"Question {number}", 0, None)
    await until(lambda: street.news.empty() and len(street.knowledge.asked) == 4)
    for number in range(6):
        street._tell(f"Question {number}", street.case.session_id + number, 0)
    await until(lambda: street.news.empty() and len(street.ahead._under_way) == 8)
    street.knowledge.open.set()
    await asyncio.gather(*street.ahead._under_way)
    assert len(street.knowledge.asked) == 4
    assert len(street.ahead._foresight._expected) == 4


async def test_a_session_that_asks_meanwhile_waits_for_the_same_search(street: Street) -> None:
    street.knowledge.open.clear()
    await street.tells("How do I log in?")
    await until(lambda: street.knowledge.asked)
    chat_id = (await street.case.said("How do I log in?")).id
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
        await street.tells(f"Question {number}")
    await until(lambda: street.news.empty() and len(street.knowledge.asked) == 4)
    assert len(street.ahead._under_way) == 4
    street.knowledge.open.set()
    await asyncio.gather(*street.ahead._under_way)
    assert len(street.knowledge.asked) == 4


async def test_a_conversation_is_read_once_it_is_answered_and_not_when_its_next_message_comes(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await street.writes("How do I log in?")
    await street.case.said("Open the menu.", author="assistant")
    await street.ahead.read_on(street.case.session_id)
    with monkeypatch.context() as patched:
        patched.setattr(module, "before", None)  # nothing reads it now
        second = await street.writes("And how out?")
    assert await street.finds(second) == 2
    assert await street.finds(first) == 1


async def test_what_was_said_since_it_was_read_is_read_again(street: Street) -> None:
    await street.writes("How do I log in?")
    await street.ahead.read_on(street.case.session_id)
    await street.case.said("Open the menu.", author="assistant")
    assert await street.finds(await street.writes("And how out?")) == 2
    assert [turn.text for turn in street.knowledge.asked[1].history] == ["How do I log in?", "Open the menu."]


async def test_nothing_is_looked_up_where_the_record_has_moved_on(street: Street) -> None:
    await street.case.said("How do I log in?")
    await street.hears("And how out?", shown=7)
    assert street.knowledge.asked == []


async def test_a_conversation_that_nobody_told_of_is_not_read(street: Street) -> None:
    await street.ahead.read_on(street.case.session_id)
    assert not street.ahead._conversations


async def test_what_another_page_says_of_itself_is_looked_up_with_the_question(street: Street) -> None:
    await street.writes("How do I log in?")
    config = street.case.widget.config.model_copy(update={"context": {"url": "https://acme.example/settings"}})
    elsewhere = street.case.widget.model_copy(update={"config": config})
    await street.hears("And here?", surface=elsewhere)
    async with street.case.store.begin() as db:
        await sessions.refresh(db, street.case.session_id, elsewhere)
    assert await street.finds((await street.case.said("And here?")).id) == 2
    assert street.knowledge.asked[-1].page == {"url": "https://acme.example/settings"}


async def test_an_answer_rests_on_what_was_looked_up_ahead(street: Street) -> None:
    chat_id = await street.writes("How do I log in?")
    activities = AnswerActivities(replace(street.case.context, retriever=street.ahead))
    await activities.answer(street.case.call(Answer(question=MessageRef(chat_id=chat_id))))
    assert len(street.knowledge.asked) == 1
    await activities.answer(street.case.call(Answer(question=MessageRef(chat_id=chat_id, text="Something else"))))
    assert [one.text for one in street.knowledge.asked] == ["How do I log in?", "Something else"]


async def test_the_model_is_asked_ahead_once_it_is_sure_and_each_answer_is_paid_once(street: Street) -> None:
    street.ahead._foresight = Foresight(street.case.model, Accounts(street.case.store))
    activities = AnswerActivities(replace(street.case.context, retriever=street.ahead, ahead=street.ahead))
    paid = street.case.model.paid
    for number in range(SURE_AFTER + 2):
        await street.hears(f"Question {number}")
        is_sure = number >= SURE_AFTER
        await until(lambda number=number, is_sure=is_sure: len(paid) == number + is_sure)
        chat_id = (await street.case.said(f"Question {number}")).id
        operation = StreamAnswer(question=MessageRef(chat_id=chat_id), to=street.case.widget)
        said = await activities.stream_answer(street.case.call(operation))
        assert (said.text, len(paid)) == ("The answer.", number + 1)
        assert street.case.hub.text(f"1:{number + 1}") == "The answer."
        await asyncio.gather(*activities._later)
    assert await street.case.transcript() == [
        text for number in range(SURE_AFTER + 2) for text in (f"Question {number}", "The answer.")
    ]
