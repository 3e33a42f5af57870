"""The connected Zendesk accounts, opened from the record when they are needed, and kept signed in.

Zendesk deletes the old tokens as it gives new ones, without any grace: a process that is killed between Zendesk's
answer and the record (some ms every two days) loses the sign-in. That it asked is written down before, so that whoever
comes next can say what happened and what to do.

https://support.zendesk.com/hc/en-us/articles/9182123625370
"""

import logging
import secrets
import time
from functools import partial
from typing import NoReturn

from pydantic import ValidationError

from gateways.platforms import ZendeskSettings
from gateways.renewing import ASK_AGAIN, RenewalRefused, to_the_end, written_down
from gateways.zendesk import oauth
from gateways.zendesk.account import Account, Credentials, short_name
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable
from store import installations, leases
from store.engine import Store, StoreError
from store.models import Installation
from store.sealing import Seal

log = logging.getLogger(__name__)

_LEASE = 40.0
_STILL_GOOD = 30.0


class Accounts:
    """Accounts by subdomain. One that was connected again is opened with its new credentials."""

    def __init__(self, store: Store, seal: Seal, settings: ZendeskSettings) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings
        self._open: dict[str, tuple[bytes, Account]] = {}

    async def get(self, subdomain: str) -> Account:
        """The account of that name, like `acme` or `acme.zendesk.com`.

        Raises:
            NotConnected: It is not connected.
        """
        name = short_name(subdomain)
        async with self._store.read() as db:
            row = await installations.get(db, "zendesk", name)
        if row is None:
            refuse(name)
        return await self._fresh(row)

    async def only(self) -> Account:
        """The one account that is connected.

        Raises:
            NotConnected: There is none, or several, which are named.
        """
        async with self._store.read() as db:
            rows = await installations.of_platform(db, "zendesk")
        if not rows:
            refuse(None)
        if len(rows) > 1:
            names = ", ".join(f"{row.external_id}.zendesk.com" for row in rows)
            raise NotConnected(f"Several Zendesk accounts are connected: {names}. Say which one, with domain=")
        return await self._fresh(rows[0])

    async def all(self) -> list[Account]:
        """All connected accounts that can be opened; the others need to be connected again, as the doctor says."""
        async with self._store.read() as db:
            rows = await installations.of_platform(db, "zendesk")
        found = []
        for row in rows:
            try:
                found.append(await self._fresh(row))
            except (NotConnected, Unavailable):
                continue
        return found

    def close(self) -> None:
        """Lets go of open connections."""
        for _, account in self._open.values():
            account.close()
        self._open.clear()

    def _opened(self, row: Installation) -> Account:
        before = self._open.get(row.external_id)
        if before is not None and before[0] == row.credentials:
            return before[1]
        try:
            credentials = Credentials.model_validate({**self._seal.open(row.credentials), "subdomain": row.external_id})
        except (StoreError, ValidationError) as error:
            why = str(error) if isinstance(error, StoreError) else "its credentials are incomplete"
            raise NotConnected(
                f"Zendesk account {row.external_id!r} cannot be used: {why}. Connect it again: runllm connect zendesk"
            ) from None
        account = Account(credentials, self._settings.url, partial(self._is_replaced, row.external_id, row.credentials))
        self._open[row.external_id] = (row.credentials, account)
        return account

    # Sign-ins that end

    async def _fresh(self, row: Installation) -> Account:
        """The account, signed in for a while yet. One process at a time renews a sign-in, under a lease."""
        account = self._opened(row)
        if not account.credentials.is_ending:
            return account
        if account.credentials.refused_at > time.time() - ASK_AGAIN:
            return _usable(account, RenewalRefused(oauth.is_over(account.credentials)))
        holder = secrets.token_hex(8)
        async with self._store.begin() as db:
            mine = await leases.acquire(db, _lease(row.external_id), holder, _LEASE)
        if not mine:
            return _usable(account, Unavailable("somebody else renews it now"))
        try:
            async with self._store.read() as db:
                current = await installations.get(db, "zendesk", row.external_id)
            if current is None:
                refuse(row.external_id)
            account = self._opened(current)
            return await self._renewed(current, account) if account.credentials.is_ending else account
        finally:
            async with self._store.begin() as db:
                await leases.release(db, _lease(row.external_id), holder)

    async def _renewed(self, row: Installation, account: Account) -> Account:
        try:
            if not oauth.can_sign_in(self._settings):
                raise NotConnected("RUNLLM_ZENDESK_CLIENT_ID and RUNLLM_ZENDESK_CLIENT_SECRET are not set")
            return await to_the_end(self._renew(row, account))
        except (NotConnected, Unavailable, RateLimited, Rejected) as error:
            return _usable(account, error)

    async def _renew(self, row: Installation, account: Account) -> Account:
        old = account.credentials
        assert old.refresh_token is not None
        begun = old.model_copy(update={"asked_at": old.asked_at or time.time()})
        row = await self._keep(row, begun)
        try:
            answer = await account.ask_for_tokens(oauth.renewal(self._settings, old.refresh_token))
        except RenewalRefused:
            await self._keep(row, old.model_copy(update={"refused_at": time.time()}))
            raise RenewalRefused(oauth.is_over(old)) from None
        except (NotConnected, RateLimited, Rejected):  # Zendesk has given nothing this time, that is sure
            await self._keep(row, old)
            raise
        new = oauth.signed_in(old, answer)
        row = await written_down(lambda: self._keep(row, new), f"{old.subdomain}.zendesk.com")
        log.info("the sign-in to %s.zendesk.com is renewed", row.external_id)
        return self._opened(row)

    async def _keep(self, row: Installation, credentials: Credentials) -> Installation:
        """Writes an account down as it is now. Whoever connected it again meanwhile has the last word."""
        async with self._store.begin() as db:
            kept = await installations.renew(
                db, self._seal, "zendesk", row.external_id, row.credentials, credentials.in_the_clear()
            ) or await installations.get(db, "zendesk", row.external_id)
        return kept or refuse(row.external_id)

    async def _is_replaced(self, external_id: str, sealed: bytes) -> bool:
        """Whether the record has, or is about to have, other credentials than those."""
        async with self._store.read() as db:
            row = await installations.get(db, "zendesk", external_id)
            return (row is not None and row.credentials != sealed) or (
                await leases.holder(db, _lease(external_id)) is not None
            )


def _usable(account: Account, error: SurfaceError) -> Account:
    """A sign-in that could not be renewed is good until its end."""
    where = f"the sign-in to {account.subdomain}.zendesk.com"
    is_lost = isinstance(error, RenewalRefused) and account.credentials.asked_at  # the old token went with it
    if account.credentials.seconds_left > _STILL_GOOD and not is_lost:
        log.warning("%s could not be renewed yet: %s", where, error)
        return account
    if isinstance(error, RenewalRefused):
        raise error from None
    if isinstance(error, NotConnected):
        raise NotConnected(f"{where} has ended and is not renewed: {error}") from None
    raise Unavailable(f"{where} has ended and is not renewed yet: {error}") from None


def _lease(external_id: str) -> str:
    return f"zendesk-token:{external_id}"


def refuse(account: str | None) -> NoReturn:
    """Says what is missing."""
    which = f"Zendesk account {account!r} is not" if account else "No Zendesk account is"
    raise NotConnected(f"{which} connected to this engine. Connect it: runllm connect zendesk")
