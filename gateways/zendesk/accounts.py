"""The connected Zendesk accounts, opened from the record when they are needed."""

from typing import NoReturn

from pydantic import ValidationError

from gateways.platforms import ZendeskSettings
from gateways.zendesk.account import Account, Credentials
from runllm.errors import NotConnected
from store import installations
from store.engine import Store, StoreError
from store.models import Installation
from store.sealing import Seal


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
        return self._opened(row)

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
        return self._opened(rows[0])

    async def all(self) -> list[Account]:
        """All connected accounts that can be opened; the others need to be connected again, as the doctor says."""
        async with self._store.read() as db:
            rows = await installations.of_platform(db, "zendesk")
        found = []
        for row in rows:
            try:
                found.append(self._opened(row))
            except NotConnected:
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
        account = Account(credentials, self._settings.url)
        self._open[row.external_id] = (row.credentials, account)
        return account


def short_name(domain: str) -> str:
    """`acme` of `acme`, `acme.zendesk.com` and `https://acme.zendesk.com/`."""
    host = domain.strip().lower().removeprefix("https://").removesuffix("/")
    return host.removesuffix(".zendesk.com")


def refuse(account: str | None) -> NoReturn:
    """Says what is missing."""
    which = f"Zendesk account {account!r} is not" if account else "No Zendesk account is"
    raise NotConnected(f"{which} connected to this engine. Connect it: runllm connect zendesk")
