"""Zendesk's outbound side: comments on tickets, new tickets, their tags and status. Each change is made once.

What makes it so. A comment carries its effect's key in the metadata of its audit, which no customer and no agent sees,
and is written only to a ticket that has not changed since we looked (`safe_update`). So an attempt whose end is unknown
is looked for in the audits first; and where it arrives late after all, Zendesk refuses it as outdated. A ticket carries
the key as `Idempotency-Key`, which Zendesk remembers for two hours, and as its `external_id`, which it keeps.

What cannot be guaranteed: Zendesk's stamps have whole seconds, so two writes within the same second do not collide.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from gateways.adapter import Content, Effect, File, Requester
from gateways.parts import parts_of, post_parts
from gateways.platforms import ZendeskSettings
from gateways.zendesk.account import Account, CollisionError
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.html import blackened, is_person, message_of, pages, plain, rendered, without_placeholders
from gateways.zendesk.inbound import effect_of
from runllm.bridge.surfaces import ChatSurface, ZendeskTicket, ZendeskTicketConfig, surface_key
from runllm.errors import Rejected, SurfaceError, Unavailable
from store import messages
from store.engine import Store
from store.sealing import Seal

T = TypeVar("T")

_TRIES = 5
_LONGEST_TITLE = 150
_AWAITS_CUSTOMER = ("pending", "hold", "solved")
_CORRECTIONS = "corrections"
"""Name in a posting's extras of the comments that corrected it."""
_STATUSES = {"on-hold": "hold"}


class ZendeskAdapter:
    """Comments on Zendesk tickets, opens and updates them."""

    def __init__(self, store: Store, seal: Seal, settings: ZendeskSettings) -> None:
        self._store = store
        self._accounts = Accounts(store, seal, settings)

    def close(self) -> None:
        """Lets go of open connections."""
        self._accounts.close()

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Adds a comment to a ticket; several where it is too long. A person's words open a ticket that waited."""
        ticket = _ticket(to)
        account = await self._accounts.get(ticket.subdomain)
        return (await self._comments(account, effect, ticket, content, message_of(content)))[0]

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Says in a further comment what an earlier one should have said: Zendesk lets nobody change a comment."""
        ticket = _ticket(to)
        account = await self._accounts.get(ticket.subdomain)
        text = message_of(content, " (edited an earlier message)")
        await self._note_corrections(to, remote_id, await self._comments(account, effect, ticket, content, text))

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Blackens a comment for good, with its files and with what corrected it. Where the engine's user may not, an
        internal note asks for it.

        https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/#redact-ticket-comment-in-agent-workspace
        """
        ticket = _ticket(to)
        account = await self._accounts.get(ticket.subdomain)
        ids = await self._ids_of_parts(to, remote_id)
        try:
            await _redact(account, ticket.id, ids)
        except Rejected as refusal:
            note = (
                "The author deleted a message that was copied here as comment "
                f"{' and '.join(ids)}. It could not be removed from the ticket: {plain(str(refusal))}"
            )
            await self._once(account, effect, ticket, {"html_body": rendered(note), "public": False})

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Nothing to do: a ticket shows no buttons."""
        await self._accounts.get(_ticket(to).subdomain)

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file that came with a comment. Its `ref` is `{subdomain}:{attachment id}`."""
        subdomain, _, id = str(attachment.get("ref") or "").partition(":")
        if attachment.get("platform") != "zendesk" or not id.isdecimal():
            raise Rejected(f"{attachment.get('name') or 'This file'} did not come from Zendesk.")
        return await (await self._accounts.get(subdomain)).download(id)

    async def open_ticket(
        self,
        effect: Effect,
        domain: str | None,
        title: str,
        description: str,
        tags: Sequence[str],
        requester: Requester | None = None,
        follow_up_of: ZendeskTicket | None = None,
    ) -> ZendeskTicket:
        """Opens a ticket. What its first comment cannot hold follows in further ones."""
        if follow_up_of is not None:
            domain = domain or follow_up_of.subdomain
        account = await (self._accounts.get(domain) if domain else self._accounts.only())
        first, *rest = pages(description) or [""]
        made = await self._found_ticket(account, effect) if effect.earlier else None
        if made is None:
            made = await self._create(account, effect, title, first, tags, requester, follow_up_of)
        ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain=account.subdomain, id=str(made["id"])))
        if rest:
            further = Effect(key=f"{effect.key}/rest", session_id=effect.session_id, earlier=effect.earlier)

            async def send(part: Effect, index: int) -> str:
                return await self._once(account, part, ticket, {"html_body": rest[index], "public": True})

            await post_parts(self._store, further, ticket, len(rest), send)
        return ticket

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        """Adds tags to those that are there, whoever put them there, and sets the status.

        https://developer.zendesk.com/api-reference/ticketing/ticket-management/tags/#add-tags
        """
        account = await self._accounts.get(to.subdomain)

        async def add(now: dict[str, Any]) -> None:
            if missing := [tag for tag in tags if _as_tag(tag) not in now["tags"]]:
                await account.add_tags(to.id, missing, now["updated_at"])

        async def set_status(now: dict[str, Any]) -> None:
            fields = {"status": _STATUSES.get(status, status), "metadata": {"effect": account.marked(effect.key)}}
            await account.update_ticket(to.id, fields, now["updated_at"])

        if effect.earlier and await _audit_of(account, to.id, effect) is not None:
            return
        await _against_newest(account, to, add)
        await _against_newest(account, to, set_status)

    # Comments

    async def _comments(
        self, account: Account, effect: Effect, ticket: ZendeskTicket, content: Content, text: str
    ) -> list[str]:
        """Adds `text` in as many comments as it takes; files go with the last one."""
        bodies = pages(text)
        opens = is_person(content) and not content.is_internal

        async def send(part: Effect, index: int) -> str:
            comment = {"html_body": bodies[index], "public": not content.is_internal}
            files = content.files if index == len(bodies) - 1 else []
            return await self._once(account, part, ticket, comment, opens=opens, files=files)

        return await post_parts(self._store, effect, ticket, len(bodies), send)

    async def _once(
        self,
        account: Account,
        effect: Effect,
        ticket: ZendeskTicket,
        comment: dict[str, Any],
        *,
        opens: bool = False,
        files: Sequence[File] = (),
    ) -> str:
        """Adds one comment, unless an earlier attempt has. Returns its number. Files that no comment uses expire."""
        uploads: list[str] = []
        look = effect.earlier
        for _ in range(_TRIES):
            now = await account.ticket(ticket.id)  # before the look: what is written in between collides
            audit = await _audit_of(account, ticket.id, effect) if look else None
            if audit is None:
                _refuse_closed(account, now)
                if files and not uploads:
                    uploads = [await account.upload(file.name, file.mimetype, file.data) for file in files]
                    now = await account.ticket(ticket.id)
                if uploads:
                    comment = {**comment, "uploads": uploads}
                fields: dict[str, Any] = {"comment": comment, "metadata": {"effect": account.marked(effect.key)}}
                if opens and now["status"] in _AWAITS_CUSTOMER:
                    fields["status"] = "open"
                try:
                    audit = await account.update_ticket(ticket.id, fields, now["updated_at"])
                except CollisionError:
                    look = True
                    continue
            return _comment_in(audit)
        raise Unavailable(_too_busy(account, ticket))

    async def _ids_of_parts(self, to: ChatSurface, remote_id: str) -> list[str]:
        async with self._store.read() as db:
            posting = await messages.find_posting(db, surface_key(to), remote_id)
        parts = await parts_of(self._store, posting.effect_key) if posting and posting.effect_key else []
        return [*(parts or [remote_id]), *(posting.extras.get(_CORRECTIONS, []) if posting else [])]

    async def _note_corrections(self, to: ChatSurface, remote_id: str, ids: Sequence[str]) -> None:
        """Keeps with a comment the numbers of those that say what it should have said: they go when it goes."""
        async with self._store.begin() as db:
            posting = await messages.find_posting(db, surface_key(to), remote_id)
            if posting is not None:
                known = [*posting.extras.get(_CORRECTIONS, []), *ids]
                await messages.touch(db, posting, {**posting.extras, _CORRECTIONS: list(dict.fromkeys(known))})

    # Tickets

    async def _found_ticket(self, account: Account, effect: Effect) -> dict[str, Any] | None:
        """The ticket that an earlier attempt made, also after Zendesk has forgotten its idempotency key."""
        found = await account.tickets_of(account.marked(effect.key))
        return found[0] if found else None

    async def _create(
        self,
        account: Account,
        effect: Effect,
        title: str,
        html: str,
        tags: Sequence[str],
        requester: Requester | None,
        follow_up_of: ZendeskTicket | None,
    ) -> dict[str, Any]:
        key = account.marked(effect.key)
        bot = account.credentials.bot_user_id
        fields: dict[str, Any] = {
            "subject": _subject(title),
            "comment": {"html_body": html, "public": True},
            "tags": list(tags),
            "external_id": key,
            "metadata": {"effect": key},
        }
        if bot:
            fields["submitter_id"] = bot  # or the first comment would be the requester's
        if requester is not None and (user := await _user_for(account, requester)) is not None:
            fields["requester_id"] = user
        if follow_up_of is not None:
            fields["via_followup_source_id"] = int(follow_up_of.id)
        return await account.create_ticket(fields, key)


async def _user_for(account: Account, requester: Requester) -> int | None:
    """The Zendesk user of a person; None where the engine's user may not make users, and so is the requester itself."""
    account_of, _, id = requester.user.partition(":")
    if account_of == account.subdomain and id.isdecimal():
        return int(id)  # they wrote in Zendesk
    fields = {"external_id": f"runllm:{requester.user}", "name": requester.name, "role": "end-user"}
    if requester.email:
        fields["email"] = requester.email
    try:
        return int((await account.create_or_update_user(fields))["id"])
    except Rejected:
        return None


async def _against_newest(
    account: Account, ticket: ZendeskTicket, change: Callable[[dict[str, Any]], Awaitable[T]]
) -> T:
    """Makes a change to the ticket as it is now, again while others are quicker."""
    for _ in range(_TRIES):
        now = await account.ticket(ticket.id)
        _refuse_closed(account, now)
        try:
            return await change(now)
        except CollisionError:
            continue
    raise Unavailable(_too_busy(account, ticket))


async def _audit_of(account: Account, ticket_id: str, effect: Effect) -> dict[str, Any] | None:
    """The audit of a change that an earlier attempt made."""
    audits, _ = await account.audits(ticket_id)
    wanted = account.marked(effect.key)
    return next((audit for audit in reversed(audits) if effect_of(audit) == wanted), None)


def _too_busy(account: Account, ticket: ZendeskTicket) -> str:
    where = f"ticket {ticket.id} of {account.subdomain}.zendesk.com"
    return f"Somebody else changed {where} at each of {_TRIES} attempts to write to it"


def _comment_in(audit: dict[str, Any]) -> str:
    comments = [event for event in audit["events"] if event.get("type") == "Comment"]
    if not comments:
        number = audit.get("ticket_id")
        raise Unavailable(f"Zendesk took a comment on ticket {number} and did not say its number")
    return str(comments[0]["id"])


async def _redact(account: Account, ticket_id: str, ids: Sequence[str]) -> None:
    found = {str(comment["id"]): comment for comment in await account.comments(ticket_id)}
    for comment in (found[id] for id in ids if id in found):
        body = {"ticket_id": int(ticket_id), "html_body": blackened(comment["html_body"])}
        await account.send("put", f"comment_redactions/{comment['id']}.json", body)
        for file in comment.get("attachments") or []:
            path = f"tickets/{ticket_id}/comments/{comment['id']}/attachments/{file['id']}/redact.json"
            await account.send("put", path, {})


def _refuse_closed(account: Account, ticket: dict[str, Any]) -> None:
    if ticket["status"] == "closed":
        raise Rejected(
            f"Ticket {ticket['id']} of {account.subdomain}.zendesk.com is closed and takes no more changes. Open a "
            "follow-up: agent.create_zendesk_ticket(conversation, follow_up_of=ticket)"
        )


def _subject(title: str) -> str:
    line = " ".join(title.split())
    cut = line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1].rstrip()}…"
    return without_placeholders(cut)


def _as_tag(tag: str) -> str:
    """A tag as Zendesk keeps it."""
    return "_".join(tag.lower().split())


def _ticket(to: ChatSurface) -> ZendeskTicket:
    if not isinstance(to, ZendeskTicket):
        raise SurfaceError(f"A {to.type} is no Zendesk ticket.")
    return to
