"""Zendesk, as far as the engine sees it: tickets, comments, audits, users, files, webhooks and triggers over real HTTP.

Several accounts live on one port, each under the path `/{subdomain}`. It keeps state, checks credentials and signs its
webhooks, and refuses what Zendesk refuses. On request it misbehaves: see `ZendeskStandIn.next` and `webhooks`.

    fake = await ZendeskStandIn.start()
    acme = fake.account("acme")
    ticket = acme.open("ada@example.com", "Printer", "It smokes.")   # a customer writes in
    acme.say(ticket, "bob@acme.example", "Unplug it!")               # an agent of the team answers
    acme.comments(ticket)                                            # what the ticket shows now
    fake.next("PUT", "/tickets/", lose_reply=True)                   # writes, then hangs up
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiohttp
from aiohttp import web

from runllm.testing.platforms.file_kinds import kind_of

LONGEST_COMMENT = 65_535
MOST_COMMENTS = 5_000
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
_PLACEHOLDER = re.compile(r"(\\?)\{\{\s*([a-z_.]+)\s*\}\}")
_BLACK = "▇"

Webhooks = Literal["deliver", "drop", "twice", "hold"]


@dataclass
class Misbehaviour:
    """What the next matching call meets instead of an answer."""

    method: str
    path: str
    status: int = 0
    retry_after: float | None = None
    lose_reply: bool = False
    slow: float = 0.0
    times: int = 1
    body: dict[str, Any] | None = None
    meanwhile: Callable[[], object] | None = None
    afterwards: Callable[[], object] | None = None


@dataclass
class Call:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Delivery:
    """An attempt to deliver a webhook, and what it was answered; 0 where nobody answered."""

    url: str
    headers: dict[str, str]
    body: bytes
    status: int = 0


class _RefusedError(Exception):
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


def _invalid(**details: str) -> _RefusedError:
    problems = {name: [{"description": text, "error": "InvalidValue"}] for name, text in details.items()}
    return _RefusedError(
        422, {"error": "RecordInvalid", "description": "Record validation errors", "details": problems}
    )


@dataclass
class Oauth:
    """Sign-ins: what was given out, and until when it is good.

    Attributes:
        codes: The redirect URL and the challenge of each code, and when it ends. A code is good once.
        tokens: When each access token ends.
        refresh: The access token that each refresh token belongs to, and when it ends. It is good once.
    """

    codes: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    refresh: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass
class ZendeskAccount:
    """One account. People are named by their e-mail address; tickets by their number."""

    fake: "ZendeskStandIn"
    subdomain: str
    email: str = "bot@engine.example"
    api_token: str = "token-of-acme"
    oauth_token: str = "oauth-of-acme"
    client_id: str = "engine"
    client_secret: str = "secret-of-the-client"
    redirect_urls: list[str] = field(default_factory=list)
    oauth: Oauth = field(default_factory=Oauth)
    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    audits: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    triggers: dict[int, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[int, tuple[dict[str, Any], bytes]] = field(default_factory=dict)
    remembered: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    may_redact: bool = True
    may_make_users: bool = True
    export_lag: timedelta = timedelta(minutes=1)
    export_page: int = 1000
    skew: timedelta = timedelta()
    bot_role: str = "admin"
    sideloads: bool = True
    rate: int = 700
    rate_left: int = 600

    def __post_init__(self) -> None:
        self.bot_id = self.user(self.email, name="Support Bot", role=self.bot_role)

    def allow(self, address: str) -> str:
        """An administrator, sent to `address`, lets the engine act for them; returns where Zendesk sends them then.

        Raises:
            AssertionError: Zendesk shows an error and sends nobody back.
        """
        where, asked = urlsplit(address), dict(parse_qsl(urlsplit(address).query))
        assert where.path.endswith("/oauth/authorizations/new"), where.path
        assert asked["response_type"] == "code"
        assert asked["client_id"] == self.client_id, "there is no such OAuth client"
        assert asked["redirect_uri"] in self.redirect_urls, "the redirect URL is not one of the client's"
        assert set(asked["scope"].split()) <= {"read", "write"}
        assert asked.get("code_challenge_method", "S256") == "S256"
        code = secrets.token_hex(16)
        self.oauth.codes[code] = (asked["redirect_uri"], asked.get("code_challenge", ""), time.time() + 120)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    # People and their doings: what happens in Zendesk while the engine looks on

    def user(self, email: str, *, name: str = "", role: str = "end-user", **more: Any) -> int:
        """The id of a person; made on first sight."""
        for id, known in self.users.items():
            if email and known.get("email") == email:
                return id
        id = self.fake.number()
        shown = name or email.partition("@")[0].title()
        self.users[id] = {"id": id, "name": shown, "role": role, "active": True, "verified": True, **more}
        if email:
            self.users[id]["email"] = email
        return id

    def agent(self, email: str, name: str = "") -> int:
        """The id of a member of the support team."""
        return self.user(email, name=name, role="agent")

    def open(
        self, email: str, subject: str, text: str, *, files: Mapping[str, bytes] | None = None, **fields: Any
    ) -> int:
        """A customer opens a ticket. Returns its number."""
        author = self.user(email)
        ticket = self._new_ticket(author, author, subject, fields)
        comment = {"body": text, "public": True, "uploads": self._keep_files(files)}
        self._change(ticket, author, {"comment": comment}, via="web", is_new=True)
        return int(ticket["id"])

    def say(
        self,
        ticket: int,
        email: str,
        text: str,
        *,
        public: bool = True,
        status: str | None = None,
        files: Mapping[str, bytes] | None = None,
        via: str = "web",
    ) -> int:
        """Somebody comments. Returns the number of the comment."""
        author = self.user(email)
        uploads = self._keep_files(files)
        comment: dict[str, Any] = {"body": text, "public": public, "author_id": author, "uploads": uploads}
        fields: dict[str, Any] = {"comment": comment}
        before = self.tickets[ticket]["status"]
        if status is not None:
            fields["status"] = status
        elif self.users[author]["role"] == "end-user" and before in ("pending", "hold", "solved"):
            fields["status"] = "open"
        audit = self._change(self.tickets[ticket], author, fields, via=via)
        return int(next(event["id"] for event in audit["events"] if event["type"] == "Comment"))

    def make_private(self, ticket: int, comment: int, email: str) -> None:
        """An agent makes a public comment internal."""
        self._event(ticket, comment)["public"] = False
        change = {"id": self.fake.number(), "type": "CommentPrivacyChange", "comment_id": comment, "public": False}
        self._note(ticket, self.user(email), change)

    def redact(self, ticket: int, comment: int, email: str, text: str) -> None:
        """An agent blackens `text` in a comment."""
        event = self._event(ticket, comment)
        for name in ("body", "plain_body", "html_body"):
            event[name] = event[name].replace(text, _BLACK * len(text))
        self._note(
            ticket, self.user(email), {"id": self.fake.number(), "type": "CommentRedactionEvent", "comment_id": comment}
        )

    def delete(self, ticket: int) -> None:
        """Somebody deletes a ticket."""
        del self.tickets[ticket], self.audits[ticket]

    def comment_event(self, ticket: int, comment: int) -> dict[str, Any]:
        """What a webhook that is subscribed to ticket events says of a comment."""
        event, author = self._event(ticket, comment), self.users[self._event(ticket, comment)["author_id"]]
        now, found = self._now().strftime("%Y-%m-%dT%H:%M:%S.123456789Z"), self.tickets[ticket]
        return {
            "account_id": 123456,
            "detail": {
                "id": str(ticket),
                "status": found["status"].upper(),
                "subject": found["subject"],
                "tags": found["tags"] or None,
                "requester_id": str(found["requester_id"]),
                "updated_at": now,
            },
            "event": {
                "comment": {
                    "id": str(comment),
                    "body": event["body"],
                    "html_body": event["html_body"],
                    "is_public": event["public"],
                    "author": {
                        "id": str(author["id"]),
                        "is_staff": author["role"] in ("agent", "admin"),
                        "name": author["name"],
                    },
                }
            },
            "id": f"event-{self.fake.number()}",
            "subject": f"zen:ticket:{ticket}",
            "time": now,
            "type": "zen:event-type:ticket.comment_added",
            "zendesk_event_version": "2022-11-06",
        }

    def status_event(self, ticket: int, previous: str) -> dict[str, Any]:
        """What a webhook that is subscribed to ticket events says of a change of status."""
        now, found = self._now().strftime("%Y-%m-%dT%H:%M:%S.123456789Z"), self.tickets[ticket]
        return {
            "account_id": 123456,
            "detail": {"id": str(ticket), "status": found["status"].upper(), "tags": found["tags"], "updated_at": now},
            "event": {"current": found["status"].upper(), "previous": previous.upper()},
            "id": f"event-{self.fake.number()}",
            "subject": f"zen:ticket:{ticket}",
            "time": now,
            "type": "zen:event-type:ticket.status_changed",
            "zendesk_event_version": "2022-11-06",
        }

    def set_status(self, ticket: int, email: str, status: str) -> None:
        """Somebody sets a ticket's status."""
        self._change(self.tickets[ticket], self.user(email), {"status": status}, via="web")

    def tag(self, ticket: int, email: str, *tags: str) -> None:
        """Somebody adds tags."""
        every = sorted({*self.tickets[ticket]["tags"], *tags})
        self._change(self.tickets[ticket], self.user(email), {"tags": every}, via="web")

    def age(self, by: timedelta) -> None:
        """Lets time pass: what was done so far was done that much earlier."""
        for ticket in self.tickets.values():
            for name in ("created_at", "updated_at"):
                ticket[name] = _stamp(datetime.fromisoformat(ticket[name]) - by)
            for audit in self.audits[ticket["id"]]:
                audit["created_at"] = _stamp(datetime.fromisoformat(audit["created_at"]) - by)

    # What there is

    def comments(self, ticket: int) -> list[dict[str, Any]]:
        """The comments of a ticket, oldest first."""
        return [
            {**event, "created_at": audit["created_at"], "metadata": audit["metadata"]}
            for audit in self.audits[ticket]
            for event in audit["events"]
            if event["type"] == "Comment"
        ]

    def texts(self, ticket: int) -> list[str]:
        """What the comments of a ticket say, without mark-up."""
        return [str(comment["plain_body"]) for comment in self.comments(ticket)]

    def transcript(self, ticket: int) -> str:
        """A ticket as an agent sees it, as text."""
        found = self.tickets[ticket]
        requester = self.users[found["requester_id"]]["name"]
        lines = [
            f"{found['subject']}",
            f"{found['status']} · requester {requester} · tags {', '.join(found['tags']) or 'none'}",
        ]
        for audit in self.audits[ticket]:
            for event in audit["events"]:
                who = self.users[event.get("author_id") or audit["author_id"]]["name"]
                if event["type"] == "Comment":
                    kind = "" if event["public"] else " (internal)"
                    text = "\n".join(f"│ {line}" for line in event["plain_body"].splitlines() if line.strip())
                    lines += ["", f"{who}{kind}", text]
                elif event.get("field_name") == "status":
                    lines += ["", f"{who} sets the status to {event['value']}"]
        return "\n".join(lines)

    def forget_keys(self) -> None:
        """Two hours pass for idempotency keys."""
        self.remembered.clear()

    def secret_of(self, webhook_id: str) -> str:
        """The signing secret of a webhook."""
        return hashlib.sha256(f"secret {self.subdomain} {webhook_id}".encode()).hexdigest()

    # Changes

    def _new_ticket(self, requester: int, submitter: int, subject: str, fields: dict[str, Any]) -> dict[str, Any]:
        id = self.fake.number()
        at = _stamp(self._now())
        ticket = {
            "id": id,
            "url": f"{self._api}/tickets/{id}.json",
            "subject": self._expand(subject, id),
            "raw_subject": subject,
            "status": fields.get("status", "new"),
            "tags": sorted(set(fields.get("tags", []))),
            "requester_id": requester,
            "submitter_id": submitter,
            "created_at": at,
            "updated_at": at,
            "is_public": True,
            "via": {"channel": "api", "source": {"from": {}, "to": {}}},
            "custom_fields": [],
            "collaborator_ids": [],
            "followup_ids": [],
        }
        if fields.get("external_id"):
            ticket["external_id"] = str(fields["external_id"])
        self.tickets[id], self.audits[id] = ticket, []
        return ticket

    def _change(
        self, ticket: dict[str, Any], who: int, fields: dict[str, Any], *, via: str = "api", is_new: bool = False
    ) -> dict[str, Any]:
        if ticket["status"] == "closed" and not is_new:
            raise _invalid(status="Status: closed prevents ticket update")
        events: list[dict[str, Any]] = []
        status = fields.get("status")
        if status is not None and status not in STATUSES:
            raise _invalid(status=f"Status: {status} is not a valid value")
        if fields.get("comment"):
            events.append(self._comment(ticket, who, fields["comment"]))
        for name in ("status", "tags", "subject"):
            if name in fields and fields[name] != ticket[name]:
                value = fields[name] if name != "tags" else sorted(set(fields["tags"]))
                before = ticket[name]
                ticket[name] = value
                shown = " ".join(value) if name == "tags" else value
                events.append(
                    {
                        "id": self.fake.number(),
                        "type": "Change",
                        "field_name": name,
                        "value": shown,
                        "previous_value": " ".join(before) if name == "tags" else before,
                    }
                )
        ticket["updated_at"] = _stamp(self._now())
        audit = {
            "id": self.fake.number(),
            "ticket_id": ticket["id"],
            "author_id": who,
            "created_at": ticket["updated_at"],
            "events": events,
            "metadata": {"system": {"client": "stand-in"}, "custom": dict(fields.get("metadata") or {})},
            "via": {"channel": via, "source": {"from": {}, "to": {}}},
        }
        self.audits[ticket["id"]].append(audit)
        self._run_triggers(ticket, audit, is_new)
        return audit

    def _event(self, ticket: int, comment: int) -> dict[str, Any]:
        return next(e for audit in self.audits[ticket] for e in audit["events"] if e["id"] == comment)

    def _note(self, ticket: int, who: int, event: dict[str, Any]) -> None:
        audit = self._change(self.tickets[ticket], who, {}, via="web")
        audit["events"].append(event)

    def _comment(self, ticket: dict[str, Any], who: int, comment: dict[str, Any]) -> dict[str, Any]:
        if len(self.comments(ticket["id"])) >= MOST_COMMENTS:
            raise _invalid(comment="Comment: the ticket has reached the limit of 5000 comments")
        if "html_body" in comment:
            html = str(comment["html_body"])
        else:  # mark-up in `body` is stripped, blank lines and spaces collapse
            body = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", str(comment.get("body") or "")))
            html = f"<p>{_escaped(body)}</p>"
        if not _text(html).strip() and not comment.get("uploads"):
            raise _invalid(comment="Comment: cannot be blank")
        html = html.encode()[:LONGEST_COMMENT].decode(errors="ignore")  # silently
        html = self._expand(html, ticket["id"])
        earlier = self.comments(ticket["id"])
        is_public = comment.get("public", earlier[0]["public"] if earlier else True)
        attachments = []
        for token in comment.get("uploads") or []:
            if token not in self.uploads:
                raise _invalid(uploads="Upload token is invalid or expired")
            attachments.append(self.uploads.pop(token))
        return {
            "id": self.fake.number(),
            "type": "Comment",
            "author_id": int(comment.get("author_id") or who),
            "body": _text(html),
            "html_body": f'<div class="zd-comment" dir="auto">{html}</div>',
            "plain_body": _text(html),
            "public": bool(is_public),
            "attachments": attachments,
        }

    def _expand(self, text: str, ticket_id: int) -> str:
        def value(found: re.Match[str]) -> str:
            if found[1]:
                return found[0][1:]
            return str(self._placeholders(ticket_id).get(found[2], ""))

        return _PLACEHOLDER.sub(value, text)

    def _placeholders(self, ticket_id: int) -> dict[str, Any]:
        ticket = self.tickets.get(ticket_id, {})
        requester = self.users.get(ticket.get("requester_id", 0), {})
        return {
            "ticket.id": ticket_id,
            "ticket.status": str(ticket.get("status", "")).title(),
            "ticket.tags": " ".join(ticket.get("tags", [])),
            "ticket.requester.email": requester.get("email", ""),
            "ticket.requester.name": requester.get("name", ""),
            "ticket.external_id": ticket.get("external_id", ""),
        }

    def _keep_files(self, files: Mapping[str, bytes] | None) -> list[str]:
        return [self._keep_file(name, kind_of(name), data) for name, data in (files or {}).items()]

    def _keep_file(self, name: str, mimetype: str, data: bytes) -> str:
        id = self.fake.number()
        attachment = {
            "id": id,
            "file_name": name,
            "content_type": mimetype,
            "size": len(data),
            "content_url": f"https://{self.subdomain}.zendesk.com/attachments/token/t{id}/?name={quote(name)}",
            "inline": False,
        }
        self.files[id] = (attachment, data)
        token = f"upload-{id}"
        self.uploads[token] = attachment
        return token

    # Triggers and webhooks

    def _run_triggers(self, ticket: dict[str, Any], audit: dict[str, Any], is_new: bool) -> None:
        for trigger in self.triggers.values():
            if not trigger.get("active", True) or not _holds(trigger["conditions"], ticket, audit, is_new):
                continue
            for action in trigger["actions"]:
                if action["field"] == "notification_webhook":
                    webhook_id, template = action["value"]
                    hook = self.webhooks.get(webhook_id)
                    if hook is not None and hook["status"] == "active":
                        body = self._expand(template, ticket["id"]).encode()
                        self.fake.deliver(self, hook, body)

    def signed(self, body: bytes, secret: str, at: datetime | None = None, invocation: str = "") -> dict[str, str]:
        """The headers of a webhook, as Zendesk signs it."""
        stamp = _stamp(at or datetime.now(UTC))
        digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Zendesk Webhook",
            "X-Zendesk-Account-Id": "123456",
            "X-Zendesk-Webhook-Id": "01",
            "X-Zendesk-Webhook-Invocation-Id": invocation or f"inv-{self.fake.number()}",
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
            "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        }

    @property
    def _api(self) -> str:
        return f"https://{self.subdomain}.zendesk.com/api/v2"

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.skew


class ZendeskStandIn:
    """The server. `url_template` is what the engine's setting for Zendesk's address is to be."""

    def __init__(self) -> None:
        self.accounts: dict[str, ZendeskAccount] = {}
        self.calls: list[Call] = []
        self.deliveries: list[Delivery] = []
        self.held: list[tuple[ZendeskAccount, dict[str, Any], bytes]] = []
        self.webhooks: Webhooks = "deliver"
        self.is_away = False
        self.port = 0
        self._numbers = 100
        self._planned: list[Misbehaviour] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    async def start(cls, at: socket.socket | None = None) -> Self:
        """Starts one on a free port of the loopback address, or on `at`, which is bound already."""
        fake = cls()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:api/.*}", fake._serve)  # for its only account
        app.router.add_route("*", "/{path:attachments/.*}", fake._serve)
        app.router.add_route("*", "/{path:oauth/.*}", fake._serve)
        app.router.add_route("*", "/{subdomain}/{path:.*}", fake._serve)
        fake._runner = web.AppRunner(app, access_log=None)
        await fake._runner.setup()
        site = web.TCPSite(fake._runner, "127.0.0.1", 0) if at is None else web.SockSite(fake._runner, at)
        await site.start()
        fake.port = fake._runner.addresses[0][1]
        fake._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=12))
        return fake

    async def stop(self) -> None:
        """Stops it; webhooks under way are given up."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url_template(self) -> str:
        """Where the accounts are: `{subdomain}` in it stands for the name of one."""
        return f"http://127.0.0.1:{self.port}/{{subdomain}}"

    def account(self, subdomain: str = "acme") -> ZendeskAccount:
        """An account; made on first sight, with tokens of its own."""
        if subdomain not in self.accounts:
            self.accounts[subdomain] = ZendeskAccount(
                self, subdomain, api_token=f"token-of-{subdomain}", oauth_token=f"oauth-of-{subdomain}"
            )
        return self.accounts[subdomain]

    def next(
        self,
        method: str,
        path: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        lose_reply: bool = False,
        slow: float = 0.0,
        times: int = 1,
        body: dict[str, Any] | None = None,
        meanwhile: Callable[[], object] | None = None,
        afterwards: Callable[[], object] | None = None,
    ) -> None:
        """The next `times` calls of `method` whose path contains `path` misbehave.

        Args:
            status: Answer with this status, and do nothing. A 429 carries `retry_after`.
            lose_reply: Do it, and hang up without an answer.
            slow: Wait so many seconds first.
            body: The body that goes with `status`.
            meanwhile: Called before the call is looked at: what somebody else does at the same moment.
            afterwards: Called once it is done and before it is answered: what happens to the caller then.
        """
        plan = Misbehaviour(method, path, status, retry_after, lose_reply, slow, times, body, meanwhile, afterwards)
        self._planned.append(plan)

    @property
    def planned(self) -> int:
        """How many calls are still to misbehave."""
        return sum(plan.times for plan in self._planned)

    def calm(self) -> None:
        """From now on no call misbehaves."""
        self._planned.clear()
        self.is_away = False

    def number(self) -> int:
        """A number that nothing else has."""
        self._numbers += 1
        return self._numbers

    def count(self, method: str, path: str) -> int:
        """How many calls of that kind arrived."""
        return sum(1 for call in self.calls if call.method == method and path in call.path)

    def deliver(self, account: ZendeskAccount, hook: dict[str, Any], body: bytes) -> None:
        """Delivers a webhook as `webhooks` says."""
        if self.webhooks == "drop":
            return
        if self.webhooks == "hold":
            self.held.append((account, hook, body))
            return
        for _ in range(2 if self.webhooks == "twice" else 1):
            job = asyncio.get_running_loop().create_task(self._deliver(account, hook, body))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    def release(self, *, backwards: bool = False) -> None:
        """Delivers what was held, in order or backwards."""
        held, self.held, self.webhooks = self.held, [], "deliver"
        for account, hook, body in reversed(held) if backwards else held:
            self.deliver(account, hook, body)

    async def settled(self) -> None:
        """Waits until no webhook is under way."""
        while self._jobs:
            await asyncio.wait(set(self._jobs))

    async def _deliver(self, account: ZendeskAccount, hook: dict[str, Any], body: bytes) -> None:
        """A timeout is tried again up to 5 times, a 409 up to 3, a 429 or 503 where it says when; nothing else is."""
        timeouts = conflicts = waits = 0
        invocation = f"inv-{self.number()}"
        assert self._http is not None
        while True:
            headers = account.signed(body, account.secret_of(hook["id"]), invocation=invocation)
            attempt = Delivery(hook["endpoint"], headers, body)
            self.deliveries.append(attempt)
            try:
                async with self._http.post(hook["endpoint"], data=body, headers=headers) as response:
                    attempt.status = response.status
                    pause = response.headers.get("Retry-After", "")
            except (TimeoutError, aiohttp.ClientError):
                timeouts += 1
                if timeouts > 5:
                    return
                await asyncio.sleep(0.05)
                continue
            if attempt.status == 409 and conflicts < 3:
                conflicts += 1
                await asyncio.sleep(0.05)
            elif attempt.status in (429, 503) and pause.isdecimal() and int(pause) < 60 and waits < 5:
                waits += 1
                await asyncio.sleep(min(int(pause), 0.2))
            else:
                return

    # The API

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        path = request.match_info["path"]
        is_json = request.content_type == "application/json"
        try:
            body = json.loads(raw) if raw and is_json else None
        except ValueError:
            return web.json_response(
                {"error": "Unprocessable Entity", "message": "Server could not parse JSON"}, status=422
            )
        self.calls.append(Call(request.method, request.path, dict(request.headers), body))
        if self.is_away:
            return web.json_response({"error": "ServiceUnavailable"}, status=503)
        plan = self._plan(request)
        if plan is not None and plan.slow:
            await asyncio.sleep(plan.slow)
        if plan is not None and plan.meanwhile is not None:
            plan.meanwhile()
        if plan is not None and plan.status:
            headers = {} if plan.retry_after is None else {"Retry-After": f"{plan.retry_after:g}"}
            said = plan.body or {"error": "TooManyRequests" if plan.status == 429 else "InternalError"}
            return web.json_response(said, status=plan.status, headers=headers)
        try:
            answer = self._answer(request, path, body, raw)
        except _RefusedError as refusal:
            answer = web.json_response(refusal.body, status=refusal.status)
        if plan is not None and plan.afterwards is not None:
            plan.afterwards()
        if plan is not None and plan.lose_reply:
            assert request.transport is not None
            request.transport.abort()
        return answer

    def _plan(self, request: web.Request) -> Misbehaviour | None:
        for plan in self._planned:
            if plan.times > 0 and plan.method == request.method and plan.path in request.path:
                plan.times -= 1
                return plan
        return None

    def _answer(self, request: web.Request, path: str, body: Any, raw: bytes) -> web.Response:
        only = next(iter(self.accounts), "") if len(self.accounts) == 1 else ""
        account = self.accounts.get(request.match_info.get("subdomain", only))
        if account is None:
            raise _RefusedError(404, {"error": {"title": "No help desk at that address", "message": "..."}})
        if path.startswith("attachments/token/"):
            return _file(account, path)
        if path == "oauth/tokens" and request.method == "POST":
            return _grant_tokens(account, body)
        _check_credentials(account, request)
        what = path.removeprefix("api/v2/")
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, what)
            if found and method == request.method:
                answer = handler(account, _Asked(request, body, raw, found.groups()))
                limits = {"X-Rate-Limit": str(account.rate), "X-Rate-Limit-Remaining": str(account.rate_left)}
                answer.headers.update(limits)
                return answer
        raise _RefusedError(404, {"error": "InvalidEndpoint", "description": "Not found"})


@dataclass
class _Asked:
    request: web.Request
    body: Any
    raw: bytes
    parts: tuple[str, ...]

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query)


def _check_credentials(account: ZendeskAccount, request: web.Request) -> None:
    given = request.headers.get("Authorization", "")
    basic = base64.b64encode(f"{account.email}/token:{account.api_token}".encode()).decode()
    allowed = [
        f"Basic {basic}" if account.api_token else "",
        f"Bearer {account.oauth_token}" if account.oauth_token else "",
    ]
    token = given.removeprefix("Bearer ") if given.startswith("Bearer ") else ""
    if (not given or given not in allowed) and account.oauth.tokens.get(token, 0.0) <= time.time():
        raise _RefusedError(401, {"error": "Couldn't authenticate you"})


_TOKEN_FIELDS = {
    "grant_type", "code", "code_verifier", "client_id", "client_secret", "redirect_uri", "scope", "expires_in",
    "refresh_token_expires_in", "refresh_token",
}  # fmt: skip


def _grant_tokens(account: ZendeskAccount, body: Any) -> web.Response:
    """https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/"""
    if not isinstance(body, dict) or set(body) - _TOKEN_FIELDS:
        raise _bad_grant("invalid_request")
    if body.get("client_id") != account.client_id or body.get("client_secret") != account.client_secret:
        raise _RefusedError(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
    lives, refresh_lives = int(body.get("expires_in") or 0), int(body.get("refresh_token_expires_in") or 2_592_000)
    if (lives and not 300 < lives < 172_800) or not 604_800 < refresh_lives < 7_776_000:
        raise _bad_grant("invalid_request")
    match body.get("grant_type"):
        case "authorization_code":
            redirect, challenge, until = account.oauth.codes.pop(str(body.get("code")), ("", "", 0.0))
            digest = hashlib.sha256(str(body.get("code_verifier") or "").encode()).digest()
            proven = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
            if until < time.time() or redirect != body.get("redirect_uri") or not (proven or not challenge):
                raise _bad_grant("invalid_grant")
        case "refresh_token":
            old, until = account.oauth.refresh.pop(str(body.get("refresh_token")), ("", 0.0))
            if until < time.time():
                raise _bad_grant("invalid_grant")
            account.oauth.tokens.pop(old, None)
        case _:
            raise _bad_grant("unsupported_grant_type")
    access, refresh = f"access-{secrets.token_hex(16)}", f"refresh-{secrets.token_hex(16)}"
    account.oauth.tokens[access] = time.time() + lives if lives else float("inf")
    account.oauth.refresh[refresh] = (access, time.time() + refresh_lives)
    ends = {**({"expires_in": lives} if lives else {}), "refresh_token_expires_in": refresh_lives}
    given = {"access_token": access, "refresh_token": refresh, "token_type": "bearer", "scope": body.get("scope")}
    return _ok({**given, **ends}, 201)


def _bad_grant(error: str) -> "_RefusedError":
    return _RefusedError(400, {"error": error, "error_description": "The provided authorization grant is invalid"})


def _ok(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def _ticket(account: ZendeskAccount, id: str) -> dict[str, Any]:
    if not id.isdecimal() or int(id) not in account.tickets:
        raise _RefusedError(404, {"error": "RecordNotFound", "description": "Not found"})
    return account.tickets[int(id)]


def _me(account: ZendeskAccount, asked: _Asked) -> web.Response:
    return _ok({"user": account.users[account.bot_id]})


def _make_user(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if not account.may_make_users:
        raise _RefusedError(403, {"error": "Forbidden", "description": "You do not have access to this page"})
    wanted = dict(asked.body["user"])
    wanted.pop("skip_verify_email", None)
    for id, user in account.users.items():
        same_id = wanted.get("external_id") and user.get("external_id") == wanted["external_id"]
        if same_id or (wanted.get("email") and user.get("email") == wanted["email"]):
            user.update({name: value for name, value in wanted.items() if value is not None})
            return _ok({"user": account.users[id]})
    if not wanted.get("name"):
        raise _invalid(name="Name: is too short (minimum one character)")
    id = account.user(wanted.pop("email", ""), **wanted)
    return _ok({"user": account.users[id]}, 201)


def _show_users(account: ZendeskAccount, asked: _Asked) -> web.Response:
    ids = [int(id) for id in asked.query.get("ids", "").split(",") if id]
    if not 0 < len(ids) <= 100:
        raise _RefusedError(400, {"error": "TooManyValues", "description": "ids: between 1 and 100"})
    found = [account.users[id] for id in ids if id in account.users]
    return _ok({"users": found, "count": len(found), "next_page": None, "previous_page": None})


def _create_ticket(account: ZendeskAccount, asked: _Asked) -> web.Response:
    key = asked.request.headers.get("Idempotency-Key")
    same = hashlib.sha256(asked.raw).hexdigest()
    if key and key in account.remembered:
        before, answer = account.remembered[key]
        if before != same:
            raise _RefusedError(
                400, {"error": "IdempotentRequestError", "description": "Parameters differ from the first request"}
            )
        return _ok(answer, 201, {"x-idempotency-lookup": "hit"})
    if key and len(key) > 255:
        raise _RefusedError(400, {"error": "IdempotentRequestError", "description": "The key is too long"})
    fields = dict(asked.body["ticket"])
    if not fields.get("comment"):
        raise _invalid(base="Description: cannot be blank")
    source = fields.get("via_followup_source_id")
    if source is not None and account.tickets.get(int(source), {}).get("status") != "closed":
        raise _invalid(via_followup_source_id="Followup source: is not closed")
    requester = int(fields.get("requester_id") or account.bot_id)
    if requester not in account.users:
        raise _invalid(requester="Requester: is not a valid user")
    submitter = int(fields.get("submitter_id") or requester)
    ticket = account._new_ticket(requester, submitter, str(fields.get("subject") or ""), fields)
    try:
        wanted = {"comment": fields["comment"], "metadata": fields.get("metadata")}
        audit = account._change(ticket, submitter, wanted, is_new=True)
    except _RefusedError:
        del account.tickets[ticket["id"]], account.audits[ticket["id"]]
        raise
    if source is not None:
        account.tickets[int(source)]["followup_ids"].append(ticket["id"])
    answer = {"ticket": dict(ticket), "audit": audit}
    if key:
        account.remembered[key] = (same, answer)
    return _ok(answer, 201, {"x-idempotency-lookup": "miss"} if key else None)


def _check_stamp(ticket: dict[str, Any], fields: dict[str, Any]) -> None:
    if fields.get("safe_update") and fields.get("updated_stamp") != ticket["updated_at"]:  # "false" counts as true
        raise _RefusedError(
            409,
            {"error": "UpdateConflict", "description": "Safe Update prevented the update due to outdated ticket data"},
        )


def _update_ticket(account: ZendeskAccount, asked: _Asked) -> web.Response:
    ticket, fields = _ticket(account, asked.parts[0]), dict(asked.body["ticket"])
    _check_stamp(ticket, fields)
    audit = account._change(ticket, account.bot_id, fields)
    return _ok({"ticket": dict(ticket), "audit": audit})


def _add_tags(account: ZendeskAccount, asked: _Asked) -> web.Response:
    ticket = _ticket(account, asked.parts[0])
    _check_stamp(ticket, asked.body)
    wanted = [tag.strip().lower().replace(" ", "_") for tag in asked.body["tags"]]
    account._change(ticket, account.bot_id, {"tags": sorted({*ticket["tags"], *wanted})})
    return _ok({"tags": ticket["tags"]})


def _list_tickets(account: ZendeskAccount, asked: _Asked) -> web.Response:
    wanted = asked.query.get("external_id")
    found = [t for t in account.tickets.values() if wanted is None or t.get("external_id") == wanted]
    return _ok({"tickets": found, "count": len(found), "next_page": None, "previous_page": None})


def _paged(account: ZendeskAccount, asked: _Asked, name: str, items: list[Any]) -> dict[str, Any]:
    size = min(int(asked.query.get("page[size]", 100)), 100)
    start = int(asked.query.get("page[after]", 0))
    more = start + size < len(items)
    path = asked.request.match_info["path"]
    address = f"https://{account.subdomain}.zendesk.com/{path}?page%5Bsize%5D={size}&page%5Bafter%5D={start + size}"
    if "include" in asked.query:
        address += f"&include={asked.query['include']}"
    return {
        name: items[start : start + size],
        "meta": {"has_more": more, "after_cursor": str(start + size) if more else None},
        "links": {"next": address if more else None, "prev": None},
    }


def _list_audits(account: ZendeskAccount, asked: _Asked) -> web.Response:
    ticket = _ticket(account, asked.parts[0])
    page = _paged(account, asked, "audits", account.audits[ticket["id"]])
    if account.sideloads and "users" in asked.query.get("include", ""):
        people = {audit["author_id"] for audit in page["audits"]}
        people |= {e["author_id"] for audit in page["audits"] for e in audit["events"] if "author_id" in e}
        page["users"] = [account.users[id] for id in sorted(people)]
    return _ok(page)


def _list_comments(account: ZendeskAccount, asked: _Asked) -> web.Response:
    ticket = _ticket(account, asked.parts[0])
    return _ok(_paged(account, asked, "comments", account.comments(ticket["id"])))


def _redact(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if not account.may_redact:
        raise _RefusedError(403, {"error": "Forbidden", "description": "You do not have access to this page"})
    ticket = _ticket(account, str(asked.body["ticket_id"]))
    if ticket["status"] == "closed":
        raise _invalid(base="Ticket: is closed")
    for audit in account.audits[ticket["id"]]:
        for event in audit["events"]:
            if event["type"] == "Comment" and event["id"] == int(asked.parts[0]):
                black = re.sub(
                    r"<redact>(.*?)</redact>",
                    lambda found: re.sub(r"\S", _BLACK, found[1]),
                    asked.body["html_body"],
                    flags=re.S,
                ).replace(" redact>", ">")
                event["html_body"] = black
                event["body"] = event["plain_body"] = _text(black)
                ticket["updated_at"] = _stamp(account._now())
                shown = {**event, "created_at": audit["created_at"]}
                return _ok({"comment": shown})
    raise _RefusedError(404, {"error": "RecordNotFound", "description": "Not found"})


def _redact_file(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if not account.may_redact:
        raise _RefusedError(403, {"error": "Forbidden", "description": "You do not have access to this page"})
    attachment, _ = account.files[int(asked.parts[2])]
    attachment.update(file_name="redacted.txt", size=1)
    account.files[int(asked.parts[2])] = (attachment, b" ")
    return _ok({"attachment": attachment})


def _upload(account: ZendeskAccount, asked: _Asked) -> web.Response:
    name = asked.query.get("filename")
    if not name:
        raise _invalid(filename="Filename: cannot be blank")
    if len(asked.raw) > 50 * 1024 * 1024:
        raise _RefusedError(422, {"error": "AttachmentTooLarge", "description": "Attachment is too large"})
    token = account._keep_file(name, asked.request.content_type, asked.raw)
    attachment = account.uploads[token]
    return _ok({"upload": {"token": token, "attachment": attachment, "attachments": [attachment]}}, 201)


def _show_attachment(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if int(asked.parts[0]) not in account.files:
        raise _RefusedError(404, {"error": "RecordNotFound", "description": "Not found"})
    return _ok({"attachment": account.files[int(asked.parts[0])][0]})


def _file(account: ZendeskAccount, path: str) -> web.Response:
    found = re.match(r"attachments/token/t(\d+)/", path)
    if not found or int(found[1]) not in account.files:
        raise _RefusedError(404, {"error": "RecordNotFound"})
    attachment, data = account.files[int(found[1])]
    return web.Response(body=data, content_type=attachment["content_type"])


def _export(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if account.users[account.bot_id]["role"] != "admin":
        raise _RefusedError(403, {"error": "Forbidden", "description": "You do not have access to this page"})
    start = asked.query.get("start_time", "")
    if not start.isdecimal():
        raise _RefusedError(400, {"error": "StartTimeMissing", "description": "Missing start_time parameter"})
    if int(start) > (account._now() - timedelta(minutes=1)).timestamp():
        raise _RefusedError(422, {"error": "StartTimeTooRecent", "description": "Too recent start_time."})
    until = account._now() - account.export_lag
    changed = sorted(
        (int(datetime.fromisoformat(t["updated_at"]).timestamp()), t["id"])
        for t in account.tickets.values()
        if datetime.fromisoformat(t["updated_at"]) <= until
    )
    fresh = [row for row in changed if row[0] >= int(start)]
    page = fresh[: account.export_page]
    end = page[-1][0] if page else int(start)
    return _ok(
        {
            "tickets": [account.tickets[id] for _, id in page],
            "count": len(page),
            "end_of_stream": len(fresh) <= account.export_page,
            "end_time": end,
            "next_page": f"{account._api}/incremental/tickets.json?start_time={end}",
        }
    )


def _list_webhooks(account: ZendeskAccount, asked: _Asked) -> web.Response:
    wanted = asked.query.get("filter[name_contains]", "")
    found = [hook for hook in account.webhooks.values() if wanted in hook["name"]]
    return _ok(_paged(account, asked, "webhooks", found))


def _make_webhook(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if account.users[account.bot_id]["role"] != "admin":
        raise _RefusedError(403, {"errors": [{"code": "Forbidden", "title": "Forbidden"}]})
    wanted = dict(asked.body["webhook"])
    for name in ("endpoint", "http_method", "name", "request_format", "status"):
        if not wanted.get(name):
            raise _RefusedError(400, {"errors": [{"code": "InvalidWebhook", "title": f"{name} is missing"}]})
    id = f"01HOOK{account.fake.number()}"
    account.webhooks[id] = {"id": id, "subscriptions": [], **wanted}
    return _ok({"webhook": account.webhooks[id]}, 201)


def _change_webhook(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if asked.parts[0] not in account.webhooks:
        raise _RefusedError(404, {"errors": [{"code": "WebhookNotFound", "title": "Webhook not found"}]})
    account.webhooks[asked.parts[0]].update(asked.body["webhook"])
    return web.Response(status=204)


def _delete_webhook(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if any(asked.parts[0] in json.dumps(t["actions"]) for t in account.triggers.values()):
        raise _RefusedError(409, {"errors": [{"code": "WebhookConnectedToTrigger", "title": "Webhook is in use"}]})
    if account.webhooks.pop(asked.parts[0], None) is None:
        raise _RefusedError(404, {"errors": [{"code": "WebhookNotFound", "title": "Webhook not found"}]})
    return web.Response(status=204)


def _show_secret(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if asked.parts[0] not in account.webhooks:
        raise _RefusedError(404, {"errors": [{"code": "WebhookNotFound", "title": "Webhook not found"}]})
    return _ok({"signing_secret": {"algorithm": "SHA256", "secret": account.secret_of(asked.parts[0])}})


def _list_triggers(account: ZendeskAccount, asked: _Asked) -> web.Response:
    return _ok(_paged(account, asked, "triggers", list(account.triggers.values())))


def _checked_trigger(account: ZendeskAccount, asked: _Asked) -> dict[str, Any]:
    wanted = dict(asked.body["trigger"])
    for action in wanted.get("actions", []):
        if action["field"] == "notification_webhook" and action["value"][0] not in account.webhooks:
            raise _invalid(base="Webhook: does not exist")
    return wanted


def _make_trigger(account: ZendeskAccount, asked: _Asked) -> web.Response:
    wanted = _checked_trigger(account, asked)
    if not wanted.get("conditions") or not wanted.get("actions") or not wanted.get("title"):
        raise _invalid(base="Trigger: needs a title, conditions and actions")
    id = account.fake.number()
    account.triggers[id] = {"id": id, "active": True, "position": id, **wanted}
    return _ok({"trigger": account.triggers[id]}, 201)


def _change_trigger(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if int(asked.parts[0]) not in account.triggers:
        raise _RefusedError(404, {"error": "RecordNotFound", "description": "Not found"})
    account.triggers[int(asked.parts[0])].update(_checked_trigger(account, asked))
    return _ok({"trigger": account.triggers[int(asked.parts[0])]})


def _delete_trigger(account: ZendeskAccount, asked: _Asked) -> web.Response:
    if account.triggers.pop(int(asked.parts[0]), None) is None:
        raise _RefusedError(404, {"error": "RecordNotFound", "description": "Not found"})
    return web.Response(status=204)


_ROUTES: list[tuple[str, str, Callable[[ZendeskAccount, _Asked], web.Response]]] = [
    ("GET", r"users/me\.json", _me),
    ("POST", r"users/create_or_update\.json", _make_user),
    ("GET", r"users/show_many\.json", _show_users),
    ("POST", r"tickets\.json", _create_ticket),
    ("GET", r"tickets\.json", _list_tickets),
    ("GET", r"tickets/(\d+)\.json", lambda account, asked: _ok({"ticket": _ticket(account, asked.parts[0])})),
    ("PUT", r"tickets/(\d+)\.json", _update_ticket),
    ("PUT", r"tickets/(\d+)/tags\.json", _add_tags),
    ("GET", r"tickets/(\d+)/audits\.json", _list_audits),
    ("GET", r"tickets/(\d+)/comments\.json", _list_comments),
    ("PUT", r"tickets/(\d+)/comments/(\d+)/attachments/(\d+)/redact\.json", _redact_file),
    ("PUT", r"comment_redactions/(\d+)\.json", _redact),
    ("POST", r"uploads\.json", _upload),
    ("GET", r"attachments/(\d+)\.json", _show_attachment),
    ("GET", r"incremental/tickets\.json", _export),
    ("GET", r"webhooks", _list_webhooks),
    ("POST", r"webhooks", _make_webhook),
    ("PATCH", r"webhooks/(\w+)", _change_webhook),
    ("DELETE", r"webhooks/(\w+)", _delete_webhook),
    ("GET", r"webhooks/(\w+)/signing_secret", _show_secret),
    ("GET", r"triggers\.json", _list_triggers),
    ("POST", r"triggers\.json", _make_trigger),
    ("PUT", r"triggers/(\d+)\.json", _change_trigger),
    ("DELETE", r"triggers/(\d+)\.json", _delete_trigger),
]


def _holds(conditions: dict[str, Any], ticket: dict[str, Any], audit: dict[str, Any], is_new: bool) -> bool:
    def one(condition: dict[str, Any]) -> bool:
        comments = [event for event in audit["events"] if event["type"] == "Comment"]
        changed = {e["field_name"]: e["value"] for e in audit["events"] if e["type"] == "Change"}
        match condition["field"], condition["operator"], condition.get("value"):
            case "comment_is_public", "is", "not_relevant":
                return bool(comments)
            case "comment_is_public", "is", value:
                return any(comment["public"] == (str(value) == "true") for comment in comments)
            case "status", "value", value:
                return changed.get("status") == value
            case "status", "changed", _:
                return "status" in changed
            case "update_type", "is", value:
                return (value == "Create") == is_new
            case "current_tags", "includes", value:
                return bool(set(str(value).split()) & set(ticket["tags"]))
        raise _invalid(conditions=f"unknown condition {condition}")

    every, some = conditions.get("all") or [], conditions.get("any") or []
    return all(one(c) for c in every) and (not some or any(one(c) for c in some))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(html: str) -> str:
    lines = re.sub(r"</(p|li|pre|h\d|tr|div)>|<br ?/?>", "\n", html)
    bare = re.sub(r"<[^>]*>", "", lines)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&amp;", "&")):
        bare = bare.replace(entity, character)
    return bare.strip()
