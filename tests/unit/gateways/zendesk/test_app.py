"""A gateway with a connected account: webhooks by the trigger that connecting it installs, and the sweeper."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import delete, select

from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.server import application, runner
from gateways.services import SERVICES, Services
from gateways.settings import GatewaySettings
from gateways.zendesk import setup
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.inbound import TEST_SECRET, TRIGGER_BODY
from gateways.zendesk.reading import Reader
from gateways.zendesk.sweeping import TicketSweeper
from runllm.bridge.listeners import ZendeskListener
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, surface_key
from runllm.bridge.triggers import TicketComment, TicketStatus
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import agents, cursors, installations, messages, sessions
from store.engine import Store
from store.models import InboxRow, Lease, Message, Posting, Session
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.doubles import FakeTemporal
from tests.unit.gateways.zendesk.conftest import SEAL, surface


@dataclass
class Desk:
    """A gateway that account `acme` reports to."""

    app: web.Application
    zendesk: ZendeskStandIn
    acme: ZendeskAccount
    temporal: FakeTemporal
    settings: GatewaySettings
    url: str

    @property
    def services(self) -> Services:
        return self.app[SERVICES]

    @property
    def store(self) -> Store:
        return self.services.store

    async def settled(self) -> None:
        await self.zendesk.settled()
        await self.services.delivery.idle()

    async def ticket_of_a_session(self) -> int:
        """A ticket that a session of a widget has opened."""
        ticket = self.acme.open("ada@example.com", "Printer", "It smokes.")
        await self.settled()
        place = ChatWidget(config=ChatWidgetConfig(convo_identifier=f"c{ticket}"))
        async with self.store.begin() as db:
            agent = await agents.ensure_agent(db)
            session = await sessions.create(db, agent_id=agent.id, published_name="support", surface=place)
            await sessions.bind(db, session.id, surface(ticket))
        self.zendesk.calls.clear()
        return ticket

    async def said(self, ticket: int) -> list[tuple[str, str | None]]:
        """What the record has of a ticket, and by whom."""
        async with self.store.read() as db:
            found = await messages.feed(db, surface_key(surface(ticket)), 0)
        return [(message.text, message.author_name) for _, message in found]

    async def rows(self, kind: str = "message") -> list[InboxRow]:
        async with self.store.read() as db:
            return list(await db.scalars(select(InboxRow).where(InboxRow.kind == kind).order_by(InboxRow.id)))

    def sweeper(self) -> TicketSweeper:
        """A sweeper of another process: it remembers nothing of this one's."""
        accounts = Accounts(self.store, SEAL, self.settings.platforms.zendesk)
        return TicketSweeper(self.store, accounts, Reader(self.store, self.services.routing), 60)

    async def post(self, body: bytes, headers: dict[str, str], subdomain: str = "acme") -> tuple[int, dict[str, str]]:
        assert self.zendesk._http is not None
        url = f"{self.url}/zendesk/{subdomain}/webhook"
        async with self.zendesk._http.post(url, data=body, headers=headers) as response:
            return response.status, dict(response.headers)

    async def secret(self) -> str:
        async with self.store.read() as db:
            row = await installations.get(db, "zendesk", "acme")
        assert row is not None
        return str(SEAL.open(row.credentials)["signing_secret"])


@pytest.fixture
async def desk(
    zendesk: ZendeskStandIn, store: Store, settings: GatewaySettings, temporal: FakeTemporal
) -> AsyncIterator[Desk]:
    acme = zendesk.account("acme")
    platforms = PlatformSettings(zendesk=ZendeskSettings(url=zendesk.url_template, sweep_every=0))
    ours = settings.model_copy(update={"platforms": platforms})
    app = application(ours, store, temporal)
    run = runner(app)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*run.addresses[0][:2])
    await connect(store, acme, platforms.model_copy(update={"public_url": url}))
    yield Desk(app, zendesk, acme, temporal, ours, url)
    await zendesk.settled()
    await run.cleanup()


async def connect(store: Store, account: ZendeskAccount, platforms: PlatformSettings) -> None:
    """What `runllm connect zendesk` has the engine do."""
    given = {"subdomain": account.subdomain, "email": account.email, "api_token": account.api_token}
    kept = await setup.install(platforms, given, await setup.check(platforms, given))
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        values: dict[str, Any] = {"platform": "zendesk", "external_id": account.subdomain, "name": ""}
        await installations.put(db, SEAL, agent_id=agent.id, credentials=kept, **values)


# Webhooks


async def test_comments_come_in_with_their_authors_and_for_whom_they_are(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.acme.agent("bob@acme.example", "Bob")
    desk.acme.say(ticket, "bob@acme.example", "Unplug it", public=False)
    desk.acme.say(ticket, "ada@example.com", "I did", files={"smoke.txt": b"puff"})
    await desk.settled()
    assert await desk.said(ticket) == [("It smokes.", "Ada"), ("Unplug it", "Bob"), ("I did", "Ada")]
    async with desk.store.read() as db:
        found = {row.text: row for row in await db.scalars(select(Message))}
    assert [(row.is_internal, row.is_from_staff) for row in found.values()] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert found["I did"].attachments[0]["name"] == "smoke.txt"
    assert [delivery.status for delivery in desk.zendesk.deliveries[-2:]] == [204, 204]


async def test_authors_that_zendesk_does_not_send_along_are_asked_for(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.acme.sideloads = False
    desk.acme.agent("bob@acme.example", "Bob")
    desk.acme.say(ticket, "bob@acme.example", "Unplug it")
    await desk.settled()
    assert await desk.said(ticket) == [("It smokes.", "Ada"), ("Unplug it", "Bob")]
    async with desk.store.read() as db:
        staff = [row.is_from_staff for row in await db.scalars(select(Message).order_by(Message.id))]
    assert staff == [False, True]


async def test_a_comment_that_comes_five_times_is_one_turn(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "twice"
    comment = desk.acme.say(ticket, "ada@example.com", "Hello?")
    await desk.settled()
    event = json.dumps(desk.acme.comment_event(ticket, comment)).encode()
    hint = TRIGGER_BODY.replace("{{ticket.id}}", str(ticket)).encode()
    secret = await desk.secret()
    for body in (event, hint, event):
        assert (await desk.post(body, desk.acme.signed(body, secret)))[0] == 204
    await desk.sweeper().sweep()
    await desk.settled()
    told = [e.message.text for _, e in desk.temporal.signals if e.message is not None]
    assert told.count("Hello?") == 1
    assert [text for text, _ in await desk.said(ticket)].count("Hello?") == 1


async def test_webhooks_in_the_wrong_order_leave_comments_in_theirs(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "hold"
    for number in range(4):
        desk.acme.say(ticket, "ada@example.com", f"part {number}")
    desk.zendesk.release(backwards=True)
    await desk.settled()
    assert [text for text, _ in await desk.said(ticket)][1:] == [f"part {number}" for number in range(4)]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": "wrong"}, 401),
        ({"secret": TEST_SECRET}, 401),
        ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, 401),
        ({"body": b"{}"}, 400),
        ({"body": b"\xff\xfe"}, 400),
        ({"subdomain": "stranger"}, 404),
        ({"headers": {}}, 401),
        ({"headers": {"X-Zendesk-Webhook-Signature": "x", "X-Zendesk-Webhook-Signature-Timestamp": "noon"}}, 401),
    ],
    ids=str,
)
async def test_what_cannot_be_believed_is_answered_logged_and_changes_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture, change: dict[str, Any], status: int
) -> None:
    body = change.get("body", b'{"ticket_id": "101"}')
    headers = change.get("headers")
    if headers is None:
        headers = desk.acme.signed(body, change.get("secret") or await desk.secret(), change.get("at"))
    before = len(desk.zendesk.calls)
    with caplog.at_level(logging.WARNING, "gateways.zendesk"):
        assert (await desk.post(body, headers, change.get("subdomain", "acme")))[0] == status
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert len(desk.zendesk.calls) == before
    assert await desk.rows() == []


async def test_while_zendesk_or_we_cannot_the_webhook_is_asked_for_again(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.next("GET", "/audits", status=429, retry_after=1)
    desk.zendesk.next("GET", "/audits", status=500)
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    await desk.settled()
    answers = [delivery.status for delivery in desk.zendesk.deliveries[-3:]]
    assert answers == [503, 503, 204]
    assert [text for text, _ in await desk.said(ticket)][1:] == ["Hello?"]


async def test_a_token_that_was_revoked_loses_nothing(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    token, desk.acme.api_token = desk.acme.api_token, "revoked"
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    await desk.settled()
    assert await desk.said(ticket) == []
    desk.acme.api_token = token
    desk.acme.age(timedelta(minutes=2))
    await desk.sweeper().sweep()
    assert [text for text, _ in await desk.said(ticket)][1:] == ["Hello?"]


async def test_what_the_engine_wrote_itself_is_no_news_also_before_it_knows_the_outcome(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    account = await Accounts(desk.store, SEAL, desk.settings.platforms.zendesk).get("acme")
    stamp = desk.acme.tickets[ticket]["updated_at"]
    fields = {"comment": {"html_body": "<p>ours</p>"}, "metadata": {"effect": account.marked("1:1")}}
    await account.update_ticket(ticket, fields, stamp)
    await desk.settled()
    assert [text for text, _ in await desk.said(ticket)] == ["It smokes."]
    account.close()


async def test_a_solved_ticket_is_on_the_log_and_told_to_the_session(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.acme.set_status(ticket, "bob@acme.example", "solved")
    await desk.settled()
    (row,) = await desk.rows("status")
    async with desk.store.read() as db:
        (line,) = await sessions.log_of(db, row.session_id or 0)
    assert line.text == f"zendesk_ticket {ticket} is solved now"
    (envelope,) = [e for _, e in desk.temporal.signals if e.kind == "status"]
    assert envelope.happening is not None
    assert envelope.happening.status == "solved"


async def test_a_ticket_that_is_nobodys_is_left_alone(desk: Desk) -> None:
    desk.acme.open("ada@example.com", "Printer", "It smokes.")
    await desk.settled()
    assert await desk.rows() == []
    assert [call.path for call in desk.zendesk.calls if "audits" in call.path] == []


# A ticket that starts a session


async def sessions_of(store: Store) -> list[Session]:
    async with store.read() as db:
        return list(await db.scalars(select(Session)))


async def test_a_customers_ticket_starts_a_session_where_a_workflow_listens(desk: Desk) -> None:
    await make_current(desk.store, ZendeskListener(subdomain="acme.zendesk.com"))
    ticket = desk.acme.open("ada@example.com", "Printer", "It smokes.")
    await desk.settled()
    desk.acme.say(ticket, "bob@acme.example", "Does it still?")
    await desk.settled()
    (session,) = await sessions_of(desk.store)
    assert session.origin_key == f"zendesk:acme:{ticket}"
    told = [(e.message.text if e.message else "", e.trigger) for _, e in desk.temporal.signals]
    assert told == [("It smokes.", TicketComment()), ("Does it still?", None)]


async def test_the_teams_comments_and_notes_start_none(desk: Desk) -> None:
    await make_current(desk.store, ZendeskListener(subdomain="acme"))
    desk.zendesk.webhooks = "drop"
    ticket = desk.acme.open("ada@example.com", "Printer", "It smokes.")
    desk.zendesk.webhooks = "deliver"
    desk.acme.agent("bob@acme.example")
    desk.acme.say(ticket, "bob@acme.example", "a note", public=False)
    desk.acme.say(ticket, "bob@acme.example", "an answer")
    await desk.settled()
    assert await sessions_of(desk.store) == []
    desk.acme.say(ticket, "ada@example.com", "thanks, but")
    await desk.settled()
    assert len(await sessions_of(desk.store)) == 1
    assert [text for text, _ in await desk.said(ticket)] == ["It smokes.", "a note", "an answer", "thanks, but"]
    assert len([e for _, e in desk.temporal.signals]) == 1


async def test_a_listener_with_tags_takes_only_such_tickets_and_hears_of_more_triggers(desk: Desk) -> None:
    triggers = [TicketComment(), TicketStatus(statuses=["solved"])]
    await make_current(desk.store, ZendeskListener(subdomain="acme", tags=["Ask-Bot"], default_trigger=triggers))
    desk.acme.open("ada@example.com", "Printer", "no")
    ticket = desk.acme.open("ada@example.com", "Printer", "yes", tags=["ask-bot"])
    await desk.settled()
    assert [session.origin_key for session in await sessions_of(desk.store)] == [f"zendesk:acme:{ticket}"]
    assert [e.listens_to for _, e in desk.temporal.signals] == [triggers]


async def test_a_ticket_that_the_engine_opens_starts_no_session_of_its_own(desk: Desk) -> None:
    await make_current(desk.store, ZendeskListener(subdomain="acme"))
    account = await Accounts(desk.store, SEAL, desk.settings.platforms.zendesk).get("acme")
    made = await account.create_ticket(
        {"subject": "x", "comment": {"body": "y"}, "external_id": account.marked("1:1")}, "k"
    )
    desk.acme.say(int(made["id"]), "bob@acme.example", "already")
    await asyncio.wait_for(desk.zendesk.settled(), 20)
    assert await sessions_of(desk.store) == []
    assert desk.zendesk.deliveries[-1].status == 503  # nobody knows yet whose it is: ask again
    account.close()


# The sweeper


async def test_lost_webhooks_are_healed_once(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "drop"
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.set_status(ticket, "bob@acme.example", "solved")
    first, second = desk.sweeper(), desk.sweeper()
    await first.sweep()
    assert await desk.said(ticket) == []  # the export leaves out the last minute
    desk.acme.age(timedelta(minutes=2))
    await first.sweep()
    assert [text for text, _ in await desk.said(ticket)] == ["It smokes.", "Hello?"]
    assert len(await desk.rows("status")) == 1
    await second.sweep()  # another gateway: the lease is the first one's
    assert desk.zendesk.count("GET", "/audits") == 1
    await first.sweep()
    assert desk.zendesk.count("GET", "/audits") == 1


async def test_an_outage_of_days_is_caught_up_with_from_where_the_record_says(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.acme.age(timedelta(minutes=2))
    await desk.sweeper().sweep()
    desk.zendesk.webhooks = "drop"
    desk.acme.skew = timedelta(days=3)
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.skew += timedelta(minutes=2)
    async with desk.store.begin() as db:
        await db.execute(delete(Lease))
    await desk.sweeper().sweep()
    assert [text for text, _ in await desk.said(ticket)][1:] == ["Hello?"]


async def test_more_changes_than_a_page_holds_are_all_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.zendesk.sweeping.PAGES", 2)
    tickets = await changed_at(desk, [0, 0, 1, 2, 2, 3])
    sweeper = desk.sweeper()
    for _ in range(4):
        await sweeper.sweep()
    assert [(await desk.said(ticket))[-1][0] for ticket in tickets] == [f"Hello {number}" for number in range(6)]


async def test_a_second_with_more_changes_than_a_page_holds_does_not_hold_up_the_next_ones(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    tickets = await changed_at(desk, [0, 0, 0, 0, 1])
    with caplog.at_level(logging.WARNING, "gateways.zendesk"):
        await desk.sweeper().sweep()
    assert (await desk.said(tickets[-1]))[-1][0] == "Hello 4"
    assert "more tickets in one second than a page holds" in caplog.text


async def changed_at(desk: Desk, seconds: list[int]) -> list[int]:
    """Tickets of sessions that changed in these seconds without a webhook; the export has two on a page."""
    tickets = [await desk.ticket_of_a_session() for _ in seconds]
    desk.zendesk.webhooks, desk.acme.export_page = "drop", 2
    for number, (ticket, second) in enumerate(zip(tickets, seconds, strict=True)):
        desk.acme.say(ticket, "ada@example.com", f"Hello {number}")
        desk.acme.tickets[ticket]["updated_at"] = f"2024-05-01T10:00:0{second}Z"
    async with desk.store.begin() as db:
        await cursors.advance(db, "zendesk:acme:export", f"{1714557000:012d}")
    return tickets


async def test_tickets_of_nobody_cost_no_calls(desk: Desk) -> None:
    for number in range(3):
        desk.acme.open("ada@example.com", f"ticket {number}", "hello")
    await desk.settled()
    desk.acme.age(timedelta(minutes=2))
    desk.zendesk.calls.clear()
    await desk.sweeper().sweep()
    assert [call.path.rpartition("/v2/")[2] for call in desk.zendesk.calls] == ["incremental/tickets.json"]


async def test_an_account_that_wants_fewer_calls_is_left_alone_and_the_others_are_not(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "drop"
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.age(timedelta(minutes=2))
    desk.zendesk.next("GET", "/incremental", status=429, retry_after=120)
    sweeper = desk.sweeper()
    with caplog.at_level(logging.WARNING, "gateways.zendesk"):
        await sweeper.sweep()
        await sweeper.sweep()
    assert desk.zendesk.count("GET", "/incremental") == 1
    assert "no sweep of acme for 120 s" in caplog.text


async def test_without_an_administrators_token_open_tickets_are_looked_at(desk: Desk) -> None:
    quiet, busy = await desk.ticket_of_a_session(), await desk.ticket_of_a_session()
    closed, foreign = await desk.ticket_of_a_session(), desk.acme.open("ada@example.com", "x", "nobody's")
    desk.zendesk.webhooks = "drop"
    for ticket in (busy, closed):
        desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.users[desk.acme.bot_id]["role"] = "agent"
    async with desk.store.begin() as db:
        session = await sessions.bound_session(db, surface_key(surface(closed)))
        assert session is not None
        await sessions.update(db, session.id, phase="closed")
    desk.acme.age(timedelta(minutes=2))
    sweeper = desk.sweeper()
    await sweeper.sweep()
    assert [text for text, _ in await desk.said(busy)][1:] == ["Hello?"]
    assert (await desk.said(closed), await desk.said(foreign)) == ([], [])
    desk.zendesk.calls.clear()
    await sweeper.sweep()
    asked = [call.path.rpartition("/v2/")[2] for call in desk.zendesk.calls]
    assert sorted(asked) == sorted(["incremental/tickets.json", f"tickets/{quiet}.json", f"tickets/{busy}.json"])


async def test_a_clock_that_is_ahead_of_zendesks_only_delays_a_sweep(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "drop"
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.age(timedelta(minutes=2))
    sweeper = desk.sweeper()
    desk.acme.skew = timedelta(minutes=-6)
    await sweeper.sweep()
    assert desk.zendesk.count("GET", "/incremental") == 1
    desk.acme.skew = timedelta()
    await sweeper.sweep()
    assert [text for text, _ in await desk.said(ticket)][1:] == ["Hello?"]


async def test_a_sweep_leaves_a_quarter_of_the_rate_to_others(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "drop"
    desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.age(timedelta(minutes=2))
    sweeper = desk.sweeper()
    desk.acme.rate_left = 174
    await sweeper.sweep()
    assert desk.zendesk.count("GET", "/audits") == 0
    desk.acme.rate_left = 600
    await sweeper.sweep()
    assert [text for text, _ in await desk.said(ticket)][1:] == ["Hello?"]


async def test_a_webhook_about_a_ticket_that_was_deleted_is_done_with(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    desk.zendesk.webhooks = "hold"
    desk.acme.say(ticket, "ada@example.com", "never mind")
    desk.acme.delete(ticket)
    desk.zendesk.release()
    await desk.settled()
    assert desk.zendesk.deliveries[-1].status == 204
    assert await desk.said(ticket) == []


async def test_what_the_team_hides_afterwards_is_gone_from_the_record(desk: Desk) -> None:
    ticket = await desk.ticket_of_a_session()
    first = desk.acme.say(ticket, "bob@acme.example", "the password is hunter2")
    second = desk.acme.say(ticket, "bob@acme.example", "meant for you, Eve")
    await desk.settled()
    desk.acme.redact(ticket, first, "bob@acme.example", "hunter2")
    desk.acme.make_private(ticket, second, "bob@acme.example")
    desk.acme.say(ticket, "bob@acme.example", "sorry")  # Zendesk runs no trigger for what came before it
    await desk.settled()
    async with desk.store.read() as db:
        kept = {row.text: row.deleted_at is not None for row in await db.scalars(select(Message))}
    assert kept == {"It smokes.": False, "the password is ▇▇▇▇▇▇▇": False, "meant for you, Eve": True, "sorry": False}
    assert [(row.kind, row.outcome) for row in await desk.rows("edit") + await desk.rows("delete")] == [
        ("edit", None),
        ("delete", None),
    ]


async def test_many_changed_tickets_are_read_over_several_sweeps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.zendesk.sweeping.READS", 2)
    tickets = [await desk.ticket_of_a_session() for _ in range(5)]
    desk.zendesk.webhooks = "drop"
    for ticket in tickets:
        desk.acme.say(ticket, "ada@example.com", "Hello?")
    desk.acme.age(timedelta(minutes=2))
    sweeper = desk.sweeper()
    seen = []
    for _ in range(4):
        await sweeper.sweep()
        async with desk.store.read() as db:
            keys = set(await db.scalars(select(Posting.surface_key)))
        seen.append(len(keys))
    assert seen == [2, 4, 5, 5]
