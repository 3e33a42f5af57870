"""Documents become passages that make sense alone, and that can be linked to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.answering.blocks import Block, Heading, joined, pieces
from worker.answering.documents import is_document, name_of, parse
from worker.answering.passages import LENGTH, cut

GUIDE = """---
title: "Keys: a guide"
tags: [a]
---
Some [linked](https://example.com/x) *words* and `code`.

## Rotate a key

Do this, e.g. Monday mornings. It is quick:

1. Make a key
2. Deploy it

   ```bash
   # not a heading
   lantern keys
   ```

3. Revoke the old one
   - now
   - or later

### On Windows

| Key | Means |
|---|---|
| `a` | One \\| two |

## Rotate a key

> Again.
"""

PAGE = """<!doctype html><html><head><title>Errors – Lantern</title><style>x{}</style></head><body>
<header>Top <a href="/">Home</a></header><nav><ul><li>Menu</li></ul></nav>
<main><h1>Errors</h1>Loose <b>words</b> and <code>x = 1</code>.<p>A paragraph<br>with a break.</p>
<section id="codes"><h2>Codes <a class="headerlink" href="#codes">¶</a></h2>
<table><tr><th>Code</th><th>Means</th></tr><tr><td>E1</td><td>No | key</td></tr></table></section>
<h2>Without an id</h2><ol><li>One<ul><li>inside</li></ul></li><li><p>Two</p><pre><code class="language-sh">a
  b</code></pre></li></ol><div><article><p>Deep</p></article></div>
<script>alert("no")</script></main><footer>Imprint</footer></body></html>"""


def passages(path: str, source: str) -> list[tuple[str, str, str]]:
    return [(one.heading_path, one.anchor, one.text) for one in parse(path, source).passages]


def test_markdown_is_split_at_headings_with_path_anchor_and_whole_code() -> None:
    assert parse("keys.md", GUIDE).title == "Keys: a guide"
    code = "```bash\n# not a heading\nlantern keys\n```"
    assert passages("keys.md", GUIDE) == [
        ("", "", "Some linked words and `code`."),
        (
            "Rotate a key",
            "rotate-a-key",
            "Do this, e.g. Monday mornings. It is quick:\n\n1. Make a key\n2. Deploy it\n\n"
            f"{code}\n\n3. Revoke the old one\n  - now\n  - or later",
        ),
        ("Rotate a key › On Windows", "on-windows", "| Key | Means |\n| --- | --- |\n| `a` | One \\| two |"),
        ("Rotate a key", "rotate-a-key-1", "Again."),
    ]


def test_html_is_read_without_what_surrounds_the_text() -> None:
    assert parse("errors.html", PAGE).title == "Errors"
    assert passages("errors.html", PAGE) == [
        ("", "", "Loose words and `x = 1`.\n\nA paragraph with a break."),
        ("Codes", "codes", "| Code | Means |\n| --- | --- |\n| E1 | No \\| key |"),
        ("Without an id", "", "1. One\n  - inside\n2. Two\n\n```sh\na\n  b\n```\n\nDeep"),
    ]


@pytest.mark.parametrize(
    ("path", "source", "title"),
    [
        ("a.md", "# First\n\n# Second", "First"),
        ("getting-started.md", "words", "Getting started"),
        ("guides/index.md", "words", "Guides"),
        ("index.md", "words", "Index"),
        ("broken.md", "---\ntitle: [\n---\nwords", "Broken"),
        ("a.html", "<title>In the head</title><p>words", "In the head"),
        ("empty.html", "", "Empty"),
    ],
)
def test_a_document_always_has_a_title(path: str, source: str, title: str) -> None:
    assert parse(path, source).title == title


def test_files_that_nobody_wrote_to_be_read_are_no_documents() -> None:
    assert [is_document(name) for name in ("a.md", "A.MD", "b.html", "c.py", "md", "d.md.bak")] == [
        *[True, True, True],
        *[False, False, False],
    ]
    assert name_of("x/how_to-do it.md") == "How to do it"


def test_long_text_is_cut_at_sentences_and_long_tables_repeat_their_head() -> None:
    sentence = "This sentence has about fifty characters in it, yes. "
    head = "| a | b |\n| --- | --- |"
    table = Block(kind="table", head=head, text="\n".join([head, *(f"| {n} | {'x' * 40} |" for n in range(60))]))
    found = [one.text for one in cut("T", [Heading(level=2, text="H"), Block(kind="text", text=sentence * 30), table])]
    assert all(len(text) <= LENGTH + len(head) + 1 for text in found)
    texts = [text for text in found if not text.startswith("|")]
    tables = [text for text in found if text.startswith("|")]
    assert " ".join(texts).count("yes.") == 30
    assert all(text.endswith("yes.") for text in texts)
    assert all(text.startswith(head) for text in tables)
    assert sum(text.count("x" * 40) for text in tables) == 60


def test_code_stays_whole_however_long_it_is() -> None:
    code = "```\n" + "line of code\n" * 200 + "```"
    found = cut(
        "T", [Block(kind="text", text="Before."), Block(kind="code", text=code), Block(kind="text", text="A" * 300)]
    )
    assert found[0].text == f"Before.\n\n{code}"


def test_pieces_of_a_passage_can_be_put_together_again() -> None:
    for _, _, text in [*passages("keys.md", GUIDE), *passages("errors.html", PAGE)]:
        assert joined(pieces(text)).split() == text.split(), "paragraphs may flow together, no word is lost"


@given(st.text())
def test_nothing_that_people_write_breaks_a_parser(source: str) -> None:
    for path in ("a.md", "a.html"):
        for one in parse(path, source).passages:
            assert one.text.strip()
            joined(pieces(one.text))
