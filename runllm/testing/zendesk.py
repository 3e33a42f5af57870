"""Zendesk in tests with the real engine: customers write in, agents comment and solve, and tickets are read as text."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from runllm.testing.platforms.zendesk import ZendeskStandIn
from runllm.testing.serving import PATIENCE, Serving

T = TypeVar("T")

SUBDOMAIN = "acme"
"""The account that tests talk in where they name none."""

AGENT, REQUESTER = "agent", "requester"


class Zendesk:
    """A Zendesk account that the engine is connected to, with its customers and agents.

    `RunningEngine.zendesk` makes it. It shows what happens from then on: earlier tests' tickets are not counted.

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
        self.subdomain = subdomain
        self._serving = serving
        self._account = serving.stand_in("zendesk", _opened).account(subdomain)
        self.email, self.api_token = self._account.email, self._account.api_token
        self._before = set(self._account.tickets)

    @property
    def title(self) -> str:
        """What it is called below a failure."""
        return f"Zendesk, account {self.subdomain}"

    def opens(self, subject: str, text: str = "", *, by: str = "Ada", tags: tuple[str, ...] = ()) -> "TicketInZendesk":
        """A customer writes in.

        Args:
            subject: What the ticket is about.
            text: The first comment; the subject again where it is empty.
            by: The customer.
            tags: What the ticket is tagged with.

        Returns:
            The new ticket.

        Example:
            ```python
            ticket = zendesk.opens("Printer", "It smokes.", by="Ada", tags=("ask-bot",))
            ```
        """

        def opened() -> int:
            email = _address(by, "customer.example")
            self._account.user(email, name=by)
            return self._account.open(email, subject, text or subject, tags=list(tags))

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
            return [f"Ticket {id}: {self._account.transcript(id)}\n" for id in new]

        return "\n".join(self._do(lines)).rstrip()

    # What tickets use

    def _do(self, work: Callable[[], T]) -> T:
        return self._serving.do(self, work)

    def _until(self, look: Callable[[], T | None], seconds: float, missing: str) -> T:
        __tracebackhide__ = True
        return self._serving.until(self, look, seconds, lambda: missing)

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
    """

    author: str
    text: str
    is_public: bool


@dataclass(frozen=True)
class TicketInZendesk:
    """A ticket in Zendesk.

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

    def comment(self, text: str, *, by: str = AGENT, public: bool = True, status: str | None = None) -> None:
        """Somebody comments on the ticket.

        Args:
            text: What they write.
            by: Who: `agent`, `requester`, or the name of somebody; who is not known yet is an agent.
            public: The customer sees it; else it is an internal note.
            status: The status that they set with it, like `pending`.

        Example:
            ```python
            ticket.comment("He is a good customer.", by="Grace", public=False)
            ```
        """
        account = self.zendesk._account
        self.zendesk._do(
            lambda: account.say(self.id, self.zendesk._email(by, self.id), text, public=public, status=status)
        )

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
        """All comments, whoever wrote them."""
        account = self.zendesk._account

        def found() -> list[Comment]:
            return [
                Comment(account.users[one["author_id"]]["name"], one["plain_body"], one["public"])
                for one in account.comments(self.id)
            ]

        return self.zendesk._do(found)

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

    def _by_engine(self) -> list[str]:
        return [
            str(event["plain_body"])
            for audit in self.zendesk._account.audits[self.id]
            for event in audit["events"]
            if event["type"] == "Comment" and audit["via"]["channel"] == "api"
        ]


@asynccontextmanager
async def _opened(at: socket.socket) -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start(at)
    try:
        yield fake
    finally:
        await fake.stop()


def _address(name: str, domain: str) -> str:
    return name if "@" in name else f"{'.'.join(name.lower().split())}@{domain}"
