"""Heals lost webhooks: what Zendesk's incremental export says has changed is read, as a webhook would have had it read.

One gateway sweeps an account at a time, by a lease; how far it has got is in the record, so an outage costs time and no
comment. The export leaves out the last minute, and Zendesk allows ten of its pages a minute: a sweep takes few, and few
tickets, and leaves the rest to the next one.

https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/
"""

import asyncio
import logging
import secrets
from datetime import datetime, timedelta
from typing import Any

from gateways.routing import routes_of
from gateways.zendesk.account import Account
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.inbound import Ticket
from gateways.zendesk.reading import Reader, listens
from runllm.bridge.surfaces import surface_key
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError
from store import cursors, leases, sessions
from store.engine import Store
from store.models import now

log = logging.getLogger(__name__)

PAGES = 4
"""Pages of the export in one sweep."""

READS = 60
"""Tickets that are read in one sweep: two calls each, far below what the smallest plan allows in a minute."""

OPEN = 30
"""Tickets that are looked at in one sweep where there is no export."""

LEAVES = 0.25
"""The part of an account's rate that a sweep leaves to others: to comments of ours, and to other programs."""

_LEASE = 20.0
_BEGIN_BEFORE = timedelta(minutes=5)
_LONGEST_PAUSE = 900.0


class TicketSweeper:
    """Sweeps all connected accounts, again and again."""

    def __init__(self, store: Store, accounts: Accounts, reader: Reader, every: float) -> None:
        self._store = store
        self._accounts = accounts
        self._reader = reader
        self._every = every
        self._me = f"gateway-{secrets.token_hex(4)}"
        self._not_before: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("Zendesk: a sweep failed; the next one follows")
            await asyncio.sleep(self._every)

    async def sweep(self) -> None:
        """Sweeps each account once. One that fails does not hold the others up, and is left alone for a while."""
        for account in await self._accounts.all():
            if self._not_before.get(account.subdomain, now()) > now():
                continue
            try:
                await self._sweep(account)
                self._failures.pop(account.subdomain, None)
            except SurfaceError as error:
                self._put_off(account.subdomain, error)

    async def _sweep(self, account: Account) -> None:
        if not await self._is_mine(account):
            return
        async with self._store.read() as db:
            position = await cursors.position(db, _name(account))
        since = int(position) if position else int((now() - _BEGIN_BEFORE).timestamp())
        left = READS
        for _ in range(PAGES):
            try:
                page = await account.changed_tickets(since)
            except Rejected as refusal:
                if (
                    "recent" not in str(refusal).lower()
                ):  # else nothing is old enough yet, or the clocks differ a little
                    await self._look_at_open(account)
                return
            async with self._store.read() as db:
                relevant = await self._relevant(db, account, page["tickets"])
            for ticket in relevant[:left]:
                if account.room < LEAVES or not await self._is_mine(account):
                    return
                await self._read(account, str(ticket["id"]))
            if len(relevant) > left:
                return  # the same page again next time: what was read is known by then
            left -= len(relevant)
            is_all = bool(page.get("end_of_stream"))
            since = await self._advance(account, since, page.get("end_time"), is_all)
            if is_all:
                return

    async def _look_at_open(self, account: Account) -> None:
        """Without the export, which is for administrators: the tickets of open conversations, one by one."""
        prefix = f"zendesk:{account.subdomain}:"
        async with self._store.read() as db:
            keys = await sessions.still_open(db, prefix, OPEN)
        for key in keys:
            if account.room < LEAVES or not await self._is_mine(account):
                return
            await self._read(account, key.removeprefix(prefix))

    async def _is_mine(self, account: Account) -> bool:
        """Takes or keeps the account's lease; a gateway that dies is replaced when it has run out."""
        async with self._store.begin() as db:
            name, seconds = f"zendesk:{account.subdomain}", max(_LEASE, 1.5 * self._every)
            return await leases.acquire(db, name, self._me, seconds)

    async def _advance(self, account: Account, since: int, end_time: Any, is_all: bool) -> int:
        """Remembers how far we are. A page that begins and ends in the same second would come again for ever."""
        reached = max(int(end_time or since), since)
        if reached == since and not is_all:
            log.warning("Zendesk: %s changed more tickets in one second than a page holds", account.subdomain)
            reached += 1
        async with self._store.begin() as db:
            await cursors.advance(db, _name(account), f"{reached:012d}")
        return reached

    async def _relevant(self, db: Any, account: Account, tickets: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Tickets of our conversations, and all where a workflow listens, without those that were read since."""
        keys = {
            surface_key(Ticket(subdomain=account.subdomain, id=str(ticket["id"])).surface): ticket for ticket in tickets
        }
        wanted = set(keys) if listens(await routes_of(db), account.subdomain) else await sessions.bound(db, list(keys))
        return [
            ticket
            for key, ticket in keys.items()
            if key in wanted and not self._reader.has_read(key, str(ticket["updated_at"]))
        ]

    async def _read(self, account: Account, ticket_id: str) -> None:
        try:
            taken = await self._reader.read(account, ticket_id)
        except Rejected as refusal:  # deleted meanwhile
            log.info("Zendesk: ticket %s of %s cannot be read: %s", ticket_id, account.subdomain, refusal)
            return
        if taken:
            log.warning("Zendesk: %d events on ticket %s of %s had no webhook", taken, ticket_id, account.subdomain)

    def _put_off(self, subdomain: str, error: SurfaceError) -> None:
        failures = self._failures[subdomain] = self._failures.get(subdomain, 0) + 1
        pause = min(self._every * 2**failures, _LONGEST_PAUSE)
        if isinstance(error, RateLimited):
            pause = max(error.retry_after, self._every)
        elif isinstance(error, NotConnected | Rejected):
            pause = _LONGEST_PAUSE  # a person has to do something first
        self._not_before[subdomain] = now() + timedelta(seconds=pause)
        log.warning("Zendesk: no sweep of %s for %.0f s: %s", subdomain, pause, error)


def _name(account: Account) -> str:
    return f"zendesk:{account.subdomain}:export"
