"""What Zendesk tells us, verified and in our words: webhooks, and the audits of a ticket. Pure.

A webhook that our own trigger sends says only which ticket has changed: what happened there is then read from the
ticket's audits, which name every comment, its author, its files and its visibility, and carry the mark of our own
effects. A webhook that somebody subscribed to ticket events carries the comment itself, and is taken at its word.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateways.adapter import Earlier, Inbound
from runllm.bridge.surfaces import SurfaceType, ZendeskTicket, ZendeskTicketConfig
from runllm.bridge.triggers import Happening
from runllm.operations import Frozen

TEST_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
"""Signs what "Test webhook" sends for a webhook that is not saved yet. Zendesk publishes it, so it proves nothing.

https://developer.zendesk.com/documentation/webhooks/verifying/
"""

TRIGGER_BODY = '{"from": "runllm", "ticket_id": "{{ticket.id}}"}'
"""What our trigger sends. No text of the ticket: placeholders in JSON break on quotes, and what we read is complete."""

START_WITHIN = timedelta(days=1)
"""A ticket's newest comment starts a conversation only for so long: what is older has been dealt with."""

_SIGNATURE, _TIMESTAMP = "x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp"
_STAFF = ("agent", "admin")
_COMMENTS = ("Comment", "VoiceComment")


class SignatureError(Exception):
    """A webhook that nobody has to believe; the text says why, for whoever runs the engine."""


class MalformedError(Exception):
    """A signed webhook that says nothing we understand; the text says what is missing."""


class Notice(Frozen):
    """What one webhook says.

    Attributes:
        ticket_id: The ticket that it is about; empty where it is about something else.
        events: What happened, where the webhook says it.
        is_hint: It says only that something happened: read the ticket.
    """

    ticket_id: str = ""
    events: list[Inbound] = []
    is_hint: bool = False


class Ticket(Frozen):
    """What the rules below need to know of a ticket and of ourselves."""

    subdomain: str
    id: str
    tags: list[str] = []
    mark: str = ""
    bot_user_id: int = 0

    @property
    def surface(self) -> ZendeskTicket:
        """The ticket as a surface."""
        return ZendeskTicket(config=ZendeskTicketConfig(subdomain=self.subdomain, id=self.id))


def verify(
    body: bytes, headers: Mapping[str, str], secret: str, at: datetime, window: timedelta, takes_test_secret: bool
) -> None:
    """Lets genuine and fresh webhooks pass: the signature is that of the timestamp followed by the body.

    Raises:
        SignatureError: It is neither, or signed with the secret that everybody knows.
    """
    given = {name.lower(): value for name, value in headers.items()}
    signature, stamp = given.get(_SIGNATURE, ""), given.get(_TIMESTAMP, "")
    if not signature or not stamp:
        raise SignatureError("it is not signed")
    if not takes_test_secret and _is_signed(body, stamp, signature, TEST_SECRET):
        raise SignatureError("it is signed with the secret that Zendesk publishes for tests, as anybody can")
    secrets = [secret, TEST_SECRET] if takes_test_secret else [secret]
    if not any(one and _is_signed(body, stamp, signature, one) for one in secrets):
        raise SignatureError("its signature is wrong: connect the account again if the webhook's secret was changed")
    try:
        signed_at = datetime.fromisoformat(stamp)
    except ValueError:
        raise SignatureError("its timestamp is no time") from None
    signed_at = signed_at if signed_at.tzinfo else signed_at.replace(tzinfo=UTC)
    if abs(at - signed_at) > window:
        raise SignatureError(f"it was signed more than {window.total_seconds():.0f} s ago, or the clocks differ")


def read_webhook(body: bytes, subdomain: str, bot_user_id: int) -> Notice:
    """What a genuine webhook says.

    Raises:
        MalformedError: Nothing that can be understood.
    """
    try:
        said = json.loads(body)
    except ValueError:
        raise MalformedError("the body is no JSON") from None
    if not isinstance(said, dict):
        raise MalformedError("the body is no JSON object")
    if "ticket_id" in said:
        return Notice(ticket_id=_number(said["ticket_id"]), is_hint=True)
    kind = str(said.get("type") or "")
    if not kind.startswith("zen:event-type:ticket."):
        if not kind:
            raise MalformedError("the body names neither a ticket_id nor the type of an event")
        return Notice()
    detail, event = _mapping(said, "detail"), _mapping(said, "event")
    ticket = Ticket(
        subdomain=subdomain,
        id=_number(detail.get("id")),
        tags=[str(tag) for tag in detail.get("tags") or []],
        bot_user_id=bot_user_id,
    )
    match kind.removeprefix("zen:event-type:ticket."):
        case "comment_added":
            return Notice(ticket_id=ticket.id, events=_comment_event(ticket, event))
        case "status_changed":
            at = _moment(detail.get("updated_at") or said.get("time"))
            return Notice(ticket_id=ticket.id, events=[status_change(ticket, str(event.get("current") or ""), at)])
    return Notice(ticket_id=ticket.id, is_hint=True)


def news(ticket: Ticket, audits: Sequence[Mapping[str, Any]], people: Mapping[int, Mapping[str, Any]]) -> list[Inbound]:
    """All that happened on a ticket and was not our doing, oldest first."""
    comments = {
        str(event["id"]): event
        for audit in audits
        if not is_ours(ticket, audit)
        for event in audit["events"]
        if event.get("type") in _COMMENTS
    }
    found: list[Inbound] = []
    for audit in (audit for audit in audits if not is_ours(ticket, audit)):
        for event in audit["events"]:
            match event.get("type"):
                case "Comment" | "VoiceComment":
                    found.append(_comment(ticket, audit, event, people))
                case "Change" if event.get("field_name") == "status":
                    found.append(status_change(ticket, str(event.get("value") or ""), _moment(audit["created_at"])))
                case "CommentRedactionEvent" if str(event.get("comment_id")) in comments:
                    found.append(_redaction(ticket, audit, comments[str(event["comment_id"])]))
                case "CommentPrivacyChange" if not event.get("public") and str(event.get("comment_id")) in comments:
                    found.append(_change(ticket, "delete", str(event["comment_id"]), f"private:{event['id']}"))
    return found


def opening(events: Sequence[Inbound], at: Mapping[str, datetime], now: datetime) -> Inbound | None:
    """What starts a conversation on a ticket that has none: the newest comment, with those before it.

    Only a customer's public comment does: where the team has the last word, nobody waits for an answer.
    """
    comments = [event for event in events if event.kind == "message"]
    if not comments:
        return None
    *before, newest = comments
    if newest.is_internal or newest.is_from_staff or newest.is_from_bot:
        return None
    if now - at.get(newest.remote_id, now) > START_WITHIN:
        return None
    earlier = [
        Earlier(
            remote_id=one.remote_id,
            text=one.text,
            user=one.user,
            author_name=one.author_name,
            attachments=one.attachments,
            at=at.get(one.remote_id),
            is_from_bot=one.is_from_bot,
            is_from_staff=one.is_from_staff,
            is_internal=one.is_internal,
        )
        for one in before
    ]
    return newest.model_copy(update={"earlier": earlier})


def times(audits: Sequence[Mapping[str, Any]]) -> dict[str, datetime]:
    """When each comment was written, by its number."""
    return {
        str(event["id"]): _moment(audit["created_at"])
        for audit in audits
        for event in audit["events"]
        if event.get("type") in _COMMENTS
    }


def effect_of(audit: Mapping[str, Any]) -> str:
    """The effect that an audit belongs to, as an engine marked it; empty for what people and other programs did."""
    custom = (audit.get("metadata") or {}).get("custom") or {}
    return str(custom.get("effect") or "")


def is_ours(ticket: Ticket, audit: Mapping[str, Any]) -> bool:
    """Whether this engine did it: by its mark, or as the engine's user through the API.

    A person who shares that user and works in Zendesk's own pages is not us.
    """
    effect = effect_of(audit)
    if effect:
        return not ticket.mark or effect.startswith(f"{ticket.mark}:")
    through_api = (audit.get("via") or {}).get("channel") == "api"
    return bool(ticket.bot_user_id) and audit.get("author_id") == ticket.bot_user_id and through_api


def status_change(ticket: Ticket, status: str, at: datetime) -> Inbound:
    """A ticket has another status now. Handlers know `hold` as `on-hold`, as they do when they set it."""
    name = {"hold": "on-hold"}.get(status.lower(), status.lower())
    return Inbound(
        kind="status",
        dedupe_key=f"zendesk:{ticket.subdomain}:{ticket.id}:status:{name}:{at:%Y%m%d%H%M%S}",
        surface=ticket.surface,
        happening=Happening(surface=SurfaceType.ZENDESK_TICKET, is_message=False, status=name),
        text=name,
        place_tags=ticket.tags,
    )


def _comment(
    ticket: Ticket, audit: Mapping[str, Any], event: Mapping[str, Any], people: Mapping[int, Mapping[str, Any]]
) -> Inbound:
    author_id = int(event.get("author_id") or audit.get("author_id") or 0)
    author = people.get(author_id, {})
    return _message(
        ticket,
        remote_id=str(event["id"]),
        text=str(event.get("body") or ""),
        author_id=author_id,
        author_name=str(author.get("name") or "") or None,
        is_from_staff=author.get("role") in _STAFF,
        is_public=bool(event.get("public")),
        attachments=event.get("attachments") or [],
        is_from_bot=bool(effect_of(audit)),  # another engine's
    )


def _comment_event(ticket: Ticket, event: Mapping[str, Any]) -> list[Inbound]:
    comment = event.get("comment")
    if not isinstance(comment, Mapping) or not comment.get("id"):
        raise MalformedError("the event names no comment")
    author = comment.get("author") if isinstance(comment.get("author"), Mapping) else {}
    assert isinstance(author, Mapping)
    author_id = int(_number(author.get("id") or 0))
    if ticket.bot_user_id and author_id == ticket.bot_user_id:
        return []  # our own, or of a person who shares our user: see docs/howto/connect-zendesk.md
    return [
        _message(
            ticket,
            remote_id=_number(comment["id"]),
            text=str(comment.get("body") or ""),
            author_id=author_id,
            author_name=str(author.get("name") or "") or None,
            is_from_staff=bool(author.get("is_staff")),
            is_public=bool(comment.get("is_public")),
            attachments=comment.get("attachments") or [],
            is_from_bot=False,
        )
    ]


def _message(
    ticket: Ticket,
    *,
    remote_id: str,
    text: str,
    author_id: int,
    author_name: str | None,
    is_from_staff: bool,
    is_public: bool,
    attachments: Sequence[Mapping[str, Any]],
    is_from_bot: bool,
) -> Inbound:
    return Inbound(
        kind="message",
        dedupe_key=f"zendesk:{ticket.subdomain}:{ticket.id}:comment:{remote_id}",
        surface=ticket.surface,
        happening=Happening(surface=SurfaceType.ZENDESK_TICKET),
        remote_id=remote_id,
        text=text,
        user=f"{ticket.subdomain}:{author_id}",
        author_name=author_name,
        attachments=[_file(ticket, one) for one in attachments],
        place_tags=ticket.tags,
        is_from_bot=is_from_bot,
        is_from_staff=is_from_staff,
        is_internal=not is_public,
    )


def _redaction(ticket: Ticket, audit: Mapping[str, Any], comment: Mapping[str, Any]) -> Inbound:
    """What is left of a comment after somebody blackened it; nothing left counts as deleted."""
    text = str(comment.get("body") or "")
    kind = "edit" if text.replace("▇", "").strip() else "delete"
    change = _change(ticket, kind, str(comment["id"]), f"redacted:{audit['id']}")
    changed = {"text": text if kind == "edit" else "", "changed_at": _moment(audit["created_at"])}
    return change.model_copy(update=changed)


def _change(ticket: Ticket, kind: str, comment_id: str, what: str) -> Inbound:
    return Inbound.model_validate(
        {
            "kind": kind,
            "dedupe_key": f"zendesk:{ticket.subdomain}:{ticket.id}:comment:{comment_id}:{what}",
            "surface": ticket.surface,
            "happening": Happening(surface=SurfaceType.ZENDESK_TICKET),
            "remote_id": comment_id,
        }
    )


def _file(ticket: Ticket, attachment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": str(attachment.get("file_name") or attachment.get("filename") or "file"),
        "mimetype": str(attachment.get("content_type") or "application/octet-stream"),
        "size": int(attachment.get("size") or 0),
        "platform": "zendesk",
        "ref": f"{ticket.subdomain}:{attachment.get('id')}",
    }


def _is_signed(body: bytes, stamp: str, signature: str, secret: str) -> bool:
    digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), signature.encode())


def _number(value: Any) -> str:
    text = str(value).strip()
    if not text.isdecimal() or not text.isascii():
        raise MalformedError(f"{text[:40]!r} is no number of a ticket, comment or user")
    return text


def _mapping(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    if not isinstance(value, Mapping):
        raise MalformedError(f"the event has no {name}")
    return value


def _moment(text: Any) -> datetime:
    """A time as Zendesk writes it, also with nine digits after the point."""
    raw = str(text or "")
    head, dot, tail = raw.partition(".")
    if dot:
        digits = "".join(character for character in tail if character.isdecimal())[:6]
        raw = f"{head}.{digits}+00:00"
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        raise MalformedError("it does not say when") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
