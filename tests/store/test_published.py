import pytest
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.listeners import AdminConsoleListener, WidgetListener
from runllm.errors import PublishError
from store import agents, published
from store.models import Version
from store.published import IllegalMoveError, Status
from tests.store.samples import bundle

pytestmark = pytest.mark.store


async def _upload(db: AsyncSession, build_id: str, name: str = "support") -> Version:
    agent = await agents.ensure_agent(db)
    places = [AdminConsoleListener(agent_id=1)] if name == "support" else [WidgetListener(domain=f"{name}.example.com")]
    version, _ = await published.upload(db, agent.id, bundle(name, build_id, [*places]), build_id, "laptop")
    return version


async def _make_current(db: AsyncSession, build_id: str, name: str = "support") -> Version:
    version = await _upload(db, build_id, name)
    for status in ("validated", "replayed", "loaded"):
        await published.set_status(db, version.id, status)
    return await published.make_current(db, version.id)


async def _statuses(db: AsyncSession) -> dict[str, str]:
    return {version.build_id: version.status for version in await published.versions_of(db, "support")}


async def test_a_bundle_becomes_the_wanted_version(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    version, unchanged = await published.upload(db, agent.id, bundle(), "v1", "laptop")
    assert not unchanged
    assert (version.published_name, version.status, version.wanted) == ("support", "uploaded", True)
    assert await published.bundle_of(db, version.id) == bundle()
    workflow = await published.by_name(db, "support")
    assert workflow is not None
    assert (workflow.agent_id, workflow.current_build, workflow.listeners) == (agent.id, None, [])
    assert [row.name for row in await published.workflows(db, agent.id)] == ["support"]


async def test_the_same_bundle_again_changes_nothing(db: AsyncSession) -> None:
    agent = await agents.ensure_agent(db)
    first = await _upload(db, "v1")
    again, unchanged = await published.upload(db, agent.id, bundle(source="v1"), "v1", "desktop")
    assert unchanged
    assert (again.id, again.published_by) == (first.id, "laptop")


async def test_the_sources_are_read_only_where_they_are_asked_for(db: AsyncSession) -> None:
    version = await _upload(db, "v1")
    with pytest.raises(InvalidRequestError, match="bundle"):
        _ = version.bundle


async def test_a_name_belongs_to_one_agent(db: AsyncSession) -> None:
    await _upload(db, "v1")
    other = await agents.ensure_agent(db, "other")
    with pytest.raises(PublishError, match="'support' belongs to another agent"):
        await published.upload(db, other.id, bundle(), "v2")


async def test_a_version_becomes_current_and_the_one_before_it_drains(db: AsyncSession) -> None:
    await _make_current(db, "v1")
    await _make_current(db, "v2")
    assert await _statuses(db) == {"v2": "current", "v1": "draining"}
    workflow = await published.by_name(db, "support")
    assert workflow is not None
    assert workflow.current_build == "v2"


async def test_making_the_current_version_current_changes_nothing(db: AsyncSession) -> None:
    version = await _make_current(db, "v1")
    again = await published.make_current(db, version.id)
    assert again.current_at == version.current_at
    assert await _statuses(db) == {"v1": "current"}


async def test_new_conversations_go_to_workflows_that_have_a_current_version(db: AsyncSession) -> None:
    await _upload(db, "v1", "coming")
    version = await _make_current(db, "v1", "serving")
    agent = await agents.ensure_agent(db)
    listener = WidgetListener(domain="serving.example.com")
    assert await published.routes(db) == [("serving", agent.id, [listener])]
    console = AdminConsoleListener(agent_id=7)
    await published.set_manifest(db, version.id, {"listeners": [console.model_dump(mode="json")]})
    await published.make_current(db, version.id)
    assert await published.routes(db) == [("serving", agent.id, [console])]


async def test_a_manifest_is_kept_with_its_version(db: AsyncSession) -> None:
    version = await _upload(db, "v1")
    changed = await published.set_manifest(db, version.id, {"warnings": ["slow"]})
    assert (changed.manifest, changed.listeners) == ({"warnings": ["slow"]}, version.listeners)


ALLOWED: list[tuple[Status, Status]] = [
    ("uploaded", "validated"),
    ("uploaded", "loaded"),
    ("validated", "replayed"),
    ("replayed", "loaded"),
    ("loaded", "current"),
    ("current", "draining"),
    ("draining", "retired"),
    ("uploaded", "failed"),
    ("loaded", "failed"),
    ("loaded", "retired"),
    ("failed", "uploaded"),
    ("retired", "uploaded"),
    ("draining", "loaded"),
    ("current", "current"),
]


@pytest.mark.parametrize(("before", "after"), ALLOWED)
async def test_legal_moves(db: AsyncSession, before: Status, after: Status) -> None:
    version = await _upload(db, "v1")
    version.status = before
    assert (await published.set_status(db, version.id, after, note="so")).status == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("uploaded", "current"),
        ("validated", "uploaded"),
        ("loaded", "validated"),
        ("current", "failed"),
        ("current", "retired"),
        ("draining", "current"),
        ("retired", "current"),
        ("retired", "validated"),
        ("failed", "loaded"),
        ("failed", "retired"),
    ],
)
async def test_other_moves_are_refused_and_change_nothing(db: AsyncSession, before: Status, after: Status) -> None:
    version = await _upload(db, "v1")
    version.status = before
    with pytest.raises(IllegalMoveError, match=f"v1 of 'support' is {before} and cannot become {after}"):
        await published.set_status(db, version.id, after, error="never")
    assert (await published.get_version(db, version.id)) is version
    assert (version.status, version.error) == (before, None)


async def test_a_newer_version_retires_one_that_is_not_ready(db: AsyncSession) -> None:
    await _make_current(db, "v1")
    second = await _upload(db, "v2")
    await published.set_status(db, second.id, "validated")
    third = await _upload(db, "v3")
    assert await _statuses(db) == {"v3": "uploaded", "v2": "retired", "v1": "current"}
    wanted = await published.newest_wanted(db, "support")
    assert wanted is not None
    assert wanted.id == third.id
    superseded = await published.find_version(db, "support", "v2")
    assert superseded is not None
    assert superseded.note == "superseded by v3 before it was current"
    with pytest.raises(IllegalMoveError):
        await published.set_status(db, second.id, "replayed")


async def test_a_failed_version_that_is_published_again_starts_over(db: AsyncSession) -> None:
    version = await _upload(db, "v1")
    await published.set_step(db, version.id, "validated", "failed", "no module named x")
    await published.set_status(db, version.id, "failed", error="no module named x")
    again = await _upload(db, "v1")
    assert (again.id, again.status, again.error, again.wanted) == (version.id, "uploaded", None, True)
    assert await published.steps_of(db, version.id) == []


async def test_a_rollback_goes_to_the_version_that_was_current_before(db: AsyncSession) -> None:
    assert await published.previous(db, "support") is None
    first = await _make_current(db, "v1")
    assert await published.previous(db, "support") is None
    second = await _make_current(db, "v2")
    failed = await _upload(db, "v3")
    await published.set_status(db, failed.id, "failed")
    before = await published.previous(db, "support")
    assert before is not None
    assert before.id == first.id
    back = await published.want(db, first.id)
    assert (back.status, back.wanted) == ("loaded", True)  # it was draining: its host still runs
    await published.make_current(db, first.id)
    assert await _statuses(db) == {"v3": "failed", "v2": "draining", "v1": "current"}
    before = await published.previous(db, "support")
    assert before is not None
    assert before.id == second.id


async def test_a_rollback_to_a_retired_version_takes_all_steps_again(db: AsyncSession) -> None:
    first = await _make_current(db, "v1")
    await _make_current(db, "v2")
    await published.set_status(db, first.id, "retired")
    assert (await published.want(db, first.id)).status == "uploaded"
    assert (await _statuses(db))["v2"] == "current"


async def test_a_session_may_be_sent_to_the_current_version_and_to_the_next_one(db: AsyncSession) -> None:
    assert await published.successors(db, "support") == []
    await _make_current(db, "v1")
    coming = await _upload(db, "v2")
    assert [version.build_id for version in await published.successors(db, "support")] == ["v1"]
    await published.set_status(db, coming.id, "loaded")
    assert [version.build_id for version in await published.successors(db, "support")] == ["v1", "v2"]
    await published.make_current(db, coming.id)
    assert [version.build_id for version in await published.successors(db, "support")] == ["v2"]


async def test_versions_that_need_a_host_or_a_push_are_live(db: AsyncSession) -> None:
    await _make_current(db, "v1")
    await _make_current(db, "v2")
    failed = await _upload(db, "v3")
    await published.set_status(db, failed.id, "failed")
    await _upload(db, "v4")
    assert [version.build_id for version in await published.live(db)] == ["v1", "v2", "v4"]


async def test_steps_come_in_the_order_of_a_publish(db: AsyncSession) -> None:
    version = await _upload(db, "v1")
    await published.set_step(db, version.id, "validated", "running")
    await published.set_step(db, version.id, "uploaded", "done")
    await published.set_step(db, version.id, "validated", "done", "3 handlers")
    steps = [(row.step, row.state, row.detail) for row in await published.steps_of(db, version.id)]
    assert steps == [("uploaded", "done", ""), ("validated", "done", "3 handlers")]


async def test_a_listener_that_another_workflow_has_is_found(db: AsyncSession) -> None:
    mine = [WidgetListener(domain="b.example.com"), WidgetListener(domain="*.example.com")]
    assert await published.overlap(db, "mine", mine) is None
    await _make_current(db, "v1", "other")
    assert await published.overlap(db, "mine", mine) == ("other", mine[1])
    assert await published.overlap(db, "other", mine) is None


async def test_a_version_on_its_way_claims_its_listeners_until_it_fails(db: AsyncSession) -> None:
    mine = [WidgetListener(domain="other.example.com")]
    version = await _upload(db, "v1", "other")
    assert await published.overlap(db, "mine", mine) == ("other", mine[0])
    await published.set_status(db, version.id, "failed")
    assert await published.overlap(db, "mine", mine) is None


async def test_a_version_that_is_not_there_is_named(db: AsyncSession) -> None:
    for action in (published.want(db, 99), published.bundle_of(db, 99), published.set_status(db, 99, "failed")):
        with pytest.raises(LookupError, match="no version 99"):
            await action
