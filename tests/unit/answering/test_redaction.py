import pytest

from worker.answering.redaction import NoRedaction, Redaction, Restoring

PERSONAL = {
    "write to ann.lee+x@mail.example.com.": "write to [EMAIL_1].",
    "<ann@example.com>": "<[EMAIL_1]>",
    "mailto:ann@example.de": "mailto:[EMAIL_1]",
    "call +1 555 0100 now": "call [PHONE_1] now",
    "call (555) 123-4567": "call [PHONE_1]",
    "call 415-555-2671!": "call [PHONE_1]!",
    "+49 30 901820": "[PHONE_1]",
    "+44 20 7946 0958": "[PHONE_1]",
    "card 4111 1111 1111 1111": "card [CARD_1]",
    "card 5500-0000-0000-0004": "card [CARD_1]",
    "378282246310005": "[CARD_1]",
    "DE89 3704 0044 0532 0130 00": "[ACCOUNT_1]",
    "key sk-ant-api03-abcdefghijklmnopqrstuv": "key [SECRET_1]",
    "AKIAIOSFODNN7EXAMPLE": "[SECRET_1]",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "[SECRET_1]",
    "my password is Tr0ub4dor&3.": "my password is [SECRET_1].",
    "password: hunter2!x": "password: [SECRET_1]",
    "API_KEY=9f8a7b6c5d4e3f2a1b0c": "API_KEY=[SECRET_1]",
    "Authorization: Bearer abcdef1234567890abcdef": "Authorization: Bearer [SECRET_1]",
    "postgres://user:s3cretpw@db.host/x": "postgres://user:[SECRET_1]@db.host/x",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "[SECRET_1]",
}


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_and_secrets_are_hidden_and_come_back(text: str) -> None:
    redaction = Redaction()
    assert redaction.hide(text) == PERSONAL[text]
    assert redaction.restore(redaction.hide(text)) == text


INNOCENT = [
    "version 1.2.3.4 and 10.15.7-beta.2",
    "2024-01-15T10:20:30.123Z, 03/04/2024 10:11:12",
    "order 1234567890123456 and ticket 2023-11-000123",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "uuid 550e8400-e29b-41d4-a716-446655440000",
    "192.168.100.200:8080, 2001:0db8:85a3::8a2e:0370:7334",
    "git@github.com:org/repo.git",
    "npm install react@18.2.0 @types/node@20.1.1",
    "password = os.environ['DB_PASSWORD']",
    "I forgot my password, and the api key is invalid",
    "def login(user: str, password: str) -> None: ...",
    "error 0x80070005 at 1700000000000",
    "rgb(255, 255, 255), range 100-200-3000, 5 000 000 rows",
    "snowflake 175928847299117063, ISBN 978-3-16-148410-0",
    "reset your password: https://example.com/reset",
    "api_key: YOUR_API_KEY, token=${TOKEN}",
    "Ann Lee from Zürich writes",
    "1.234.567.8901 bytes in 0.1.2+20130313144700",
]


@pytest.mark.parametrize("regions", [("US",), ("US", "GB", "DE", "FR")])
@pytest.mark.parametrize("text", INNOCENT)
def test_code_versions_times_and_identifiers_stay(text: str, regions: tuple[str, ...]) -> None:
    assert Redaction(regions).hide(text) == text


def test_a_value_has_the_same_placeholder_all_through_a_conversation() -> None:
    redaction = Redaction()
    assert redaction.hide("I am ann@x.example, Bob is bob@x.example") == "I am [EMAIL_1], Bob is [EMAIL_2]"
    assert redaction.hide("bob@x.example or +49 30 901820?") == "[EMAIL_2] or [PHONE_1]?"
    assert redaction.hide("+49 (30) 901820") == "[PHONE_1]", "however it is written"
    assert redaction.restore("Mail [EMAIL_2], not [EMAIL_9]") == "Mail bob@x.example, not [EMAIL_9]"


@pytest.mark.parametrize("size", range(1, 12))
def test_a_placeholder_that_is_split_over_pieces_is_restored(size: int) -> None:
    redaction = Redaction()
    redaction.hide("ann@x.example and +49 30 901820")
    text = "I wrote to [EMAIL_1] [see EMAIL] and called [PHONE_1][1]. [EMAIL_"
    restoring = Restoring(redaction)
    shown = "".join(restoring.feed(text[n : n + size]) for n in range(0, len(text), size)) + restoring.end()
    assert shown == "I wrote to ann@x.example [see EMAIL] and called +49 30 901820[1]. [EMAIL_"


def test_all_texts_of_a_value_are_hidden() -> None:
    redaction = Redaction()
    value = {"a": ["ann@x.example", 3, None], "b": {"c": "bob@x.example"}}
    hidden = redaction.hide_in(value)
    assert hidden == {"a": ["[EMAIL_1]", 3, None], "b": {"c": "[EMAIL_2]"}}
    assert redaction.restore_in(hidden) == value


def test_it_can_be_switched_off() -> None:
    assert NoRedaction().hide("ann@x.example") == "ann@x.example"
