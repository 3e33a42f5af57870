import pytest

from gateways.wire import AskUpgrade, HandlerManifest, LogLine, Manifest, Outcome, Report
from runllm.bridge.listeners import WidgetListener
from runllm.bridge.surfaces import surface_key
from runllm.bundle import Bundle, BundleEntry
from runllm.errors import NotConnected, Unavailable
from runllm.operations import ButtonWait, MessageRef, PostMessage
from store import buttons, inbox, published, sessions
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import once
from worker.activities.session import NO_LONGER_ASKED, TIME_IS_UP, SessionActivities
from worker.activities.surfaces import SurfaceActivities

BLOCKS = [{"type": "buttons", "buttons": [{"id": "ok", "text": "OK"}]}]


@pytest.fixture
def session(case: Case) -> SessionActivities:
    return SessionActivities(case.context)


async def ask(case: Case, wait_id: int) -> None:
    """Posts a message with a button in Slack, which is bound to nothing."""
    operation = PostMessage(
        to=case.slack, message=MessageRef(text="Fine?"), blocks=BLOCKS, wait=ButtonWait(wait_id=wait_id)
    )
    await SurfaceActivities(case.context).post_message(case.call(operation))


async def test_a_report_is_written_down_once(case: Case, session: SessionActivities) -> None:
    async with case.store.begin() as db:
        row = await inbox.add(
            db,
            dedupe_key="d1",
            kind="message",
            session_id=case.session_id,
            chat_id=None,
            surface_key="widget:c1",
            envelope={},
        )
        assert row is not None
    lines = [LogLine(level="print", text="one", handler="entry"), LogLine(level="error", text="two")]
    report = Report(lines=lines, phase="handling", current_handler="entry", build_id="b1", bound=[case.slack])
    outcome = Outcome(inbox_id=row.id, outcome="ignored", reason="no trigger fits")
    call = case.call(report, outcomes=[outcome])
    await session.report(call)
    await session.report(call)
    async with case.store.read() as db:
        log = await sessions.log_of(db, case.session_id)
        now = await sessions.get(db, case.session_id)
        bound = await sessions.bound_session(db, surface_key(case.slack))
        assert await inbox.count_unaccounted(db) == 0
    assert [(line.level, line.handler, line.text) for line in log] == [("print", "entry", "one"), ("error", "", "two")]
    assert now is not None
    assert (now.phase, now.handler, now.build_id, now.closed_at) == ("handling", "entry", "b1", None)
    assert bound is not None


async def test_a_surface_of_another_session_stays_there(case: Case, session: SessionActivities) -> None:
    async with case.store.begin() as db:
        other = await sessions.create(db, agent_id=1, published_name="support", surface=case.slack)
    await session.report(case.call(Report(bound=[case.slack])))
    async with case.store.read() as db:
        (line,) = await sessions.log_of(db, case.session_id)
        bound = await sessions.bound_session(db, surface_key(case.slack))
    assert bound is not None
    assert bound.id == other.id
    assert f"belongs to session {other.id}" in line.text


async def test_a_closed_session_says_when_it_closed(case: Case, session: SessionActivities) -> None:
    await session.report(case.call(Report(phase="closed")))
    async with case.store.read() as db:
        now = await sessions.get(db, case.session_id)
    assert now is not None
    assert now.closed_at is not None


@pytest.mark.parametrize(
    ("report", "state", "note"),
    [
        (Report(stop_waits=[1]), "expired", TIME_IS_UP),
        (Report(stop_waits=[1], phase="closed"), "cancelled", NO_LONGER_ASKED),
    ],
)
async def test_buttons_that_are_over_say_so(
    case: Case, session: SessionActivities, report: Report, state: str, note: str
) -> None:
    await ask(case, 1)
    await session.report(case.call(report))
    async with case.store.read() as db:
        wait = await buttons.get(db, case.session_id, 1)
    assert wait is not None
    assert wait.state == state
    ((where, remote_id, shown),) = case.platform.settled
    assert (where, shown) == (surface_key(case.slack), note)
    assert remote_id in {f"remote-{key}" for key in case.platform.shown}


async def test_a_click_that_won_is_not_taken_back(case: Case, session: SessionActivities) -> None:
    await ask(case, 1)
    async with case.store.begin() as db:
        assert await buttons.click(db, case.session_id, 1, "ok", "U1", "Ann") == "won"
    await session.report(case.call(Report(stop_waits=[1])))
    async with case.store.read() as db:
        wait = await buttons.get(db, case.session_id, 1)
    assert wait is not None
    assert (wait.state, wait.clicked_by, wait.clicked_by_name) == ("clicked", "U1", "Ann")


@pytest.mark.parametrize(
    ("name", "written_as", "note"),
    [
        ("ann", "Ann Lee", "Chosen: OK, by Ann Lee"),
        ("ann", None, "Chosen: OK, by ann"),
        (None, None, "Chosen: OK"),
    ],
)
async def test_a_click_that_won_is_shown_also_where_the_gateway_could_not_show_it(
    case: Case, session: SessionActivities, name: str | None, written_as: str | None, note: str
) -> None:
    await ask(case, 1)
    if written_as is not None:
        await case.said("Hello", by="U1", name=written_as)
    async with case.store.begin() as db:
        await buttons.click(db, case.session_id, 1, "ok", "U1", name)
    await session.report(case.call(Report(stop_waits=[1], phase="closed")))
    ((where, _, shown),) = case.platform.settled
    assert (where, shown) == (surface_key(case.slack), note)


async def test_a_retry_settles_what_could_not_be_settled(case: Case, session: SessionActivities) -> None:
    await ask(case, 1)
    case.platform.before = once(Unavailable("no answer"))
    call = case.call(Report(stop_waits=[1]))
    with pytest.raises(Unavailable):
        await session.report(call)
    await session.report(call)
    assert len(case.platform.settled) == 1


async def test_a_platform_that_is_gone_does_not_hold_a_report_up(case: Case, session: SessionActivities) -> None:
    await ask(case, 1)
    case.platform.before = once(NotConnected("was removed"))
    await session.report(case.call(Report(stop_waits=[1, 99], phase="closed")))
    assert case.platform.settled == []


async def test_a_session_may_move_where_its_handlers_are(case: Case, session: SessionActivities) -> None:
    def ask_for(*handlers: str) -> AskUpgrade:
        return AskUpgrade(published_name="support", handlers=list(handlers))

    nothing = await session.may_upgrade(case.call(ask_for("entry")))
    assert (nothing.yes, nothing.reason) == (False, "support has no current version")

    listener = WidgetListener(domain="example.com")
    entry = BundleEntry(name="entry", module="flow", function="entry")
    bundle = Bundle(name="support", files={"flow.py": ""}, entrypoint=entry, listeners=[listener])
    handler = HandlerManifest(name="entry", module="flow", function="entry", is_entrypoint=True)
    async with case.store.begin() as db:
        version, _ = await published.upload(db, 1, bundle, "b1")
        manifest = Manifest(entrypoint=handler, listeners=[listener])
        await published.set_manifest(db, version.id, manifest.model_dump(mode="json"))
        for status in ("validated", "replayed", "loaded"):
            await published.set_status(db, version.id, status)
        await published.make_current(db, version.id)
    fits = await session.may_upgrade(case.call(ask_for("entry")))
    assert (fits.yes, fits.build_id) == (True, "b1")
    lacks = await session.may_upgrade(case.call(ask_for("entry", "follow_up")))
    assert (lacks.yes, lacks.reason) == (False, "version b1 has no handler follow_up")
