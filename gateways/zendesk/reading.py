"""Reads a ticket and takes in what is new there. Webhooks and the sweeper end here, so both see the same things."""

import asyncio
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from gateways.adapter import Inbound
from gateways.matching import Route
from gateways.routing import Routing, routes_of
from gateways.zendesk.account import Account
from gateways.zendesk.inbound import Ticket, news, opening, times
from runllm.bridge.listeners import ZendeskListener
from runllm.bridge.surfaces import surface_key
from runllm.errors import Unavailable
from store import inbox, sessions
from store.engine import Store
from store.models import now

_MOST_REMEMBERED = 5_000
_FRESH = timedelta(seconds=30)


class Reader:
    """Reads tickets, each by one reader at a time."""

    def __init__(self, store: Store, routing: Routing) -> None:
        self._store = store
        self._routing = routing
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._read: dict[str, str] = {}  # ticket -> its `updated_at` when it was last read

    async def take(self, event: Inbound) -> None:
        """Takes in what a webhook says itself."""
        await self._routing.take_in(event)

    async def read(self, account: Account, ticket_id: str) -> int:
        """Takes in all that happened on a ticket since it was last read. Returns how much that was.

        Raises:
            SurfaceError: The account does not let us read it now, or at all.
        """
        key = surface_key(Ticket(subdomain=account.subdomain, id=ticket_id).surface)
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            async with self._store.read() as db:
                session = await sessions.bound_session(db, key)
                is_listened_to = listens(await routes_of(db), account.subdomain)
            found = await account.ticket(ticket_id)
            is_own = _is_own(account, found)
            is_ours = session is not None or is_listened_to or is_own
            if not is_ours or self.has_read(key, str(found["updated_at"])):
                return 0
            taken = await self._take_new(account, found, key, is_bound=session is not None, is_own=is_own)
            self._remember(key, str(found["updated_at"]))
            return taken

    def has_read(self, key: str, updated_at: str) -> bool:
        """Whether this ticket was read since it last changed."""
        return self._read.get(key) == updated_at

    async def _take_new(
        self, account: Account, found: dict[str, object], key: str, *, is_bound: bool, is_own: bool
    ) -> int:
        ticket = _ticket(account, found)
        audits, people = await account.audits(ticket.id)
        events = news(ticket, audits, people)
        if not is_bound and is_own:
            if any(event.kind == "message" for event in events):  # answered before we know whose ticket it is
                raise Unavailable(f"Ticket {ticket.id} was just opened and belongs to no conversation yet")
            return 0
        if not is_bound:
            first = opening(events, times(audits), now())
            if first is None:
                return 0
            await self._routing.take_in(first)
            return 1
        async with self._store.read() as db:
            known = await inbox.known(db, [event.dedupe_key for event in events])
        new = [event for event in events if event.dedupe_key not in known]
        for event in new:
            await self._routing.take_in(event)
        return len(new)

    def _remember(self, key: str, updated_at: str) -> None:
        self._read.pop(key, None)
        # A change within the same second would leave `updated_at` as it is, so a fresh one proves nothing yet.
        if _age(updated_at) > _FRESH:
            self._read[key] = updated_at
        while len(self._read) > _MOST_REMEMBERED:
            del self._read[next(iter(self._read))]


def listens(routes: list[Route], subdomain: str) -> bool:
    """Whether some published workflow listens to this account."""
    return any(
        isinstance(listener, ZendeskListener) and listener.subdomain == subdomain
        for route in routes
        for listener in route.listeners
    )


def _ticket(account: Account, found: dict[str, object]) -> Ticket:
    tags = found.get("tags")
    return Ticket(
        subdomain=account.subdomain,
        id=str(found["id"]),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        mark=account.credentials.mark,
        bot_user_id=account.credentials.bot_user_id,
    )


def _is_own(account: Account, found: dict[str, object]) -> bool:
    """Whether this engine opened the ticket: the conversation that it belongs to may not be bound to it yet."""
    mark = account.credentials.mark
    return bool(mark) and str(found.get("external_id") or "").startswith(f"{mark}:")


def _age(updated_at: str) -> timedelta:
    return now() - datetime.fromisoformat(updated_at)
