"""HTML pages as headings and blocks: what a reader came for, without what surrounds it."""

import re
from collections.abc import Iterator, Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

from worker.answering.blocks import Block, Draft, Heading
from worker.answering.markdown import fenced, table_of

_SURROUNDINGS = (
    "script", "style", "noscript", "template", "svg", "iframe", "form", "button", "nav", "aside", "footer",
    "body > header", "[role=navigation]", "[role=banner]", "[role=contentinfo]", "[role=search]", "[hidden]",
    "[aria-hidden=true]", "a.headerlink", "a.anchor",
)  # fmt: skip
_CONTENT = ("main", "[role=main]", "article", "body")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_TEXTS = ("p", "dt", "dd", "figcaption", "summary", "caption")
_SEMANTIC = "main, article, section, nav, aside, header, footer, [role]"
_MANY_LINKS = 8
"""A page without semantic tags that has more of them has a menu somewhere among its text."""

_DATES = (
    'meta[property="article:modified_time"]', 'meta[itemprop="dateModified"]', 'meta[name="last-modified"]',
    'meta[property="article:published_time"]', 'meta[name="date"]',
)  # fmt: skip
_INLINE = frozenset((
    "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "data", "del", "dfn", "em", "i", "img", "ins", "kbd",
    "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr", "-text",
))  # fmt: skip


def parse_html(source: str) -> Draft:
    """The page's title, parts and links."""
    tree = LexborHTMLParser(source)
    own_title = tree.css_first("title")
    title = _words(own_title.text()) if own_title is not None else ""
    robots = " ".join(_attribute(node, "content") for node in tree.css('meta[name="robots" i]')).lower()
    links = [] if "nofollow" in robots else [_attribute(node, "href") for node in tree.css("a[href]")]
    dates = (_attribute(node, "content") for selector in _DATES for node in tree.css(selector))
    canonical = tree.css_first('link[rel="canonical"]')
    base = tree.css_first("base[href]")
    parts = _main_text(source) if _has_hidden_menu(tree) else []
    if not parts:
        parts = html_parts(tree)
    first = next((part.text for part in parts if isinstance(part, Heading) and part.level == 1), "")
    return Draft(
        title=first or title,
        parts=parts,
        dated=next(filter(None, dates), None),
        links=[*([f"base:{_attribute(base, 'href')}"] if base else []), *filter(None, dict.fromkeys(links))],
        canonical=_attribute(canonical, "href") or None if canonical is not None else None,
        is_hidden="noindex" in robots or "none" in re.split(r"[\s,]+", robots),
    )


def html_parts(tree: LexborHTMLParser) -> list[Heading | Block]:
    """What a reader came for: the headings and blocks of a page without what surrounds them."""
    for selector in _SURROUNDINGS:
        for node in tree.css(selector):
            node.decompose()
    root = next((found for selector in _CONTENT for found in tree.css(selector)), None)
    return list(_parts(root)) if root is not None else []


def fragment_parts(source: str) -> list[Heading | Block]:
    """The headings and blocks of a piece of HTML."""
    return html_parts(LexborHTMLParser(source))


def _has_hidden_menu(tree: LexborHTMLParser) -> bool:
    """Whether the page does not say which part of it is the text, and much of it is something else."""
    return tree.css_first(_SEMANTIC) is None and len(tree.css("a[href]")) > _MANY_LINKS


def _main_text(source: str) -> Sequence[Heading | Block]:
    """The text of such a page, by a library that weighs what looks like text."""
    from trafilatura import extract  # takes long to import, and few pages need it

    found = extract(source, output_format="html", include_tables=True, include_formatting=True, include_comments=False)
    return fragment_parts(found) if found else []


def _attribute(node: LexborNode, name: str) -> str:
    return (node.attributes.get(name) or "").strip()


def _parts(parent: LexborNode) -> Iterator[Heading | Block]:
    """Headings and blocks below `parent`; text that stands there by itself is a paragraph."""
    loose: list[str] = []
    for node in parent.iter(include_text=True):
        if node.tag in _INLINE:
            loose.append(_marked(node))
            continue
        yield from _paragraph(loose)
        yield from _block(node)
    yield from _paragraph(loose)


def _block(node: LexborNode) -> Iterator[Heading | Block]:
    tag = node.tag or ""
    if tag in _HEADINGS:
        yield Heading(level=_HEADINGS[tag], text=_words(_marked(node)), anchor=_anchor(node))
    elif tag in _TEXTS:
        yield from _paragraph([_marked(node)])
    elif tag == "pre":
        yield Block(kind="code", text=fenced(node.text(), _language(node)))
    elif tag in ("ul", "ol"):
        yield from _list(node, depth=0)
    elif tag == "table":
        rows = [[_words(_marked(cell)).replace("|", "\\|") for cell in row.css("th, td")] for row in node.css("tr")]
        rows = [row for row in rows if row]
        if rows:
            yield table_of(rows)
    elif not tag.startswith(("_", "!")):
        yield from _parts(node)


def _list(node: LexborNode, depth: int) -> Iterator[Block]:
    for number, item in enumerate((child for child in node.iter() if child.tag == "li"), 1):
        mark = f"{number}. " if node.tag == "ol" else "- "
        text = _words(
            "".join(_marked(child) for child in item.iter(include_text=True) if child.tag not in ("ul", "ol", "pre"))
        )
        if text:
            yield Block(kind="item", text=f"{'  ' * depth}{mark}{text}")
        for child in item.iter():
            if child.tag in ("ul", "ol"):
                yield from _list(child, depth + 1)
            elif child.tag == "pre":
                yield Block(kind="code", text=fenced(child.text(), _language(child)))


def _paragraph(texts: list[str]) -> Iterator[Block]:
    text = _words("".join(texts))
    texts.clear()
    if text:
        yield Block(kind="text", text=text)


def _marked(node: LexborNode) -> str:
    """The words of inline HTML, with code marked as in Markdown."""
    if node.tag == "-text":
        return node.text() or ""
    if node.tag == "br":
        return " "
    if node.tag in ("code", "kbd", "samp"):
        return f"`{node.text()}`"
    return "".join(_marked(child) for child in node.iter(include_text=True))


def _anchor(heading: LexborNode) -> str:
    """The id of a heading, or of the section that it opens; none where a link could not find it."""
    own = heading.attributes.get("id")
    if own:
        return own
    parent = heading.parent
    return (parent.attributes.get("id") or "") if parent is not None and parent.tag in ("section", "div") else ""


def _language(pre: LexborNode) -> str:
    code = pre.css_first("code")
    classes = ((code or pre).attributes.get("class") or "").split()
    return next((one.removeprefix("language-") for one in classes if one.startswith("language-")), "")


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
