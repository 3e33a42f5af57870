"""The connected Zendesk accounts, opened from the record when they are needed, and kept signed in."""

import asyncio
import logging
import secrets
from functools import partial
from typing import NoReturn

from pydantic import ValidationError

from gateways.platforms import ZendeskSettings
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
            # Zendesk takes the old tokens back as it gives new ones: whoever asked has to write them down.
            return await asyncio.shield(self._renew(row, account))
        except (NotConnected, Unavailable, RateLimited, Rejected) as error:
            return _usable(account, error)

    async def _renew(self, row: Installation, account: Account) -> Account:
        old = account.credentials
        if not oauth.can_sign_in(self._settings):
            raise NotConnected("RUNLLM_ZENDESK_CLIENT_ID and RUNLLM_ZENDESK_CLIENT_SECRET are not set")
        assert old.refresh_token is not None
        answer = await account.ask_for_tokens(oauth.renewal(self._settings, old.refresh_token))
        new = oauth.signed_in(old, answer)
        async with self._store.begin() as db:
            row = await installations.put(
                db,
                self._seal,
                agent_id=row.agent_id,
                platform="zendesk",
                external_id=row.external_id,
                name=row.name,
                credentials=new.in_the_clear(),
            )
        log.info("the sign-in to %s.zendesk.com is renewed", row.external_id)
        return self._opened(row)

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
    if account.credentials.seconds_left > _STILL_GOOD:
        log.warning("%s could not be renewed yet: %s", where, error)
        return account
    if isinstance(error, NotConnected):
        raise NotConnected(f"{where} has ended and is not renewed: {error}") from None
    raise Unavailable(f"{where} has ended and is not renewed yet: {error}") from None


def _lease(external_id: str) -> str:
    return f"zendesk-token:{external_id}"


def refuse(account: str | None) -> NoReturn:
    """Says what is missing."""
    which = f"Zendesk account {account!r} is not" if account else "No Zendesk account is"
    raise NotConnected(f"{which} connected to this engine. Connect it: runllm connect zendesk")
