"""Who asks the model before a session does: only where sessions are sure to ask, and never twice."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select

from gateways.hub import Said
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig
from runllm.errors import ModelError
from store.models import SpendingRow
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import CountingModel
from worker.activities import foresight as module
from worker.activities.foresight import AT_ONCE, PURPOSE, REMEMBERED, SURE_AFTER, Foresight
from worker.activities.spending import Accounts
from worker.answering.completion import Spent
from worker.answering.ladder import Circumstances, under
from worker.answering.metering import metered, note
from worker.answering.model_settings import Caps
from worker.answering.protocol import Emit, Found, ModelAnswer, Question, Turn, nobody

SPENT = Spent(model="m", input_tokens=1000)
FOUND = Found(searched=7)


class Model(CountingModel):
    """Each request costs something; it is answered once `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        try:
            said = await super().answer(question, found, emit)
            await self.open.wait()
            return said
        finally:
            note(SPENT)

    @property
    def asked(self) -> list[str]:
        return [one.text for one in self.questions]


class Town:
    """Sessions of one workflow, and who asks ahead for them."""

    def __init__(self, case: Case, caps: Caps = Caps(), **more: bool) -> None:  # noqa: B008
        self.case = case
        self.model = Model()
        self.accounts = Accounts(case.store, caps)
        self.foresight = Foresight(self.model, self.accounts, **more)
        self.number = 0

    async def says(self, text: str = "", workflow: str = "support", history: list[Turn] | None = None) -> Question:
        """Somebody writes something, and it has been looked up; whoever is asked ahead has begun."""
        self.number += 1
        question = Question(text=text or f"Question {self.number}", history=history or [])
        surface = ChatWidget(config=ChatWidgetConfig(convo_identifier="c"))
        said = Said(
            event_id=f"e{self.number}",
            session_id=self.case.session_id,
            agent_id=1,
            workflow=workflow,
            text=question.text,
            surface=surface,
            shown=0,
        )
        await self.foresight.expect(said, question, FOUND)
        await asyncio.sleep(0)
        return question

    async def asks(self, question: Question, found: Found = FOUND) -> str:
        """A session asks."""
        return (await self.foresight.answer(question, found, nobody)).text

    async def learns(self, times: int = SURE_AFTER, workflow: str = "support") -> None:
        """So many messages come to what was expected."""
        for _ in range(times):
            await self.asks(await self.says(workflow=workflow))
        self.model.questions.clear()

    async def bills(self) -> list[tuple[str, str]]:
        async with self.case.store.read() as db:
            rows = await db.scalars(ROWS)
            return [(row.key, row.purpose) for row in rows]


ROWS = select(SpendingRow).order_by(SpendingRow.id)


@pytest.fixture
def town(case: Case) -> Town:
    return Town(case)


@pytest.fixture
def ages(town: Town) -> Callable[[float], None]:
    def age(seconds: float) -> None:
        for one in town.foresight._expected:
            one.since -= seconds

    return age


async def test_nobody_is_asked_ahead_until_that_was_right_a_few_times(town: Town) -> None:
    for number in range(SURE_AFTER):
        question = await town.says()
        assert len(town.model.asked) == number
        await town.asks(question)
    question = await town.says()
    assert town.model.asked[-1] == question.text
    assert await town.asks(question) == "The answer."
    assert len(town.model.asked) == SURE_AFTER + 1, "nothing is asked twice"
    assert await town.bills() == []


async def test_a_session_that_asks_meanwhile_is_given_the_same_answer(town: Town) -> None:
    await town.learns()
    town.model.open.clear()
    question = await town.says()
    asking = asyncio.create_task(town.asks(question))
    await asyncio.sleep(0)
    town.model.open.set()
    assert await asking == "The answer."
    assert town.model.asked == [question.text]


@pytest.mark.parametrize("what", ["question", "passages"])
async def test_another_question_or_other_passages_are_another_request(town: Town, what: str) -> None:
    await town.learns()
    question = await town.says("How?")
    if what == "question":
        await town.asks(Question(text="Why?"))
    else:
        await town.asks(question, Found(searched=8))
    assert len(town.model.asked) == 2
    await town.asks(question)
    assert len(town.model.asked) == 2, "the answer to the first is still there"


async def test_what_nobody_wants_is_paid_for_by_its_session_and_ends_it_for_the_next(
    town: Town, ages: Callable[[float], None]
) -> None:
    await town.learns()
    await town.says("To a colleague")
    ages(module.ASKED_SOON + 1)
    question = await town.says()
    assert town.model.asked == ["To a colleague"]
    await town.asks(question)
    ages(module.KEPT + 1)
    await town.learns(REMEMBERED - 2)
    await town.asks(await town.says("The last of them"))
    assert town.model.asked == ["The last of them"]
    assert await town.bills() == [(f"ahead:e{SURE_AFTER + 1}:0", PURPOSE)]
    question = await town.says("Now it is forgotten")
    assert town.model.asked[-1] == question.text


async def test_who_is_late_is_given_what_was_paid_for(town: Town, ages: Callable[[float], None]) -> None:
    await town.learns()
    question = await town.says()
    ages(module.ASKED_SOON + 1)
    await town.says("Another")
    await town.asks(question)
    assert town.model.asked == [question.text]
    assert await town.bills() == []


async def test_each_workflow_is_known_by_itself(town: Town) -> None:
    await town.learns()
    await town.says(workflow="another")
    assert town.model.asked == []


async def test_what_is_said_before_an_answer_has_come_is_not_asked_ahead(town: Town) -> None:
    await town.learns()
    await town.says("And this?", history=[Turn(author="user", text="How?")])
    assert town.model.asked == []
    await town.says("And this?", history=[Turn(author="user", text="How?"), Turn(author="assistant", text="So.")])
    assert town.model.asked == ["And this?"]


async def test_a_conversation_that_has_to_be_summarised_is_not_asked_ahead(town: Town) -> None:
    await town.learns()
    town.model.longest = 10
    await town.says(history=[Turn(author="user", text="How?"), Turn(author="assistant", text="So, and so.")])
    assert town.model.asked == []


async def test_only_so_many_wait_at_once(town: Town) -> None:
    await town.learns()
    for _ in range(AT_ONCE + 3):
        await town.says()
    assert len(town.model.asked) == AT_ONCE


async def test_it_can_be_switched_off(case: Case) -> None:
    town = Town(case, asks=False)
    await town.learns()
    await town.says()
    assert town.model.asked == []


async def test_where_a_cap_is_reached_nobody_is_asked_ahead(case: Case) -> None:
    town = Town(case, Caps(session_tokens=500))
    await town.learns()
    await town.accounts.add(case.session_id, "1:1", "answers.answer", [SPENT])
    question = await town.says()
    assert town.model.asked == []
    with under(Circumstances(over_cap="this session")):
        await town.asks(question)
    assert town.model.asked == [question.text]


@pytest.mark.parametrize("now", [Circumstances(attempt=2), Circumstances(over_cap="this session")])
async def test_an_attempt_in_other_circumstances_asks_by_itself(town: Town, now: Circumstances) -> None:
    await town.learns()
    question = await town.says()
    with under(now):
        await town.asks(question)
    assert town.model.asked == [question.text, question.text]
    assert await town.bills() == [(f"ahead:e{SURE_AFTER + 1}:0", PURPOSE)]


async def test_a_session_that_asks_before_the_model_was_asked_is_not_paid_for_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.learns()
    looking, may_go_on = asyncio.Event(), asyncio.Event()

    async def over_cap(session_id: int) -> str:
        looking.set()
        await may_go_on.wait()
        return ""

    monkeypatch.setattr(town.accounts, "over_cap", over_cap)
    expecting = asyncio.create_task(town.says("How?"))
    await looking.wait()
    await town.asks(Question(text="How?", history=[]))
    may_go_on.set()
    await expecting
    assert town.model.asked == ["How?"]


async def test_the_session_that_takes_it_over_is_billed_and_hears_of_its_failure(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.learns()

    async def fails(*_: object) -> ModelAnswer:
        note(SPENT)
        raise ModelError("overloaded")

    monkeypatch.setattr(town.model, "answer", fails)
    question = await town.says()
    with metered() as bill, pytest.raises(ModelError, match="overloaded"):
        await town.asks(question)
    assert list(bill) == [SPENT]
    assert await town.bills() == []


async def test_what_is_left_when_the_process_stops_is_put_on_the_bill(town: Town) -> None:
    await town.learns()
    town.model.open.clear()
    await town.says()
    await town.foresight.close()
    assert await town.bills() == [(f"ahead:e{SURE_AFTER + 1}:0", PURPOSE)]
