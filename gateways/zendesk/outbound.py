"""Zendesk's outbound side. No account can be connected yet, and it says so."""

from collections.abc import Sequence
from typing import Any, NoReturn

from gateways.adapter import Content, Effect
from gateways.platforms import ZendeskSettings
from runllm.bridge.surfaces import ChatSurface, ZendeskTicket
from runllm.errors import NotConnected, Rejected
from store.engine import Store
from store.sealing import Seal


class ZendeskAdapter:
    """Comments on Zendesk tickets, opens and updates them."""

    def __init__(self, store: Store, seal: Seal, settings: ZendeskSettings) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Adds a comment to a ticket."""
        refuse(_account(to))

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Says what a comment should have said."""
        refuse(_account(to))

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Redacts a comment."""
        refuse(_account(to))

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Adds `note` to a ticket that asked for a choice."""
        refuse(_account(to))

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file of this platform."""
        raise Rejected("Files of this platform cannot be read yet.")

    async def open_ticket(
        self, effect: Effect, domain: str | None, title: str, description: str, tags: Sequence[str]
    ) -> ZendeskTicket:
        """Opens a ticket."""
        refuse(domain)

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        """Adds tags to a ticket and sets its status."""
        refuse(to.subdomain)


def refuse(account: str | None) -> NoReturn:
    """Says what is missing."""
    which = f"Zendesk account {account.removesuffix('.zendesk.com')!r} is" if account else "No Zendesk account is"
    raise NotConnected(
        f"{which} {'not ' if account else ''}connected to this engine. Connect it: runllm connect zendesk"
    )


def _account(to: ChatSurface) -> str:
    return to.subdomain if isinstance(to, ZendeskTicket) else str(to.type)
