"""What models cost: accounted for once, also when they fail, and kept below the caps."""

from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from gateways.wire import EVALUATE, Call, Evaluate, Said
from runllm.bridge.messages import AnswerCategory
from runllm.errors import ModelError, UsageError
from runllm.operations import Answer, MessageRef
from store import notices, sessions, spending
from store.spending import Sum
from tests.unit.activities.conftest import Case
from worker.activities.spending import Accounting, Accounts
from worker.answering.completion import ModelBusy, ModelRefused, Spent
from worker.answering.extractive import ExtractiveModel
from worker.answering.ladder import Circumstances, Ladder, circumstances, under, will_be_tried_again
from worker.answering.metering import note
from worker.answering.model_settings import Caps, ModelSettings, Price
from worker.answering.models import open_model
from worker.answering.prices import microdollars
from worker.answering.protocol import Found, ModelAnswer, Question, nobody

SPENT = Spent(model="m", input_tokens=1000, output_tokens=100, cache_read_tokens=2000, cache_write_tokens=400)
PRICES = {"m": Price(input=3, output=15)}
COST = round(1000 * 3 + 100 * 15 + 2000 * 0.3 + 400 * 3.75)


class Work(ActivityInboundInterceptor):
    """An activity that asks a model once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: list[Circumstances] = []

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        note(SPENT)
        self.seen.append(circumstances())
        if self.error is not None:
            raise self.error
        return "done"


async def perform(
    accounts: Accounts, call: Call[Any] | Evaluate, work: Work, name: str = "answers.answer", attempt: int = 1
) -> Any:
    environment = ActivityEnvironment()
    environment.info = environment.default_info().__class__(
        **{**environment.default_info().__dict__, "activity_type": name, "attempt": attempt}
    )
    chain = Accounting(accounts).intercept_activity(work)
    given = ExecuteActivityInput(fn=lambda: None, args=[call], executor=None, headers={})
    return await environment.run(chain.execute_activity, given)


def answer(case: Case) -> Call[Answer]:
    return case.call(Answer(question=MessageRef(text="How much?")))


async def spent(case: Case) -> Sum:
    async with case.store.read() as db:
        return await spending.of_session(db, case.session_id)


async def test_what_an_activity_spends_is_accounted_for_also_when_it_fails(case: Case) -> None:
    accounts = Accounts(case.store, prices=PRICES)
    call = answer(case)
    with pytest.raises(ModelError):
        await perform(accounts, call, Work(ModelError("cut off")))
    await perform(accounts, call, Work(), attempt=2)
    await perform(accounts, call, Work(), attempt=2)  # the same attempt, reported again
    total = await spent(case)
    assert (total.requests, total.microdollars, total.unpriced) == (2, 2 * COST, 0)
    assert total.tokens == 2 * 3500
    async with case.store.read() as db:
        assert await spending.of_day(db, spending.today()) == total
        assert await spending.of_day(db, spending.today(), "support") == total
        assert await spending.of_day(db, spending.today(), "another") == Sum()
        assert await spending.of_day(db, "2001-01-01") == Sum()
        assert await spending.by_workflow(db, 1, "2001-01-01") == [(spending.today(), "support", total)]


EVALUATED = Evaluate(agent_id=1, what="answer", said=[Said(author="user", text="How much?")])


async def test_evaluations_are_accounted_for_by_day_and_belong_to_no_conversation(case: Case) -> None:
    accounts = Accounts(case.store, prices=PRICES)
    with pytest.raises(ModelError):
        await perform(accounts, EVALUATED, Work(ModelError("cut off")), EVALUATE)
    await perform(accounts, EVALUATED, Work(), EVALUATE, attempt=2)
    assert await spent(case) == Sum()
    async with case.store.read() as db:
        total = await spending.of_day(db, spending.today())
        assert (total.requests, total.microdollars) == (2, 2 * COST)
        assert await spending.by_workflow(db, 1, "2001-01-01") == [(spending.today(), spending.EVALUATIONS, total)]
        assert await spending.by_workflow(db, 2, "2001-01-01") == []


@pytest.mark.parametrize(
    ("caps", "setting"),
    [
        (Caps(day_usd=COST / 1e6), "RUNLLM_CAP_DAY_USD"),
        (Caps(workflow_day_tokens=3500), "RUNLLM_CAP_WORKFLOW_DAY_TOKENS"),
    ],
)
async def test_an_evaluation_stops_at_a_cap_and_says_at_which(case: Case, caps: Caps, setting: str) -> None:
    accounts, work = Accounts(case.store, caps, PRICES), Work()
    await perform(accounts, EVALUATED, work, EVALUATE)
    with pytest.raises(UsageError, match=setting):
        await perform(accounts, EVALUATED, work, EVALUATE, attempt=2)
    assert len(work.seen) == 1, "no other model is judged in its place"


async def test_what_an_evaluation_costs_counts_for_the_day_of_all(case: Case) -> None:
    accounts, work = Accounts(case.store, Caps(day_tokens=3500, workflow_day_tokens=3500), PRICES), Work()
    await perform(accounts, EVALUATED, work, EVALUATE)
    await perform(accounts, answer(case), work)
    assert "RUNLLM_CAP_DAY_TOKENS" in work.seen[1].over_cap, "its own workflow has spent nothing"


async def test_activities_that_ask_no_model_cost_nothing(case: Case) -> None:
    await perform(Accounts(case.store), answer(case), Work(), name="surfaces.post_message")
    assert await spent(case) == Sum()


async def test_a_model_without_a_price_is_counted_in_tokens_and_somebody_is_told(case: Case) -> None:
    await perform(Accounts(case.store), answer(case), Work())
    total = await spent(case)
    assert (total.requests, total.microdollars, total.unpriced) == (1, 0, 1)
    async with case.store.read() as db:
        (notice,) = await notices.standing(db)
    assert "RUNLLM_MODEL_PRICES" in notice.text


@pytest.mark.parametrize(
    ("caps", "setting"),
    [
        (Caps(session_usd=COST / 1e6), "RUNLLM_CAP_SESSION_USD"),
        (Caps(session_tokens=3500), "RUNLLM_CAP_SESSION_TOKENS"),
        (Caps(workflow_day_tokens=3500), "RUNLLM_CAP_WORKFLOW_DAY_TOKENS"),
        (Caps(day_usd=COST / 1e6), "RUNLLM_CAP_DAY_USD"),
    ],
)
async def test_a_cap_that_is_reached_is_told_and_the_models_know(case: Case, caps: Caps, setting: str) -> None:
    accounts, work = Accounts(case.store, caps, PRICES), Work()
    await perform(accounts, answer(case), work)
    await perform(accounts, answer(case), work)
    assert work.seen[0].over_cap == ""
    assert setting in work.seen[1].over_cap
    async with case.store.read() as db:
        (line,) = await sessions.log_of(db, case.session_id)
        standing = await notices.standing(db)
    assert (line.level, setting in line.text) == ("warning", True)
    assert [setting in one.text for one in standing] == ([] if "SESSION" in setting else [True])


async def test_below_the_caps_nobody_is_told(case: Case) -> None:
    work = Work()
    for _ in range(2):
        await perform(Accounts(case.store, Caps(session_tokens=7001, day_usd=1), PRICES), answer(case), work)
    assert [one.over_cap for one in work.seen] == ["", ""]
    async with case.store.read() as db:
        assert await sessions.log_of(db, case.session_id) == []


def test_prices_are_those_of_the_installation_first_and_a_name_stands_for_its_releases() -> None:
    tokens = Spent(model="claude-haiku-4-5-20251001", input_tokens=1_000_000)
    assert microdollars(tokens, {}) == 1_000_000
    assert microdollars(tokens, {"claude-haiku-4-5": Price(input=2, output=1)}) == 2_000_000
    assert microdollars(Spent(model="claude-haiku-4-55", input_tokens=5), {}) is None
    own = {"m": Price(input=1, output=1, cache_read=0.5, cache_write=2)}
    assert microdollars(Spent(model="m", cache_read_tokens=10, cache_write_tokens=10), own) == 25


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"RUNLLM_MODEL": "anthropic"}, "needs a key: set RUNLLM_MODEL_KEY, or ANTHROPIC_API_KEY"),
        ({"RUNLLM_MODEL": "anthropic", "RUNLLM_MODEL_KEY": "k", "RUNLLM_CAP_DAY_USD": "5"}, "nobody knows what"),
        ({"RUNLLM_CAP_DAY_USD": "much"}, "RUNLLM_CAP_DAY_USD is 'much'"),
        ({"RUNLLM_MODEL_SECONDS": "600"}, "not above 110"),
        ({"RUNLLM_MODEL_PRICES": '{"m": 3}'}, "RUNLLM_MODEL_PRICES is no table"),
        ({"RUNLLM_MODEL_AHEAD": "yes"}, "RUNLLM_MODEL_AHEAD is 'yes'"),
        ({"RUNLLM_REDACTION": "maybe"}, "RUNLLM_REDACTION is 'maybe'"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_model(ModelSettings.from_env(variables))
    assert problem in str(refused.value)


def test_settings_are_read() -> None:
    read = ModelSettings.from_env(
        {
            "RUNLLM_MODEL": "anthropic",
            "RUNLLM_MODEL_NAME": "claude-haiku-4-5",
            "RUNLLM_MODEL_FALLBACK": "claude-sonnet-4-5",
            "ANTHROPIC_API_KEY": "k",
            "RUNLLM_MODEL_URL": "http://127.0.0.1:1",
            "RUNLLM_MODEL_FIRST_TOKEN_SECONDS": "3",
            "RUNLLM_SITES": "https://a.example, https://b.example/help",
            "RUNLLM_CAP_SESSION_TOKENS": "1000",
            "RUNLLM_CAP_DAY_USD": "2.5",
            "RUNLLM_REDACTION": "off",
            "RUNLLM_MODEL_AHEAD": "off",
            "RUNLLM_HANDOVER_TEXT": "Someone will come.",
            "RUNLLM_MODEL_PRICES": '{"x": {"input": 1, "output": 2}}',
        }
    )
    assert (read.model_name, read.fallback, read.base_url) == (
        "claude-haiku-4-5",
        "claude-sonnet-4-5",
        "http://127.0.0.1:1",
    )
    assert read.limits.first_token == 3
    assert read.manner.sites == ("https://a.example", "https://b.example/help")
    assert not read.manner.redacts
    assert (read.asks_ahead, ModelSettings.from_env({}).asks_ahead) == (False, True)
    assert read.caps == Caps(session_tokens=1000, day_usd=2.5)
    assert read.handover == "Someone will come."
    assert "k" not in repr(read.api_key)
    assert open_model(read).name == "claude-haiku-4-5, then claude-sonnet-4-5"


@dataclass
class Says(ExtractiveModel):
    """A model that says its name, or fails."""

    name: str = "says"
    error: ModelError | None = None

    async def answer(self, question: Question, found: Found, emit: Any) -> ModelAnswer:
        if self.error is not None:
            raise self.error
        return ModelAnswer(text=self.name, category=AnswerCategory.ANSWERED)


async def asked(ladder: Ladder, **now: Any) -> str:
    with under(Circumstances(**now)):
        return (await ladder.answer(Question(text="?"), Found(), nobody)).text


async def test_the_fallback_is_asked_after_the_firsts_attempts_or_at_once_where_the_first_refuses() -> None:
    free = Says(name="free")
    ladder = Ladder(Says(name="first"), Says(name="second"), free)
    assert [await asked(ladder, attempt=n) for n in range(1, 6)] == ["first"] * 3 + ["second"] * 2
    assert await asked(ladder, over_cap="all of it") == "free"
    refused = Ladder(Says(error=ModelRefused("no key")), Says(name="second"), free)
    assert await asked(refused) == "second"
    busy = Ladder(Says(error=ModelBusy("later")), Says(name="second"), free)
    with pytest.raises(ModelBusy):
        await asked(busy)
    both = Ladder(Says(error=ModelRefused("no key")), Says(error=ModelRefused("no model")), free)
    with pytest.raises(ModelRefused, match="no key"):
        await asked(both)
    alone = Ladder(Says(name="first"), None, free)
    assert await asked(alone, attempt=5) == "first"


def test_whether_there_is_another_attempt() -> None:
    assert will_be_tried_again(ModelError("x"))
    assert not will_be_tried_again(ModelRefused("x"))
    with under(Circumstances(attempt=5, is_last=True)):
        assert not will_be_tried_again(ModelBusy("x"))
    with under(Circumstances(seconds_left=30)):
        assert will_be_tried_again(ModelBusy("x", 10))
        assert not will_be_tried_again(ModelBusy("x", 60))
