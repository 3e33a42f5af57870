"""One inbound event: one row, one message, one signal, whatever happens around it."""

import asyncio
import sqlite3
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, select
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from gateways import hints, sweeper
from gateways.adapter import Earlier, Inbound
from gateways.delivery import Delivery, retry_in
from gateways.hints import Hints
from gateways.hub import Said
from gateways.matching import Route
from gateways.routing import CLOSED, FROM_BOT, NO_LISTENER, RECORDED, Letter, Routing
from gateways.sweeper import Sweeper
from gateways.temporal import Failure, failure_of
from gateways.wire import Outcome, SessionStart
from runllm.bridge.listeners import SlackListener, WidgetListener
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SlackThread, SlackThreadConfig, surface_key
from runllm.bridge.triggers import AllMessages, Emoji, Happening
from store import buttons, effects, feedback, inbox, messages, sessions
from store.engine import Store
from store.models import InboxRow, Message, now
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.doubles import FakeTemporal, down, rpc_error

PAGE = "https://acme.example"


class Desk:
    """Routing with delivery on request."""

    def __init__(self, store: Store, temporal: FakeTemporal) -> None:
        self.store = store
        self.temporal = temporal
        self.delivery = Delivery(store, temporal)
        self.sweeper = Sweeper(store, temporal, self.delivery)
        self.told: list[int] = []
        self.letters: list[Letter | None] = []
        self.pokes: list[str] = []
        self.heard: list[Said] = []
        self.listeners: list[Route] = []
        self.routing = Routing(store, self._tell, self.pokes.append, Hints(self.heard.append, lambda: self.listeners))

    @property
    def said(self) -> list[Said]:
        """What was told of with its session known."""
        return [one for one in self.heard if one.shown is not None]

    def _tell(self, session_id: int, letter: Letter | None) -> None:
        self.told.append(session_id)
        self.letters.append(letter)

    async def row(self, id: int) -> InboxRow:
        async with self.store.read() as db:
            row = await db.get(InboxRow, id)
            assert row is not None
            return row

    async def age(self, id: int, seconds: float = 60) -> None:
        """Lets time pass for a row."""
        async with self.store.begin() as db:
            row = await db.get(InboxRow, id)
            assert row is not None
            row.received_at = now() - timedelta(seconds=seconds)
            row.next_attempt_at = now()
            if row.signalled_at is not None:
                row.signalled_at = row.received_at


@pytest.fixture
async def desk(store: Store, temporal: FakeTemporal) -> Desk:
    await make_current(store, WidgetListener(domain="acme.example"))
    return Desk(store, temporal)


def said(text: str = "Hello", id: str = "m1", conversation: str = "c1", origin: str | None = PAGE) -> Inbound:
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=conversation, chat_user_id="u1"))
    return Inbound(
        kind="message",
        dedupe_key=f"widget:{conversation}:{id}",
        surface=surface,
        happening=Happening(surface=surface.type),
        remote_id=id,
        text=text,
        user="u1",
        origin=origin,
    )


async def test_the_first_message_makes_a_session_and_is_signalled_with_its_text(desk: Desk) -> None:
    accepted = await desk.routing.take_in(said("How do I log in?"))
    assert accepted.session_id is not None
    assert desk.told == [accepted.session_id]
    assert desk.pokes == ["widget:c1"]
    assert await desk.delivery.deliver(accepted.session_id)
    [(workflow, id, start)] = desk.temporal.started
    assert (workflow, id) == ("support", f"session-{accepted.session_id}")
    assert isinstance(start, SessionStart)
    [(_, envelope)] = desk.temporal.signals
    assert envelope.message is not None
    assert (envelope.message.text, envelope.message.chat_id) == ("How do I log in?", accepted.chat_id)
    assert (envelope.inbox_id, envelope.trigger) == (accepted.inbox_id, AllMessages())
    assert envelope.listens_to == [AllMessages()]
    assert envelope.message.user_identifier == "u1"
    assert (await desk.row(accepted.inbox_id)).signalled_at is not None


async def test_five_times_the_same_message_is_one(desk: Desk) -> None:
    answers = [await desk.routing.take_in(said()) for _ in range(5)]
    assert len({(a.inbox_id, a.session_id, a.chat_id) for a in answers}) == 1
    assert [a.repeated for a in answers] == [False, True, True, True, True]
    session_id = answers[0].session_id
    assert session_id is not None
    await asyncio.gather(*(desk.delivery.deliver(session_id) for _ in range(5)))
    assert len(desk.temporal.signals) == 1
    async with desk.store.read() as db:
        assert len(await messages.feed(db, "widget:c1", 0)) == 1


async def test_a_message_whose_event_was_forgotten_is_not_written_down_again(desk: Desk) -> None:
    first = await desk.routing.take_in(said())
    async with desk.store.begin() as db:
        await db.execute(delete(InboxRow))
    again = await desk.routing.take_in(said())
    assert (again.ignored, again.session_id) == (RECORDED, first.session_id)
    async with desk.store.read() as db:
        assert len((await db.scalars(select(Message))).all()) == 1


async def test_what_the_page_says_is_kept_up_to_date(desk: Desk) -> None:
    def from_page(title: str, id: str) -> Inbound:
        inbound = said(id=id)
        assert isinstance(inbound.surface, ChatWidget)
        config = inbound.surface.config.model_copy(update={"context": {"page_title": title}})
        return inbound.model_copy(update={"surface": ChatWidget(config=config)})

    for number, title in enumerate(["Prices", "Prices", "Login"]):
        accepted = await desk.routing.take_in(from_page(title, f"m{number}"))
        assert accepted.session_id is not None
        async with desk.store.read() as db:
            [surface] = await sessions.surfaces_of(db, accepted.session_id)
        assert isinstance(surface, ChatWidget)
        assert surface.config.context == {"page_title": title}


async def test_what_is_written_to_us_is_said_once_to_whoever_may_look_ahead(desk: Desk) -> None:
    first = await desk.routing.take_in(said("1", id="m1"))
    await desk.routing.take_in(said("1", id="m1"))
    await desk.routing.take_in(said("2", id="m2"))
    assert [(one.text, one.shown, one.session_id, one.workflow) for one in desk.said] == [
        ("1", 0, first.session_id, "support"),
        ("2", 1, first.session_id, "support"),
    ]
    assert len({one.event_id for one in desk.said}) == 2
    assert desk.said[0].surface == said().surface
    await desk.routing.take_in(said(origin="https://elsewhere.example", conversation="c2"))
    await make_current(desk.store, SlackListener(team_id="T1", default_trigger=AllMessages()), name="slack")
    happening = Happening(surface=THREAD.type)
    told = len(desk.told)
    await desk.routing.take_in(
        Inbound(
            kind="message", dedupe_key="s1", surface=THREAD, happening=happening, remote_id="1.0", text="Hi", user="U"
        )
    )
    assert len(desk.told) == told + 1
    assert len(desk.said) == 2, "answers on platforms do not appear while they are made"


async def test_what_is_written_to_us_is_said_before_anything_is_read_for_it(desk: Desk) -> None:
    await desk.routing.take_in(said("1", id="m1"))
    assert [one.shown for one in desk.heard] == [0], "nobody knows what listens"
    desk.listeners = await desk.routing.routes()
    first = await desk.routing.take_in(said("2", id="m2"))
    other = await desk.routing.take_in(said("3", id="m3", conversation="c2"))
    assert [(one.text, one.shown, one.session_id) for one in desk.heard[1:]] == [
        ("2", None, first.session_id),
        ("2", 1, first.session_id),
        ("3", None, 0),
        ("3", 0, other.session_id),
    ]
    assert {(one.agent_id, one.workflow) for one in desk.heard} == {(1, "support")}
    assert len({one.event_id for one in desk.heard}) == 3, "it is the same message both times"
    before = len(desk.heard)
    await desk.routing.take_in(said("3", id="m3", conversation="c2"))
    await desk.routing.take_in(said(origin="https://elsewhere.example", conversation="c3"))
    await desk.routing.take_in(said("Careful", id="m4").model_copy(update={"is_internal": True}))
    assert len(desk.heard) == before


async def test_only_the_latest_conversations_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_REMEMBERED", 2)
    for conversation in ("c1", "c2", "c1", "c3"):
        await desk.routing.take_in(said(id=f"{len(desk.heard)}", conversation=conversation))
    desk.heard.clear()
    for conversation in ("c1", "c2"):
        await desk.routing.take_in(said("?", id="last", conversation=conversation))
    assert [one.shown for one in desk.heard] == [None, 2, 1]


@pytest.mark.parametrize("phase", ["waiting_for_button", "mirroring", "closed"])
async def test_a_session_that_takes_no_question_now_is_not_spoken_of(desk: Desk, phase: str) -> None:
    accepted = await desk.routing.take_in(said())
    assert accepted.session_id is not None
    async with desk.store.begin() as db:
        await sessions.update(db, accepted.session_id, phase=phase)
    await desk.routing.take_in(said("And?", id="m2"))
    assert [one.text for one in desk.said] == ["Hello"]


async def test_a_note_of_the_team_is_not_spoken_of(desk: Desk) -> None:
    await desk.routing.take_in(said())
    await desk.routing.take_in(said("Careful", id="m2").model_copy(update={"is_internal": True}))
    assert [one.text for one in desk.said] == ["Hello"]


async def test_a_message_is_spoken_of_before_it_is_on_record(desk: Desk) -> None:
    was_on_record: list[bool] = []

    def look(said: Said) -> None:
        with sqlite3.connect(desk.store.url.database or "") as db:
            was_on_record.append(bool(db.execute("SELECT 1 FROM messages WHERE text = 'And?'").fetchone()))

    await desk.routing.take_in(said())
    desk.routing = Routing(desk.store, desk._tell, desk.pokes.append, Hints(look))
    await desk.routing.take_in(said("And?", id="m2"))
    assert was_on_record == [False]
    look(desk.said[0])
    assert was_on_record == [False, True]


async def test_a_sender_that_hangs_up_does_not_undo_its_message(desk: Desk) -> None:
    sending = asyncio.create_task(desk.routing.take_in(said()))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    again = await desk.routing.take_in(said())
    assert again.repeated
    assert desk.told[0] == again.session_id


async def test_what_is_next_is_delivered_from_the_letter_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = await desk.routing.take_in(said("How do I log in?"))
    (letter,) = desk.letters
    assert letter is not None

    def read() -> None:
        raise AssertionError("the record was read again")

    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "read", read)
        desk.delivery.soon(letter.session.id, letter)
        await desk.delivery.idle()
    assert [(e.inbox_id, e.message.text if e.message else "") for _, e in desk.temporal.signals] == [
        (accepted.inbox_id, "How do I log in?")
    ]
    assert (await desk.row(accepted.inbox_id)).signalled_at is not None


async def test_there_is_no_letter_while_something_earlier_waits(desk: Desk) -> None:
    first = await desk.routing.take_in(said("1", id="m1"))
    await desk.routing.take_in(said("2", id="m2"))
    assert [letter is not None for letter in desk.letters] == [True, False]
    assert first.session_id is not None
    await desk.delivery.deliver(first.session_id)
    assert [e.message.text for _, e in desk.temporal.signals if e.message] == ["1", "2"]
    await desk.routing.take_in(said("3", id="m3"))
    assert desk.letters[-1] is not None


async def test_many_at_once_are_one_session_and_stay_in_order(desk: Desk) -> None:
    taken = await asyncio.gather(*(desk.routing.take_in(said(f"text {n}", f"m{n}")) for n in range(20)))
    assert len({accepted.session_id for accepted in taken}) == 1
    session_id = taken[0].session_id
    assert session_id is not None
    await asyncio.gather(*(desk.delivery.deliver(session_id) for _ in range(4)))
    ids = [envelope.inbox_id for _, envelope in desk.temporal.signals]
    assert ids == sorted(accepted.inbox_id for accepted in taken)


async def test_where_nobody_listens_it_is_ignored_with_the_reason(desk: Desk) -> None:
    accepted = await desk.routing.take_in(said(origin="https://elsewhere.example"))
    assert (accepted.ignored, accepted.session_id) == (NO_LISTENER, None)
    assert desk.told == []
    row = await desk.row(accepted.inbox_id)
    assert (row.outcome, row.reason) == ("ignored", NO_LISTENER)


async def test_a_closed_session_keeps_the_message_and_is_not_told(desk: Desk) -> None:
    first = await desk.routing.take_in(said())
    assert first.session_id is not None
    async with desk.store.begin() as db:
        await sessions.update(db, first.session_id, phase="closed")
    second = await desk.routing.take_in(said("One more thing", "m2"))
    assert (second.ignored, second.session_id) == (CLOSED, first.session_id)
    assert desk.told == [first.session_id]
    async with desk.store.read() as db:
        shown = [message.text for _, message in await messages.feed(db, "widget:c1", 0)]
    assert shown == ["Hello", "One more thing"]


async def test_a_session_that_closed_meanwhile_is_the_same(desk: Desk) -> None:
    accepted = await desk.routing.take_in(said())
    assert accepted.session_id is not None
    desk.temporal.problem = lambda id: WorkflowAlreadyStartedError(id, "support")
    await desk.delivery.deliver(accepted.session_id)
    row = await desk.row(accepted.inbox_id)
    assert (row.outcome, row.reason) == ("ignored", CLOSED)


async def test_while_temporal_is_down_rows_wait_and_go_out_when_it_is_back(desk: Desk) -> None:
    desk.temporal.problem = down
    taken = [await desk.routing.take_in(said(conversation=f"c{n}")) for n in range(5)]
    for accepted in taken:
        assert accepted.session_id is not None
        assert not await desk.delivery.deliver(accepted.session_id)
    assert (await desk.row(taken[0].inbox_id)).signalled_at is None
    desk.temporal.problem = lambda id: None
    for accepted in taken:
        await desk.age(accepted.inbox_id)
    await desk.sweeper.redeliver()
    assert {envelope.inbox_id for _, envelope in desk.temporal.signals} == {a.inbox_id for a in taken}


async def test_fresh_rows_are_left_to_who_took_them_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GRACE", timedelta(hours=1))
    await desk.routing.take_in(said())
    await desk.sweeper.redeliver()
    assert desk.temporal.signals == []


async def test_of_two_gateways_one_sweeps(desk: Desk) -> None:
    accepted = await desk.routing.take_in(said())
    other = Sweeper(desk.store, desk.temporal, desk.delivery)
    await other.redeliver()
    await desk.age(accepted.inbox_id)
    await desk.sweeper.redeliver()
    assert desk.temporal.signals == []
    await other.redeliver()
    assert len(desk.temporal.signals) == 1


async def test_what_temporal_refuses_for_good_ends_ignored(desk: Desk) -> None:
    accepted = await desk.routing.take_in(said())
    assert accepted.session_id is not None
    desk.temporal.problem = rpc_error(RPCStatusCode.INVALID_ARGUMENT, "blob size exceeds limit")
    for _ in range(13):
        await desk.delivery.deliver(accepted.session_id)
    row = await desk.row(accepted.inbox_id)
    assert row.outcome == "ignored"
    assert "blob size" in row.reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkflowAlreadyStartedError("session-1", "support"), "closed"),
        (rpc_error(RPCStatusCode.NOT_FOUND, "workflow execution already completed")(""), "closed"),
        (rpc_error(RPCStatusCode.NOT_FOUND, "workflow not found for ID: session-1")(""), "absent"),
        (rpc_error(RPCStatusCode.NOT_FOUND, "Namespace default is not found.")(""), "down"),
        (rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, "workflow is closing")(""), "busy"),
        (rpc_error(RPCStatusCode.UNAVAILABLE, "")(""), "down"),
        (rpc_error(RPCStatusCode.INVALID_ARGUMENT, "")(""), "refused"),
        (RuntimeError("Failed client connect"), "down"),
        (TypeError("cannot encode"), "refused"),
    ],
)
def test_what_an_error_means(error: Exception, kind: str) -> None:
    assert failure_of(error).kind == kind


def test_waits_grow_but_not_while_temporal_is_down() -> None:
    assert [retry_in(Failure("busy", ""), n).total_seconds() for n in (0, 1, 2, 20)] == [0.5, 1, 2, 60]
    assert retry_in(Failure("down", ""), 20).total_seconds() == 1


async def signalled(desk: Desk, inbound: Inbound) -> tuple[int, int]:
    accepted = await desk.routing.take_in(inbound)
    assert accepted.session_id is not None
    await desk.delivery.deliver(accepted.session_id)
    return accepted.inbox_id, accepted.session_id


async def test_the_session_is_asked_for_outcomes_it_has_not_reported(desk: Desk) -> None:
    row_id, session_id = await signalled(desk, said())
    desk.temporal.outcomes[f"session-{session_id}"] = [Outcome(inbox_id=row_id, outcome="handled")]
    await desk.sweeper.account()
    assert (await desk.row(row_id)).outcome is None  # too fresh to ask
    await desk.age(row_id)
    await desk.sweeper.account()
    assert (await desk.row(row_id)).outcome == "handled"


async def test_a_silent_session_is_asked_less_and_less_often(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row_id, _ = await signalled(desk, said())
    await desk.age(row_id)
    clock = 1000.0
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=lambda: clock))
    asked: list[float] = []
    for _ in range(40):
        before = len(desk.temporal.queries)
        await desk.sweeper.account()
        asked += [clock - 1000.0] * (len(desk.temporal.queries) - before)
        clock += sweeper.EVERY
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[:3] == [sweeper.EVERY, 2 * sweeper.EVERY, 4 * sweeper.EVERY]


async def test_an_event_that_a_session_ended_upon_is_ignored_with_the_reason(desk: Desk) -> None:
    row_id, session_id = await signalled(desk, said())
    await desk.age(row_id)
    desk.temporal.running[f"session-{session_id}"] = WorkflowExecutionStatus.COMPLETED
    await desk.sweeper.account()
    row = await desk.row(row_id)
    assert (row.outcome, row.reason) == ("ignored", "the session ended before it read this")


async def test_a_session_that_temporal_lost_is_told_again(desk: Desk) -> None:
    row_id, session_id = await signalled(desk, said())
    await desk.age(row_id)
    desk.temporal.running.clear()
    desk.temporal.signals.clear()
    await desk.sweeper.account()
    await desk.sweeper.redeliver()
    assert [(id, envelope.inbox_id) for id, envelope in desk.temporal.signals] == [(f"session-{session_id}", row_id)]


async def asked(desk: Desk) -> tuple[int, Inbound]:
    """A session that waits for a button, and a click on it."""
    _, session_id = await signalled(desk, said())
    async with desk.store.begin() as db:
        message = await messages.add(db, session_id=session_id, author="assistant", text="Sure?")
        await messages.post(
            db, session_id=session_id, chat_id=message.id, surface_key="widget:c1", remote_id="e1", effect_key="e1"
        )
        await buttons.open_wait(
            db,
            session_id=session_id,
            wait_id=1,
            chat_id=message.id,
            surface_key="widget:c1",
            button_ids=["yes", "no"],
            allowed_users=["u1"],
        )
    return session_id, click("yes")


def click(button: str, user: str = "u1", conversation: str = "c1") -> Inbound:
    return Inbound(
        kind="button",
        dedupe_key=f"{conversation}:click:{button}:{user}",
        surface=ChatWidget(config=ChatWidgetConfig(convo_identifier=conversation)),
        user=user,
        wait_id=1,
        button_id=button,
    )


async def test_the_first_click_wins_and_is_the_only_event(desk: Desk) -> None:
    session_id, yes = await asked(desk)
    assert (await desk.routing.take_in(click("yes", user="u2"))).click == "not_allowed"
    assert (await desk.routing.take_in(click("maybe"))).click == "unknown"
    assert (await desk.routing.take_in(click("yes", conversation="c2"))).click == "unknown"
    async with desk.store.read() as db:
        [_, (before, _)] = await messages.feed(db, "widget:c1", 0)
    assert (await desk.routing.take_in(yes)).click == "won"
    assert (await desk.routing.take_in(yes)).click == "won"  # the same click, sent again
    assert (await desk.routing.take_in(click("no"))).click == "already"
    await desk.delivery.deliver(session_id)
    clicks = [envelope for _, envelope in desk.temporal.signals if envelope.kind == "button"]
    assert [(e.wait_id, e.button_id, e.user) for e in clicks] == [(1, "yes", "u1")]
    async with desk.store.read() as db:
        [_, (after, _)] = await messages.feed(db, "widget:c1", 0)
    assert after.seq > before.seq  # open streams show at once that it is decided


async def test_a_wait_that_ended_says_so(desk: Desk) -> None:
    session_id, yes = await asked(desk)
    async with desk.store.begin() as db:
        await buttons.end(db, session_id, [1], "expired")
    assert (await desk.routing.take_in(yes)).click == "ended"


async def test_edits_and_deletions_change_the_message_and_are_events(desk: Desk) -> None:
    _, session_id = await signalled(desk, said("Helo"))
    edit = said("Hello").model_copy(update={"kind": "edit", "dedupe_key": "e1"})
    same = edit.model_copy(update={"dedupe_key": "e2"})
    unknown = edit.model_copy(update={"dedupe_key": "e3", "remote_id": "nobody"})
    assert (await desk.routing.take_in(edit)).ignored == ""
    assert (await desk.routing.take_in(same)).ignored == "the text stayed the same"
    assert "not in the record" in (await desk.routing.take_in(unknown)).ignored
    gone = said().model_copy(update={"kind": "delete", "dedupe_key": "e4"})
    assert (await desk.routing.take_in(gone)).ignored == ""
    await desk.delivery.deliver(session_id)
    assert [envelope.kind for _, envelope in desk.temporal.signals] == ["message", "edit", "delete"]
    async with desk.store.read() as db:
        [(_, message)] = await messages.feed(db, "widget:c1", 0)
    assert message.text == "Hello"
    assert message.deleted_at is not None


async def test_our_own_message_that_comes_back_is_no_event(desk: Desk) -> None:
    await make_current(desk.store, SlackListener(team_id="T", default_trigger=AllMessages()), name="on_slack")
    surface = SlackThread(config=SlackThreadConfig(bot_conn_token="x", team_id="T", channel="C", thread_ts="1"))
    _, session_id = await signalled(desk, said())
    async with desk.store.begin() as db:
        await effects.start(db, "1:1", session_id, "surfaces.post_message", "slack:T:C:1")
        await effects.finish(db, "1:1", remote_id="99.1")
    echo = Inbound(
        kind="message",
        dedupe_key="slack:99.1",
        surface=surface,
        happening=Happening(surface=surface.type),
        remote_id="99.1",
        text="An answer",
    )
    assert (await desk.routing.take_in(echo)).ignored == "the engine wrote this itself"


async def test_nothing_is_unaccounted_in_the_end(desk: Desk) -> None:
    row_id, session_id = await signalled(desk, said())
    desk.temporal.outcomes[f"session-{session_id}"] = [Outcome(inbox_id=row_id, outcome="handled")]
    await desk.routing.take_in(said(id="m2", origin="https://elsewhere.example", conversation="c9"))
    await desk.age(row_id)
    await desk.sweeper.account()
    async with desk.store.read() as db:
        assert await inbox.count_unaccounted(db) == 0


async def test_an_opinion_is_recorded_once_and_nobody_has_to_be_told(desk: Desk) -> None:
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier="rated"))
    happening = Happening(surface=widget.type)
    asked = await desk.routing.take_in(
        Inbound(kind="message", dedupe_key="q", surface=widget, happening=happening, remote_id="m1", origin=PAGE)
    )
    assert asked.session_id is not None
    desk.told.clear()
    opinion = Inbound(
        kind="feedback", dedupe_key="f1", surface=widget, remote_id="m1", user="u1", is_helpful=False, comment="no"
    )
    first = await desk.routing.take_in(opinion)
    await desk.routing.take_in(opinion)
    changed = opinion.model_copy(update={"dedupe_key": "f2", "is_helpful": True, "comment": ""})
    await desk.routing.take_in(changed)
    async with desk.store.read() as db:
        opinions = await feedback.of_session(db, asked.session_id)
    assert [(one.author_id, one.is_helpful) for one in opinions] == [("u1", True)]
    assert (await desk.row(first.inbox_id)).outcome == "handled"
    assert desk.told == []


async def test_an_opinion_on_a_message_that_nobody_knows_is_accounted_for(desk: Desk) -> None:
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier="unknown"))
    taken = await desk.routing.take_in(
        Inbound(kind="feedback", dedupe_key="f", surface=widget, remote_id="m", is_helpful=True)
    )
    assert (await desk.row(taken.inbox_id)).reason == "the message that it is about is not in the record"


SLACK = SlackListener(team_id="T1", default_trigger=AllMessages())
THREAD = SlackThread(config=SlackThreadConfig(bot_conn_token="x", team_id="T1", channel="C1", thread_ts="1.0"))


def in_thread(text: str, ts: str, **more: Any) -> Inbound:
    happening = Happening(surface=THREAD.type, is_reply=True)
    fields: dict[str, Any] = {
        "kind": "message", "dedupe_key": f"slack:T1:C1:{ts}", "surface": THREAD, "happening": happening,
        "remote_id": ts, "text": text, "user": "T1:U1", **more,
    }  # fmt: skip
    return Inbound(**fields)


EARLIER = [
    Earlier(remote_id="1.0", text="It is broken", user="T1:U2", author_name="Ann", at=now() - timedelta(hours=2)),
    Earlier(remote_id="1.1", text="Build 7 failed", is_from_bot=True),
    Earlier(remote_id="1.2", text="I think it is the login", user="T1:U3", author_name="Ben", is_from_staff=True),
]


async def test_a_thread_that_the_agent_is_summoned_into_brings_what_was_said_before_once(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    first = await desk.routing.take_in(in_thread("@bot help", "1.3", earlier=EARLIER))
    again = await desk.routing.take_in(in_thread("And?", "1.4", earlier=EARLIER))
    late = await desk.routing.take_in(in_thread("I think it is the login", "1.2"))
    assert first.session_id is not None
    assert first.session_id == again.session_id
    assert (late.ignored, late.chat_id) == (RECORDED, None)
    async with desk.store.read() as db:
        said = await messages.transcript(db, first.session_id)
    texts = ["It is broken", "Build 7 failed", "I think it is the login", "@bot help", "And?"]
    assert [message.text for message in said] == texts
    assert [message.author_name for message in said[:3]] == ["Ann", None, "Ben"]
    assert [message.is_from_bot for message in said] == [False, True, False, False, False]
    assert [message.is_from_staff for message in said] == [False, False, True, False, False]
    assert said[0].created_at == EARLIER[0].at
    await desk.delivery.deliver(first.session_id)
    assert [envelope.message and envelope.message.text for _, envelope in desk.temporal.signals] == texts[3:]


async def test_what_the_engine_said_in_a_thread_before_is_its_own_words(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    other = await desk.routing.take_in(said())
    assert other.session_id is not None
    async with desk.store.begin() as db:
        await effects.start(db, "1:1", other.session_id, "x", "slack:T1:C1:1.0")
        await effects.finish(db, "1:1", remote_id="1.0")
    ours = Earlier(remote_id="1.0", text="Good morning", is_from_bot=True)
    taken = await desk.routing.take_in(in_thread("@bot help", "1.3", earlier=[ours]))
    assert taken.session_id is not None
    async with desk.store.read() as db:
        first, _ = await messages.transcript(db, taken.session_id)
    assert (first.author, first.is_from_bot) == ("assistant", False)


async def test_a_reaction_brings_the_message_that_it_is_about(desk: Desk) -> None:
    await make_current(desk.store, SlackListener(team_id="T1", default_trigger=Emoji(shortcode="ticket")), name="slack")
    happening = Happening(surface=THREAD.type, is_message=False, emoji="ticket")
    reaction = in_thread("", "1.0", kind="reaction", happening=happening, earlier=EARLIER[:1])
    taken = await desk.routing.take_in(reaction)
    assert taken.session_id is not None
    await desk.delivery.deliver(taken.session_id)
    [(_, envelope)] = desk.temporal.signals
    assert envelope.message is not None
    assert (envelope.message.text, envelope.message.author_name) == ("It is broken", "Ann")


async def test_a_program_starts_no_session_unless_a_trigger_takes_programs(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    taken = await desk.routing.take_in(in_thread("Build 7 failed", "1.0", is_from_bot=True))
    assert (taken.ignored, taken.session_id) == (FROM_BOT, None)
    with_bots = SlackListener(team_id="T1", default_trigger=AllMessages(from_bots=True))
    await make_current(desk.store, with_bots, name="bots")
    taken = await desk.routing.take_in(in_thread("Build 8 failed", "2.0", is_from_bot=True))
    assert taken.session_id is not None
    await desk.delivery.deliver(taken.session_id)
    [(_, envelope)] = desk.temporal.signals
    assert envelope.happening is not None
    assert envelope.happening.is_from_bot


async def test_the_record_keeps_who_may_see_a_message_and_who_wrote_it(desk: Desk) -> None:
    await make_current(desk.store, SLACK, name="slack")
    taken = await desk.routing.take_in(in_thread("Between us", "1.0", is_internal=True, is_from_staff=True))
    assert taken.chat_id is not None
    async with desk.store.read() as db:
        message = await messages.get(db, taken.chat_id)
    assert message is not None
    assert (message.is_internal, message.is_from_staff, message.is_from_bot) == (True, True, False)


async def test_a_burst_while_temporal_is_down_is_left_to_the_sweeper(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GRACE", timedelta(hours=1))
    desk.temporal.problem = down
    first = await desk.routing.take_in(said(conversation="first"))
    assert first.session_id is not None
    await desk.delivery.deliver(first.session_id)
    desk.temporal.problem = lambda id: None
    later = await desk.routing.take_in(said(conversation="later"))
    assert later.session_id is not None
    desk.delivery.soon(later.session_id)
    await desk.delivery.idle()
    assert desk.temporal.signals == []
    await desk.age(later.inbox_id)
    await desk.sweeper.redeliver()
    assert [envelope.inbox_id for _, envelope in desk.temporal.signals] == [later.inbox_id]


async def test_who_removes_our_copy_of_a_message_does_not_remove_the_message(desk: Desk) -> None:
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier="copied"))
    happening = Happening(surface=widget.type)
    said = await desk.routing.take_in(
        Inbound(kind="message", dedupe_key="q", surface=widget, happening=happening, remote_id="m1", origin=PAGE)
    )
    assert said.session_id is not None
    assert said.chat_id is not None
    thread = SlackThread(config=SlackThreadConfig(bot_conn_token="t", team_id="T1", channel="C1", thread_ts="1.0"))
    async with desk.store.begin() as db:
        await sessions.bind(db, said.session_id, thread)
        await messages.post(
            db,
            session_id=said.session_id,
            chat_id=said.chat_id,
            surface_key=surface_key(thread),
            remote_id="2.0",
            effect_key="1:1",
        )
    removed = await desk.routing.take_in(
        Inbound(
            kind="delete", dedupe_key="d", surface=thread, remote_id="2.0", happening=Happening(surface=thread.type)
        )
    )
    assert removed.ignored == "what changed is our own copy; the message stays"
    async with desk.store.read() as db:
        message = await messages.get(db, said.chat_id)
    assert message is not None
    assert message.deleted_at is None
