"""Messages as Discord shows them: nothing is lost at a cut, and code stays code."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.adapter import Content
from gateways.discord.writing import LONGEST, as_discord, escaped, length, noted, pieces_of, split, whole
from runllm.bridge.messages import MessageType, Source

TEXTS = st.text(alphabet="ab.` \n~é😀#|-", max_size=700)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, room=st.integers(min_value=40, max_value=120))
def test_no_piece_is_too_long_and_no_word_is_lost(text: str, room: int) -> None:
    pieces = split(text, room)
    assert all(0 < length(piece) <= room for piece in pieces)

    def letters(text: str) -> str:
        return re.sub(r"[\s`~#|-]", "", text)

    if "`" not in text and "~" not in text:
        assert letters("".join(pieces)) == letters(text)
    assert letters(text) in letters("".join(pieces)) or "```" in text or "~~~" in text


def test_paragraphs_are_kept_together_where_that_leaves_no_piece_half_empty() -> None:
    assert split("a" * 30 + "\n\n" + "b" * 15, 50) == ["a" * 30 + "\n\n" + "b" * 15]
    assert split("a" * 30 + "\n\n" + "b" * 30, 50) == ["a" * 30, "b" * 30]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two three\nfour five six seven eight nine", "one two three\nfour five six"),
        ("One two three. Four five six! Seven eight nine ten eleven", "One two three. Four five six!"),
    ],
)
def test_lines_come_before_sentences_and_sentences_before_words(text: str, first: str) -> None:
    assert split(text, 40)[0] == first


def test_code_that_goes_over_a_cut_is_closed_and_opened_again() -> None:
    code = "\n".join(f"line {number}" for number in range(40))
    pieces = split(f"Look:\n\n```python\n{code}\n```\n\nDone.", 120)
    assert len(pieces) > 3
    for piece in pieces:
        assert len(re.findall(r"^```", piece, re.MULTILINE)) % 2 == 0, piece
    assert all(piece.startswith("```python\n") for piece in pieces[1:-1])
    inside = [line for piece in pieces for line in piece.split("\n") if line.startswith("line ")]
    assert inside == code.split("\n")


def test_code_with_longer_fences_and_backticks_in_it_stays_code() -> None:
    code = "\n".join(["````", *(["```", "x" * 30] * 6), "````"])
    for piece in split(code, 120):
        assert piece.startswith("````\n")
        assert piece.endswith("\n````")


def test_a_word_that_is_longer_than_a_message_is_cut() -> None:
    assert split("x" * 45, 40) == ["x" * 32, "x" * 13]


def test_characters_count_as_the_strictest_counter_does() -> None:
    assert length("é😀") == 3
    assert all(length(piece) <= LONGEST for piece in split("😀" * 1500, LONGEST))


def test_tables_become_code_and_code_stays_as_it_is() -> None:
    table = "| a | bb |\n|---|:--|\n| 1 | 2 |\n"
    assert as_discord(f"Look:\n{table}") == "Look:\n```\na  bb\n-  --\n1  2\n```\n"
    fenced = f"```\n{table}```"
    assert as_discord(fenced) == fenced
    assert as_discord("this | is no table") == "this | is no table"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("#### Small", "**Small**"),
        ("## Large", "## Large"),
        ("![chart](https://x.example/c.png)", "[chart](https://x.example/c.png)"),
        ("![](https://x.example/c.png)", "[image](https://x.example/c.png)"),
        ("- **a** `b`", "- **a** `b`"),
    ],
)
def test_what_discord_does_not_know_is_written_otherwise(text: str, shown: str) -> None:
    assert as_discord(text) == shown


def test_a_copy_of_a_list_begins_below_the_name() -> None:
    copy = Content(chat_id=1, text="- one\n- two", author=MessageType.USER, author_name="Ada")
    assert whole(copy) == "**Ada:**\n- one\n- two"


def test_a_prefix_stands_above_the_text() -> None:
    assert whole(Content(chat_id=1, text="Yes.", prefix="🤖 Analysis:")) == "🤖 Analysis:\nYes."


def test_sources_are_listed_once_and_not_too_many() -> None:
    sources = [Source(title=f"Page {number // 2}", url=f"https://x.example/{number // 2}") for number in range(20)]
    footer = whole(Content(chat_id=1, text="Yes.", sources=[*sources, Source(title="Book")])).rpartition("\n\n")[2]
    assert footer.count("](<https://") == 5
    assert footer.startswith("-# [Page 0](<https://x.example/0>) · [Page 1]")


def test_a_note_fits_whatever_the_text() -> None:
    text = pieces_of(Content(chat_id=1, text="x " * 3000, blocks=[{"type": "buttons", "buttons": []}]))[-1]
    shown = noted(text, "Chosen: *Yes*, by " + "y" * 3000)
    assert length(shown) <= LONGEST
    assert "\n-# Chosen: \\*Yes\\*, by yyy" in shown


def test_there_is_always_one_piece() -> None:
    assert pieces_of(Content(chat_id=1, text=" \n ")) == [""]


def test_escaped_text_is_one_line_without_meaning() -> None:
    assert escaped("*a*\n[b](c) `d`") == r"\*a\* \[b\]\(c\) \`d\`"
