"""Zendesk in tests with the real engine: customers write in, agents comment and solve, and tickets are read as text."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from runllm.testing.platforms.zendesk import ZendeskStandIn
from runllm.testing.played import Call, Files, Place, Played
from runllm.testing.serving import PATIENCE, Serving

SUBDOMAIN = "acme"
"""The account that tests talk in where they name none."""

AGENT, REQUESTER = "agent", "requester"

_CALLS: dict[Call, tuple[str, str]] = {
    "post": ("PUT", "/tickets/"),
    "open": ("POST", "/tickets.json"),
    "edit": ("PUT", "/tickets/"),
    "delete": ("PUT", "/comment_redactions/"),
    "upload": ("POST", "/uploads.json"),
}
_INVALID = {"error": "RecordInvalid", "description": "Record validation errors"}


class Zendesk(Played):
    """A Zendesk account that the engine is connected to, with its customers and agents.

    `RunningEngine.zendesk` makes it. It shows what happens from then on: earlier tests' tickets are not counted.
    `Played` has the methods for what goes wrong there: `will_fail`, `will_refuse`, `will_lose_reply` and `away`.

    Args:
        serving: Where the platform is served.
        subdomain: The account, as the workflow's `ZendeskListener` names it.

    Attributes:
        subdomain: The account.
        email, api_token: What opens it for the engine.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_it_answers_tickets(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            zendesk = runllm_engine.zendesk()
            ticket = zendesk.opens("My export stops", by="Ada")
            assert "Settings" in ticket.read(1)[0]
        ```
    """

    def __init__(self, serving: Serving, subdomain: str = SUBDOMAIN) -> None:
        super().__init__(serving)
        self.subdomain = subdomain
        self._platform: ZendeskStandIn = serving.stand_in("zendesk", _opened)
        self._account = self._platform.account(subdomain)
        self.email, self.api_token = self._account.email, self._account.api_token
        self._before = set(self._account.tickets)

    @property
    def title(self) -> str:
        """What it is called below a failure."""
        return f"Zendesk, account {self.subdomain}"

    def opens(
        self,
        subject: str,
        text: str = "",
        *,
        by: str = "Ada",
        tags: tuple[str, ...] = (),
        files: Files | None = None,
    ) -> "TicketInZendesk":
        """A customer writes in.

        Args:
            subject: What the ticket is about.
            text: The first comment; the subject again where it is empty.
            by: The customer.
            tags: What the ticket is tagged with.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The new ticket.

        Example:
            ```python
            ticket = zendesk.opens("Printer", "It smokes.", by="Ada", tags=("ask-bot",))
            ticket = zendesk.opens("Printer", "It smokes.", files={"smoke.png": b"..."})
            ```
        """

        def opened() -> int:
            email = _address(by, "customer.example")
            self._account.user(email, name=by)
            return self._account.open(email, subject, text or subject, tags=list(tags), files=files)

        return TicketInZendesk(self, self._do(opened))

    def ticket(self, number: int = 1, seconds: float = PATIENCE) -> "TicketInZendesk":
        """A ticket that the engine opened.

        Args:
            number: Which one, the first being 1.
            seconds: How long to wait for it.

        Raises:
            AssertionError: There is none after so many seconds.

        Example:
            ```python
            ticket = zendesk.ticket(1)
            ```
        """

        __tracebackhide__ = True

        def opened() -> int | None:
            new = [id for id in self._account.tickets if id not in self._before and self._is_engines(id)]
            return new[number - 1] if len(new) >= number else None

        return TicketInZendesk(self, self._until(opened, seconds, f"the engine opened no ticket {number}"))

    def transcript(self) -> str:
        """What happened in the account, a line each."""

        def lines() -> list[str]:
            new = [id for id in self._account.tickets if id not in self._before]
            return [*(f"Ticket {id}: {self._account.transcript(id)}\n" for id in new), *self._unmet()]

        return "\n".join(self._do(lines)).rstrip()

    # What tickets use

    def _plan(self, call: Call, times: int, **how: Any) -> None:
        method, path = _CALLS[call]
        self._platform.next(method, path, times=times, **how)

    def _refusal(self) -> dict[str, Any]:
        return {"status": 422, "body": _INVALID}

    def _is_engines(self, ticket: int) -> bool:
        return bool(self._account.audits[ticket][0]["via"]["channel"] == "api")

    def _email(self, name: str, ticket: int) -> str:
        """The address of somebody who comments: a person who is known by that name, or else a new agent."""
        users = self._account.users
        if name == REQUESTER:
            requester = users[self._account.tickets[ticket]["requester_id"]]
            if "email" not in requester:  # whom the engine made of somebody elsewhere
                requester["email"] = f"user-{requester['id']}@customer.example"
            return str(requester["email"])
        for user in users.values():
            if name in (user["name"], user.get("email")) and "email" in user:
                return str(user["email"])
        email = _address(name, f"{self.subdomain}.example")
        self._account.agent(email, name.title() if name == AGENT else name)
        return email


@dataclass(frozen=True)
class Comment:
    """A comment on a ticket.

    Attributes:
        author: Who wrote it.
        text: What it says, without mark-up.
        is_public: Whether the customer sees it.
        files: Its files, by name.
    """

    author: str
    text: str
    is_public: bool
    files: Files = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TicketInZendesk(Place[Comment]):
    """A ticket in Zendesk. It has the methods of `Place`, too: `until_shown` and `until_gone`.

    Attributes:
        zendesk: The account.
        id: The ticket's number.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_what_a_person_says_reaches_the_thread(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            slack, zendesk = runllm_engine.slack(), runllm_engine.zendesk()
            thread = slack.says("#support", "It is broken.", by="Ada")
            ticket = zendesk.ticket(1)
            ticket.comment("We are on it.", by="Grace")
            assert thread.read(1) == ["We are on it."]
        ```
    """

    zendesk: Zendesk
    id: int

    @property
    def first(self) -> "CommentInZendesk":
        """The comment that the ticket was opened with, to redact it or make it internal."""
        return CommentInZendesk(self, self.zendesk._do(lambda: int(self.zendesk._account.comments(self.id)[0]["id"])))

    def comment(
        self,
        text: str,
        *,
        by: str = AGENT,
        public: bool = True,
        status: str | None = None,
        files: Files | None = None,
    ) -> "CommentInZendesk":
        """Somebody comments on the ticket.

        Args:
            text: What they write.
            by: Who: `agent`, `requester`, or the name of somebody; who is not known yet is an agent.
            public: The customer sees it; else it is an internal note.
            status: The status that they set with it, like `pending`.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The comment, to redact it or make it internal.

        Example:
            ```python
            ticket.comment("He is a good customer.", by="Grace", public=False)
            ticket.comment("Here is how.", by="Grace", files={"how-to.pdf": b"%PDF-1.7"})
            ```
        """
        account = self.zendesk._account

        def said() -> int:
            email = self.zendesk._email(by, self.id)
            return account.say(self.id, email, text, public=public, status=status, files=files)

        return CommentInZendesk(self, self.zendesk._do(said))

    def set_status(self, status: str, *, by: str = AGENT) -> None:
        """Somebody sets the status.

        Args:
            status: `open`, `pending`, `hold`, `solved` or `closed`.
            by: Who, as for `comment`.

        Example:
            ```python
            ticket.set_status("pending", by="Grace")
            ```
        """
        account = self.zendesk._account
        self.zendesk._do(lambda: account.set_status(self.id, self.zendesk._email(by, self.id), status))

    def solve(self, *, by: str = AGENT) -> None:
        """Somebody solves the ticket.

        Args:
            by: Who, as for `comment`.

        Example:
            ```python
            ticket.solve(by="Grace")
            ```
        """
        self.set_status("solved", by=by)

    def read(self, count: int, seconds: float = PATIENCE) -> list[str]:
        """What the engine has written on the ticket, in order, once there are `count` comments.

        Args:
            count: How many to wait for.
            seconds: How long to wait.

        Returns:
            All comments of the engine, public and internal: more than `count` where there are more.

        Raises:
            AssertionError: There are fewer after so many seconds.

        Example:
            ```python
            assert "Ada: It is broken." in ticket.read(1)[0]
            ```
        """
        __tracebackhide__ = True
        return self.zendesk._serving.read(self.zendesk, self._by_engine, count, seconds)

    @property
    def comments(self) -> list[Comment]:
        """All comments as they are shown now, with their files, whoever wrote them."""
        return self.zendesk._do(self._all)

    @property
    def status(self) -> str:
        """The status now."""
        return str(self._field("status"))

    @property
    def tags(self) -> list[str]:
        """The tags now."""
        return list(self._field("tags"))

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self._field("subject"))

    def _field(self, name: str) -> Any:
        return self.zendesk._do(lambda: self.zendesk._account.tickets[self.id][name])

    def _on(self) -> Zendesk:
        return self.zendesk

    def _all(self) -> list[Comment]:
        account = self.zendesk._account
        return [
            Comment(
                account.users[one["author_id"]]["name"],
                one["plain_body"],
                one["public"],
                {file["file_name"]: account.files[file["id"]][1] for file in one["attachments"]},
            )
            for one in account.comments(self.id)
        ]

    def _by_engine(self) -> list[str]:
        return [
            str(event["plain_body"])
            for audit in self.zendesk._account.audits[self.id]
            for event in audit["events"]
            if event["type"] == "Comment" and audit["via"]["channel"] == "api"
        ]


@dataclass(frozen=True)
class CommentInZendesk:
    """A comment that somebody wrote on a ticket. Zendesk lets nobody edit it.

    The engine hears of a change with the next comment on the ticket, or when it looks through all tickets by itself.

    Attributes:
        ticket: Where it is.
        id: The comment's number.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_what_was_blackened_is_blackened_elsewhere(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            slack, zendesk = runllm_engine.slack(), runllm_engine.zendesk()
            thread = slack.says("#support", "It is broken.", by="Ada")
            comment = zendesk.ticket(1).comment("Her number is 555-0100", by="Grace")
            thread.until_shown("555-0100")
            comment.redact("555-0100", by="Grace")
            zendesk.ticket(1).comment("Sorry for that.", by="Grace")
            thread.until_gone("555-0100")
        ```
    """

    ticket: TicketInZendesk
    id: int

    def redact(self, text: str, *, by: str = AGENT) -> None:
        """Somebody blackens a text in it for good.

        Args:
            text: What nobody is to read any more, on one line.
            by: Who, as for `TicketInZendesk.comment`.

        Raises:
            AssertionError: The comment does not say that.

        Example:
            ```python
            ticket.comment("The password is sesame").redact("sesame", by="Grace")
            ```
        """
        zendesk, ticket = self.ticket.zendesk, self.ticket.id

        def blackened() -> None:
            said = next(one["plain_body"] for one in zendesk._account.comments(ticket) if one["id"] == self.id)
            if text not in said:
                raise AssertionError(f"the comment does not say {text!r}, but {said!r}")
            zendesk._account.redact(ticket, self.id, zendesk._email(by, ticket), text)

        zendesk._do(blackened)

    def make_internal(self, *, by: str = AGENT) -> None:
        """Somebody makes it an internal note: the customer does not see it any more.

        Args:
            by: Who, as for `TicketInZendesk.comment`.

        Example:
            ```python
            ticket.comment("He is difficult").make_internal(by="Grace")
            ```
        """
        zendesk, ticket = self.ticket.zendesk, self.ticket.id
        zendesk._do(lambda: zendesk._account.make_private(ticket, self.id, zendesk._email(by, ticket)))


@asynccontextmanager
async def _opened(at: socket.socket) -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start(at)
    try:
        yield fake
    finally:
        await fake.stop()


def _address(name: str, domain: str) -> str:
    return name if "@" in name else f"{'.'.join(name.lower().split())}@{domain}"
