"""Text on its way out of Slack and into it."""

import random
import re

import pytest

from gateways.adapter import Content
from gateways.slack.mrkdwn import as_markdown, mentioned
from gateways.slack.rendering import TEXT_LIMIT, render, settled
from gateways.slack.splitting import split
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.errors import Rejected
from runllm.operations import ButtonWait
from runllm.testing.platforms.slack_blocks import problems, too_long

NAMES = {"U1": "Ada", "U2": "Grace"}


@pytest.mark.parametrize(
    ("slack", "markdown"),
    [
        ("plain", "plain"),
        ("a *bold* and _slanted_ and ~struck~ word", "a **bold** and _slanted_ and ~~struck~~ word"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("x &lt; y &amp;&amp; y &gt; z", "x < y && y > z"),
        ("see <https://x.example>", "see https://x.example"),
        ("see <https://x.example|the *page*>", "see [the **page**](https://x.example)"),
        ("<mailto:a@x.example|a@x.example>", "a@x.example"),
        ("ask <@U1> or <@U9> or <@U9|linus>", "ask @Ada or @U9 or @linus"),
        ("in <#C1|general> or <#C2>", "in #general or #C2"),
        ("<!here> and <!subteam^S1|@team>", "@here and @team"),
        ("<@UBOT> hello", "hello"),
        ("  <@UBOT>, hello <@UBOT>", "hello @UBOT"),
        ("run `a &amp;&amp; *b*` now", "run `a && *b*` now"),
        ("```a = *b*\n&lt;c&gt; <https://x.example>```", "```\na = *b*\n<c> https://x.example\n```"),
    ],
)
def test_what_people_write_in_slack_is_markdown_here(slack: str, markdown: str) -> None:
    assert as_markdown(slack, NAMES, "UBOT") == markdown


def test_everybody_who_is_mentioned_is_found_once() -> None:
    assert mentioned("<@U1> and <@U2|grace> and <@U1>, not <#C1>") == ["U1", "U2"]


def test_a_short_text_is_one_part() -> None:
    assert split("Hello", 100) == ["Hello"]
    assert split("", 100) == [""]


def test_paragraphs_stay_together_where_they_can() -> None:
    paragraphs = [f"{letter * 30}." for letter in "abcdef"]
    assert split("\n\n".join(paragraphs), 70) == [
        "\n\n".join(pair) for pair in zip(paragraphs[::2], paragraphs[1::2], strict=True)
    ]


def test_a_long_sentence_is_cut_between_words_and_a_long_word_anywhere() -> None:
    parts = split("one two three four five six seven eight nine ten " * 20, 100)
    words = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
    assert {word for part in parts for word in part.split()} == words
    assert "".join(split("x" * 450, 100)) == "x" * 450


def test_a_code_block_that_is_cut_is_closed_and_opened_again_with_its_language() -> None:
    code = "\n".join(f"line {number}" for number in range(100))
    parts = split(f"Before\n\n~~~~python\n{code}\n~~~~\n\nAfter", 200)
    inside = [part for part in parts if "line" in part]
    assert len(inside) > 3
    assert all(part.splitlines()[-1] == "~~~~" for part in inside[:-1])
    assert all("~~~~python" in part for part in inside)
    lines = [line for part in parts for line in part.splitlines() if line.startswith("line")]
    assert lines == code.splitlines()


def test_a_table_that_is_cut_has_its_heading_again() -> None:
    rows = [f"| {number} | x |" for number in range(100)]
    parts = split("\n".join(["| n | what |", "|---|:--:|", *rows]), 200)
    assert len(parts) > 3
    assert all(part.splitlines()[:2] == ["| n | what |", "|---|:--:|"] for part in parts)
    assert [line for part in parts for line in part.splitlines()[2:]] == rows


def test_any_text_is_split_into_parts_that_fit_and_lose_no_word() -> None:
    chance = random.Random(7)
    pieces = [
        "word",
        "a longer sentence. ",
        "\n",
        "\n\n",
        "```\n",
        "```py\n",
        "| a | b |\n|---|---|\n",
        "- item\n",
        "x" * 90,
        "~~~\n",
    ]
    for _ in range(300):
        text = "".join(chance.choice(pieces) for _ in range(chance.randint(1, 80)))
        parts = split(text, 120)
        assert all(len(part) <= 120 for part in parts), text
        said, shown = (_letters(each) for each in (text, "".join(parts)))
        for word in ("word", "sentence", "item"):
            assert shown.count(word) >= said.count(word), text


def _letters(text: str) -> str:
    """Without what opens and closes blocks of code, which are opened and closed more often."""
    return "".join(re.sub(r"`|~|py|\s", "", text))


def test_whatever_is_rendered_is_valid_block_kit() -> None:
    chance = random.Random(7)
    for _ in range(100):
        buttons = [
            {"id": f"b{n}", "text": "x" * chance.randint(1, 200), "style": chance.choice(["primary", "odd"])}
            for n in range(30)
        ]
        content = Content(
            chat_id=1,
            text="Some *text* <!channel> & | more. " * chance.randint(1, 1_500),
            category=AnswerCategory.ANSWERED,
            sources=[Source(title=f"Guide <{n}> {'t' * 300}", url="https://x.example/a") for n in range(15)],
            blocks=[{"type": "buttons", "buttons": buttons[: chance.randint(1, 30)]}],
            wait=ButtonWait(wait_id=1),
            prefix=chance.choice([None, "Prefix"]),
        )
        for part in render(content):
            assert problems(part.blocks) == []
            assert not too_long(part.blocks)
            assert part.text
            assert len(part.text) <= 40_000
            assert problems(settled(part.blocks, "Time is up.")) == []


def test_long_blocks_of_a_workflow_are_a_message_of_their_own() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2_900}}] * 3
    first, second = render(Content(chat_id=1, text="y" * (TEXT_LIMIT - 10), blocks=blocks))
    assert [block["type"] for block in first.blocks] == ["markdown"]
    assert [block["type"] for block in second.blocks] == ["section", "section", "section", "actions"]
    assert not too_long(first.blocks)
    assert not too_long(second.blocks)


def test_blocks_may_stand_alone_and_nothing_may_not() -> None:
    [part] = render(Content(chat_id=1, text="", blocks=[{"type": "divider"}], enable_feedback=False))
    assert [block["type"] for block in part.blocks] == ["divider"]
    with pytest.raises(Rejected, match="empty message"):
        render(Content(chat_id=1, text="  "))


@pytest.mark.parametrize(
    ("author", "name", "text", "shown"),
    [
        (MessageType.USER, "Vera", "Hello", "**Vera:** Hello"),
        (MessageType.USER, "*V*\n<era>", "Hello", "**Vera:** Hello"),
        (MessageType.USER, "Vera", "- one", "**Vera:**\n\n- one"),
        (MessageType.USER, "Vera", "<@U1> <!here>", "**Vera:** <\u2060@U1> <\u2060!here>"),
        (MessageType.ASSISTANT, None, "<@U1> <!here>", "<@U1> <\u2060!here>"),
    ],
)
def test_who_said_it_is_told_and_nobody_is_called_by_others_words(
    author: MessageType, name: str | None, text: str, shown: str
) -> None:
    [part] = render(Content(chat_id=1, text=text, author=author, author_name=name, enable_feedback=False))
    assert part.blocks[0]["text"] == shown


def test_buttons_that_are_over_give_their_place_to_one_note() -> None:
    blocks = [
        {"type": "markdown", "text": "?"},
        {"type": "actions", "block_id": "runllm_buttons_0", "elements": []},
        {"type": "actions", "block_id": "runllm_buttons_1", "elements": []},
        {"type": "actions", "block_id": "runllm_feedback", "elements": []},
    ]
    over = settled(blocks, "Done.")
    assert [block["type"] for block in over] == ["markdown", "context", "actions"]
    assert settled(over[:1] + over[2:], "") == over[:1] + over[2:]
