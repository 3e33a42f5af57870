"""What Zendesk's webhooks and audits say, without a server."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateways.zendesk.inbound import (
    TEST_SECRET,
    MalformedError,
    SignatureError,
    Ticket,
    news,
    opening,
    read_webhook,
    verify,
)
from runllm.bridge.triggers import TicketStatus, fires

BODY = b'{"event":"ticket.updated","id":123}'
STAMP = "2021-03-25T05:09:27Z"
AT = datetime(2021, 3, 25, 5, 9, 30, tzinfo=UTC)
HEADERS = {
    "X-Zendesk-Webhook-Signature": "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=",
    "X-Zendesk-Webhook-Signature-Timestamp": STAMP,
}
MINUTES = timedelta(minutes=5)


def test_a_known_signature_is_believed_where_the_test_secret_is_allowed() -> None:
    verify(BODY, HEADERS, "another", AT, MINUTES, takes_test_secret=True)


@pytest.mark.parametrize("secret", ["another", TEST_SECRET])
def test_the_test_secret_proves_nothing(secret: str) -> None:
    with pytest.raises(SignatureError, match="publishes for tests"):
        verify(BODY, HEADERS, secret, AT, MINUTES, takes_test_secret=False)


@pytest.mark.parametrize(
    ("body", "headers", "at", "why"),
    [
        (BODY + b" ", HEADERS, AT, "signature is wrong"),
        (BODY, {**HEADERS, "X-Zendesk-Webhook-Signature": "é"}, AT, "signature is wrong"),
        (BODY, {**HEADERS, "X-Zendesk-Webhook-Signature-Timestamp": "2021-03-25T05:09:28Z"}, AT, "signature is wrong"),
        (BODY, {"X-Zendesk-Webhook-Signature": HEADERS["X-Zendesk-Webhook-Signature"]}, AT, "not signed"),
        (BODY, {}, AT, "not signed"),
        (BODY, HEADERS, AT + MINUTES, "more than 300 s ago"),
        (BODY, HEADERS, AT - 2 * MINUTES, "more than 300 s ago"),
    ],
)
def test_what_is_forged_or_stale_is_not_believed(body: bytes, headers: dict[str, str], at: datetime, why: str) -> None:
    with pytest.raises(SignatureError, match=why):
        verify(body, headers, "another", at, MINUTES, takes_test_secret=True)


def test_no_secret_believes_nothing() -> None:
    with pytest.raises(SignatureError):
        verify(BODY, HEADERS, "", AT, MINUTES, takes_test_secret=False)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"nonsense", b'{"ticket_id": "{{ticket.id}}"}', b'{"ticket_id": null}', b'{"ticket_id": "-1"}']
    + [
        json.dumps({"type": f"zen:event-type:ticket.{kind}", **rest}).encode()
        for kind, rest in [
            ("comment_added", {}),
            ("comment_added", {"detail": {"id": "7"}}),
            ("comment_added", {"detail": {"id": "7"}, "event": {}}),
            ("comment_added", {"detail": {"id": "7"}, "event": {"comment": {"id": "x"}}}),
            ("comment_added", {"detail": {"id": "seven"}, "event": {"comment": {"id": "1"}}}),
            ("status_changed", {"detail": {"id": "7"}, "event": {"current": "SOLVED"}, "time": "noon"}),
        ]
    ],
)
def test_a_body_that_makes_no_sense_says_so(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_webhook(body, "acme", 1)


def test_our_triggers_body_is_a_hint() -> None:
    notice = read_webhook(b'{"from": "runllm", "ticket_id": "7"}', "acme", 1)
    assert (notice.ticket_id, notice.is_hint, notice.events) == ("7", True, [])


def test_events_of_other_things_are_taken_and_mean_nothing() -> None:
    notice = read_webhook(b'{"type": "zen:event-type:user.created"}', "acme", 1)
    assert (notice.ticket_id, notice.is_hint, notice.events) == ("", False, [])


def event(**comment: Any) -> bytes:
    author = {"id": "5", "is_staff": True, "name": "Bob"}
    return json.dumps(
        {
            "type": "zen:event-type:ticket.comment_added",
            "detail": {"id": "7", "tags": None, "status": "OPEN"},
            "event": {"comment": {"id": "9", "body": "Hi", "is_public": False, "author": author, **comment}},
        }
    ).encode()


def test_a_comment_event_says_who_wrote_what_for_whom() -> None:
    (inbound,) = read_webhook(event(), "acme", 1).events
    assert (inbound.remote_id, inbound.text, inbound.user, inbound.author_name) == ("9", "Hi", "acme:5", "Bob")
    assert (inbound.is_internal, inbound.is_from_staff) == (True, True)
    assert inbound.dedupe_key == "zendesk:acme:7:comment:9"


def test_a_comment_event_of_ourselves_is_no_news() -> None:
    assert read_webhook(event(author={"id": "1", "name": "Bot"}), "acme", 1).events == []


def test_a_status_event_wakes_who_listens_for_it_and_no_comment() -> None:
    body = {
        "type": "zen:event-type:ticket.status_changed",
        "detail": {"id": "7", "updated_at": "2024-05-01T10:00:00.123456789Z"},
        "event": {"previous": "OPEN", "current": "HOLD"},
    }
    (inbound,) = read_webhook(json.dumps(body).encode(), "acme", 1).events
    assert (inbound.kind, inbound.text) == ("status", "on-hold")
    assert inbound.happening is not None
    assert fires(TicketStatus(statuses=["on-hold"]), inbound.happening)
    assert not fires(TicketStatus(), inbound.happening)
    assert not fires(TicketStatus(comments=True), inbound.happening)


# Audits

TICKET = Ticket(subdomain="acme", id="7", mark="e1", bot_user_id=1)
PEOPLE = {
    1: {"name": "Bot", "role": "admin"},
    5: {"name": "Bob", "role": "agent"},
    6: {"name": "Ada", "role": "end-user"},
}
START = datetime(2024, 5, 1, 10, tzinfo=UTC)


def audit(
    number: int, *events: dict[str, Any], by: int = 6, channel: str = "web", effect: str = "", minutes: int = 0
) -> dict[str, Any]:
    return {
        "id": number,
        "author_id": by,
        "created_at": (START + timedelta(minutes=minutes)).isoformat(),
        "events": list(events),
        "metadata": {"custom": {"effect": effect} if effect else {}},
        "via": {"channel": channel},
    }


def comment(id: int, text: str = "x", by: int = 6, public: bool = True, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "Comment", "body": text, "author_id": by, "public": public, "attachments": [], **more}


def test_our_own_are_known_by_their_mark_or_by_our_user_through_the_api() -> None:
    audits = [
        audit(1, comment(11, "marked", by=6), by=1, channel="api", effect="e1:4:2"),
        audit(2, comment(12, "unmarked", by=1), by=1, channel="api"),
        audit(3, comment(13, "a person who shares our user", by=1), by=1, channel="web"),
        audit(4, comment(14, "another engine", by=1), by=1, channel="api", effect="e2:4:2"),
        audit(5, comment(15, "Ada", by=6), by=6, channel="api"),
    ]
    found = news(TICKET, audits, PEOPLE)
    assert [one.text for one in found] == ["a person who shares our user", "another engine", "Ada"]
    assert [one.is_from_bot for one in found] == [False, True, False]


def test_comments_bring_their_files_and_no_address_that_lets_anybody_in() -> None:
    file = {"id": 3, "file_name": "a.png", "content_type": "image/png", "size": 7, "content_url": "https://secret"}
    (one,) = news(TICKET, [audit(1, comment(11, attachments=[file]))], PEOPLE)
    assert one.attachments == [
        {"name": "a.png", "mimetype": "image/png", "size": 7, "platform": "zendesk", "ref": "acme:3"}
    ]


def test_a_comment_made_private_is_taken_off_other_surfaces_and_a_blackened_one_changes() -> None:
    audits = [
        audit(1, comment(11, "my card is ▇▇▇▇"), comment(12, "▇▇▇")),
        audit(2, {"id": 21, "type": "CommentPrivacyChange", "comment_id": 11, "public": False}, by=5),
        audit(3, {"id": 31, "type": "CommentRedactionEvent", "comment_id": 11}, by=5),
        audit(4, {"id": 41, "type": "CommentRedactionEvent", "comment_id": 12}, by=5),
        audit(5, {"id": 51, "type": "CommentRedactionEvent", "comment_id": 99}, by=5),
    ]
    changes = [(one.kind, one.remote_id, one.text) for one in news(TICKET, audits, PEOPLE)[2:]]
    assert changes == [("delete", "11", ""), ("edit", "11", "my card is ▇▇▇▇"), ("delete", "12", "")]


def test_status_changes_are_news_unless_we_made_them() -> None:
    def to(status: str) -> dict[str, Any]:
        return {"id": 1, "type": "Change", "field_name": "status", "value": status}

    audits = [audit(1, to("solved"), by=5), audit(2, to("pending"), by=1, channel="api", effect="e1:1:1")]
    assert [one.text for one in news(TICKET, audits, PEOPLE)] == ["solved"]


def opened(*audits: dict[str, Any], at: datetime = START) -> Any:
    times = {str(e["id"]): datetime.fromisoformat(a["created_at"]) for a in audits for e in a["events"]}
    return opening(news(TICKET, audits, PEOPLE), times, at)


def test_a_customers_newest_comment_opens_a_conversation_with_what_came_before() -> None:
    found = opened(
        audit(1, comment(11, "one")), audit(2, comment(12, "note", by=5, public=False)), audit(3, comment(13, "two"))
    )
    assert found.text == "two"
    assert [(one.text, one.is_internal, one.is_from_staff) for one in found.earlier] == [
        ("one", False, False),
        ("note", True, True),
    ]
    assert found.earlier[0].at == START


@pytest.mark.parametrize(
    "last", [comment(12, by=5), comment(12, by=5, public=False), comment(12, by=6, public=False)], ids=str
)
def test_where_the_team_has_the_last_word_nothing_opens(last: dict[str, Any]) -> None:
    assert opened(audit(1, comment(11)), audit(2, last)) is None


def test_an_old_comment_opens_nothing() -> None:
    assert opened(audit(1, comment(11)), at=START + timedelta(days=2)) is None
    assert opened() is None
