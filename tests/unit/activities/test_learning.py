import pytest

from runllm.operations import Learn
from store import facts
from tests.unit.activities.conftest import Case
from worker.activities.learning import LearningActivities
from worker.answering.protocol import Statement


@pytest.fixture
def learning(case: Case) -> LearningActivities:
    return LearningActivities(case.context)


async def test_facts_are_proposed_once_with_who_stated_them(case: Case, learning: LearningActivities) -> None:
    await case.said("Which port?", name="Ann")
    await case.said("It listens\non port 4600. Always has.", by="staff", name="Bob")
    case.model.facts = [
        Statement(text="It listens on port 4600.", turn=1),
        Statement(text="It was rephrased.", turn=1),
        Statement(text="The asker said so.", turn=0),
        Statement(text="Nobody said so.", turn=7),
    ]
    call = case.call(Learn())
    summary = await learning.learn(call)
    assert summary == await learning.learn(call)
    assert "2 facts" in summary
    assert "- It listens on port 4600." in summary
    async with case.store.read() as db:
        rows = await facts.of_session(db, case.session_id)
    assert [(row.text, row.stated_by, row.state) for row in rows] == [
        ("It listens on port 4600.", "Bob", "proposed"),
        ("It was rephrased.", "Bob", "proposed"),
    ]
    assert case.model.paid == ["learn"]


async def test_nothing_to_learn_is_said_so(case: Case, learning: LearningActivities) -> None:
    assert (await learning.learn(case.call(Learn()))).startswith("Nothing to learn")
