"""Tokens: ours and nobody else's, for one purpose, for a time."""

import pytest

from gateways.signing import hub_token, is_hub_token, login_token, read, sign

SECRET = "s" * 64


def test_a_token_gives_its_claims_back() -> None:
    claims = read(SECRET, "widget", sign(SECRET, "widget", {"conversation": "c", "user": None}, 60))
    assert claims is not None
    assert (claims["conversation"], claims["user"]) == ("c", None)


def test_every_changed_character_is_noticed() -> None:
    token = sign(SECRET, "widget", {"conversation": "c"}, 60)
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        assert read(SECRET, "widget", token[:position] + other + token[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", ".", "a.b", "é.ü", "\ud800.x", "a" * 100_000, "e30.e30", "..", "null.null"])
def test_rubbish_is_no_token(text: str) -> None:
    assert read(SECRET, "widget", text) is None


def test_a_token_ends() -> None:
    assert read(SECRET, "widget", sign(SECRET, "widget", {}, -1)) is None


def test_a_token_serves_one_purpose_and_one_installation() -> None:
    token = sign(SECRET, "widget", {}, 60)
    assert read(SECRET, "console", token) is None
    assert read("t" * 64, "widget", token) is None
    assert read(SECRET, "login", login_token(SECRET)) is not None


def test_the_hub_knows_its_workers_and_the_secret_stays_at_home() -> None:
    assert SECRET not in hub_token(SECRET)
    assert is_hub_token(SECRET, hub_token(SECRET))
    assert not is_hub_token(SECRET, hub_token("t" * 64))
    assert not is_hub_token(SECRET, "")
    assert not is_hub_token(SECRET, "é")
