import pytest

from runllm.operations import ApplyTag, Categorize, Tag
from store import tags
from tests.unit.activities.conftest import Case
from worker.activities.tagging import TaggingActivities

PRIORITIES = {"low": "It can wait", "high": "It cannot wait"}


@pytest.fixture
def tagging(case: Case) -> TaggingActivities:
    return TaggingActivities(case.context)


def categorize(apply_as_tag: bool = True) -> Categorize:
    return Categorize(categories=PRIORITIES, default="normal", apply_as_tag=apply_as_tag)


async def test_a_category_is_no_tag_unless_it_is_asked_for(case: Case, tagging: TaggingActivities) -> None:
    case.model.choose = "high"
    result = await tagging.categorize(case.call(categorize(apply_as_tag=False)))
    assert (result.category, result.tags) == ("high", [])
    result = await tagging.categorize(case.call(categorize()))
    assert result.tags == ["high"]


async def test_of_a_pinned_group_only_the_newest_stays(case: Case, tagging: TaggingActivities) -> None:
    await tagging.apply_tag(case.call(ApplyTag(tag="vip")))
    for chosen, expected in (("high", "high"), ("low", "low"), ("none of them", "normal")):
        case.model.choose = chosen
        result = await tagging.categorize(case.call(categorize()))
        assert set(result.tags) == {"vip", expected}


async def test_a_tag_of_a_pinned_group_takes_its_place_whoever_applies_it(
    case: Case, tagging: TaggingActivities
) -> None:
    case.model.choose = "high"
    await tagging.categorize(case.call(categorize()))
    assert (await tagging.apply_tag(case.call(ApplyTag(tag="low")))).tags == ["low"]
    case.model.fitting = ["high", "normal", "other"]
    options = dict.fromkeys(case.model.fitting, "")
    result = await tagging.tag(case.call(Tag(options=options)))
    assert result.applied == ["high", "other"]
    assert set(result.tags) == {"high", "other"}


async def test_a_tag_applied_before_the_group_was_pinned_gives_way_too(case: Case, tagging: TaggingActivities) -> None:
    await tagging.apply_tag(case.call(ApplyTag(tag="low")))
    case.model.choose = "high"
    assert (await tagging.categorize(case.call(categorize()))).tags == ["high"]


async def test_only_tags_that_are_not_there_yet_are_evaluated(case: Case, tagging: TaggingActivities) -> None:
    await tagging.apply_tag(case.call(ApplyTag(tag="bug")))
    case.model.fitting = ["bug", "urgent"]
    result = await tagging.tag(case.call(Tag(options={"bug": "", "urgent": "", "praise": ""})))
    assert result.applied == ["urgent"]
    assert set(result.tags) == {"bug", "urgent"}
    await tagging.tag(case.call(Tag(options={"bug": "", "urgent": ""})))
    assert case.model.paid == ["tag"], "with nothing left to evaluate nothing is paid"


async def test_a_retry_returns_what_the_first_attempt_decided(case: Case, tagging: TaggingActivities) -> None:
    case.model.choose = "high"
    categorized = case.call(categorize())
    first = await tagging.categorize(categorized)
    case.model.choose = "low"
    assert await tagging.categorize(categorized) == first
    applied = case.call(ApplyTag(tag="vip"))
    assert (await tagging.apply_tag(applied)).applied == ["vip"]
    async with case.store.begin() as db:
        await tags.remove(db, case.session_id, ["vip"])
    assert (await tagging.apply_tag(applied)).applied == ["vip"]
    async with case.store.read() as db:
        assert "vip" not in await tags.of(db, case.session_id), "what a person took off since stays off"
    assert case.model.paid == ["categorize"]
