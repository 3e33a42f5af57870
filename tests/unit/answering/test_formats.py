"""What each format becomes: headings, paragraphs, whole code, tables, and where it is dated."""

import pytest

from tests.fakes.paper import pdf
from worker.answering.blocks import Unreadable
from worker.answering.documents import as_date, as_text, format_of, parse
from worker.answering.parsing import Parser

RST = """
Guide
=====

:Date: 2024-05-06

Intro with ``code`` and :ref:`a link <target>` and `web <https://x.y>`_.

.. _target:

Install
-------

.. code-block:: bash
   :caption: x

   pip install lantern

   lantern up

.. note:: Be careful.

.. versionadded:: 2.0
   The thing.

.. toctree::

   a

.. include:: /etc/passwd

.. raw:: html
   :file: /etc/passwd

.. csv-table::
   :file: /etc/passwd

.. tabs::

   .. tab:: Linux

      Use apt.

* one
* two

  * nested

==== =====
A    B
==== =====
1    2
==== =====

Sub
~~~

Text :py:class:`~foo.Bar`.
"""

MDX = """---
title: Tabs
date: 2024-01-02
---
import Tabs from '@theme/Tabs';
import {
  A
} from 'b';

export const x = {
  a: 1
};

## Head {#own}

{/* comment */}

<Tabs>
  <Tab title="Python" value={{a: 1}}>

    Use `<Foo>` now.

    ```py
    import x
    {a}
    ```

  </Tab>
</Tabs>

<Note>Careful with <b>this</b>.</Note>
"""

MARKDOWN = """# T

<details><summary>More</summary>

inner *text*

</details>

Set <your-token> and a<br>b. <!-- hidden --> <img src="x">

<table><tr><td>1</td><td>2</td></tr></table>

<script>alert(1)</script>
"""


def passages(path: str, source: str | bytes) -> list[tuple[str, str, str]]:
    return [(one.heading_path, one.anchor, one.text) for one in parse(path, source).passages]


def test_restructured_text_keeps_sections_code_and_what_sphinx_adds() -> None:
    found = parse("guide.rst", RST)
    assert (found.title, found.dated) == ("Guide", "2024-05-06T00:00:00+00:00")
    intro, install, sub = passages("guide.rst", RST)
    assert intro == ("", "guide", "Intro with `code` and a link and web.")
    assert install[:2] == ("Install", "install")
    assert "```bash\npip install lantern\n\nlantern up\n```" in install[2]
    for said in (
        "Note: Be careful.",
        "Since version 2.0 The thing.",
        "Use apt.",
        "- one\n- two\n  - nested",
        "| 1 | 2 |",
    ):
        assert said in install[2]
    assert "root:" not in install[2], "nothing outside of the document is read"
    assert sub == ("Install › Sub", "sub", "Text `foo.Bar`.")


def test_components_of_mdx_go_and_what_they_hold_stays() -> None:
    found = parse("tabs.mdx", MDX)
    assert (found.title, found.dated) == ("Tabs", "2024-01-02T00:00:00+00:00")
    assert passages("tabs.mdx", MDX) == [
        ("Head", "own", "Python\n\nUse `<Foo>` now.\n\n```py\nimport x\n{a}\n```\n\nCareful with this.")
    ]


def test_html_in_markdown_is_read_as_html_and_what_only_looks_like_it_stays() -> None:
    (passage,) = parse("a.md", MARKDOWN).passages
    assert passage.text == "More\n\ninner text\n\nSet <your-token> and a b.\n\n| 1 | 2 |\n| --- | --- |"


def test_a_pdf_has_its_pages_for_anchors_and_its_outline_for_headings() -> None:
    content = pdf("Press the button.\nThen wait.", "Second page.", title="Manual", outline="First steps")
    found = parse("manual.pdf", content)
    assert (found.title, found.dated) == ("Manual", "2025-01-02T03:04:05+00:00")
    assert passages("manual.pdf", content) == [
        ("First steps", "page=1", "Press the button. Then wait."),
        ("Page 2", "page=2", "Second page."),
    ]


def test_a_page_whose_menu_is_among_its_text_is_read_without_it() -> None:
    menu = "".join(f'<div><a href="/{n}">Menu entry {n}</a></div>' for n in range(30))
    words = "The export runs every night and keeps its files for thirty days, after which they are removed. " * 6
    body = f"<div class='menu'>{menu}</div><div><h1>Export</h1><p>{words}</p><p>{words}</p></div>"
    source = f"<html><body>{body}</body></html>"
    text = " ".join(one.text for one in parse("export.html", source).passages)
    assert "keeps its files for thirty days" in text
    assert "Menu entry" not in text


def test_a_page_says_what_it_links_to_and_whether_it_may_be_found() -> None:
    head = '<base href="/docs/"><link rel="canonical" href="/x"><meta name="ROBOTS" content="noindex, follow">'
    found = parse(
        "x.html", f"<html><head>{head}</head><body><nav><a href='a'>A</a></nav><a href=' /b '>B</a></body></html>"
    )
    assert found.links == ["base:/docs/", "a", "/b"]
    assert (found.canonical, found.is_hidden) == ("/x", True)
    assert parse("x.html", '<meta name="robots" content="nofollow"><a href="a">A</a>').links == []


@pytest.mark.parametrize(
    ("content", "media_type", "text", "is_noted"),
    [
        (b"\xef\xbb\xbfa", "", "a", False),
        ("ü".encode("utf-16"), "", "ü", False),
        (b"\xfc", "text/plain; charset=latin-1", "ü", False),
        (b"\xfc", "text/plain; charset=nonsense", "ü", True),
        ("äöü".encode() + b"\xff", "", "äöü\ufffd", True),
    ],
)
def test_encodings_are_found_out_and_guesses_are_noted(
    content: bytes, media_type: str, text: str, is_noted: bool
) -> None:
    found, note = as_text(content, media_type)
    assert (found, note is not None) == (text, is_noted)


def test_the_charset_of_a_page_may_be_in_the_page() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Größe</p></body></html>'.encode("latin-1")
    assert parse("a.html", page).passages[0].text == "Größe"


def test_formats_go_by_media_type_then_by_name() -> None:
    assert format_of("a.md", "text/plain; charset=utf-8") == "markdown"
    assert format_of("a.rst", "text/plain") == "rst"
    assert format_of("a", "text/html") == "html"
    assert format_of("a.pdf", "application/octet-stream") == "pdf"
    assert format_of("a.md", "image/png") is None
    with pytest.raises(Unreadable, match="has a format that cannot be read"):
        parse("a.bin", b"x")


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-02", "2024-01-02T00:00:00+00:00"),
        ("2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05+00:00"),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02T03:04:05+00:00"),
        ("yesterday", None),
        ("", None),
        (None, None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_dates_are_read_as_people_and_servers_write_them(text: str | None, date: str | None) -> None:
    assert as_date(text) == date


async def test_a_document_that_takes_too_long_is_given_up_and_the_next_is_parsed() -> None:
    parser = Parser(seconds=20.0)
    assert (await parser.parse("a.md", b"# A")).title == "A"
    parser._seconds = 0.05
    with pytest.raises(Unreadable, match=r"takes longer than 0\.05 s to parse"):
        await parser.parse("slow.md", b"*a " * 300_000)
    parser._seconds = 20.0
    assert (await parser.parse("b.md", b"# B")).title == "B"


async def test_a_process_that_dies_is_replaced() -> None:
    parser = Parser()
    await parser.parse("a.md", b"# A")
    assert parser._process is not None
    parser._process.kill()
    parser._process.wait()
    assert (await parser.parse("b.md", b"# B")).title == "B"
