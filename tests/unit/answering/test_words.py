import pytest

from worker.answering.stems import stem
from worker.answering.words import Weighted, idf, nearest_word, terms, words


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hosting", "host"), ("hosted", "host"), ("keys", "kei"), ("policies", "polici"), ("hopping", "hop"),
        ("falling", "fall"), ("feed", "feed"), ("relational", "relat"), ("yes", "ye"), ("happy", "happi"),
        ("sky", "sky"), ("is", "is"), ("über", "über"), ("v2", "v2"), ("caresses", "caress"), ("filling", "fill"),
    ],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_words_are_those_of_the_full_text_index() -> None:
    assert words("The API-key `LNT_409` für Zoë: 3.2!") == ["the", "api", "key", "lnt", "409", "fur", "zoe", "3", "2"]


def test_terms_leave_out_what_every_question_has() -> None:
    assert terms("How do I rotate the key? Please rotate it without downtime, thanks") == [
        *["rotate", "key", "without", "downtime"]
    ]


def test_rare_words_say_more() -> None:
    assert idf(1, 100) > idf(50, 100) > idf(100, 100) > 0


@pytest.mark.parametrize("typo", ["webhok", "webhoook", "wbehook", "webhoik"])
def test_the_nearest_word_is_one_edit_away_and_the_most_frequent(typo: str) -> None:
    assert nearest_word(typo, {"webhook": 5, "webbook": 1, "other": 99}) == "webhook"
    assert nearest_word("completely", {"webhook": 5}) is None


def test_a_text_is_nearest_to_the_description_that_it_shares_rare_words_with() -> None:
    weighted = Weighted({"billing": "invoices and payments of customers", "bugs": "errors and crashes for customers"})
    near = weighted.similarities("My payment was charged twice, says the invoice")
    assert near["billing"] > near["bugs"] == 0.0
    assert weighted.similarities("") == {"billing": 0.0, "bugs": 0.0}
