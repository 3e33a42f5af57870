"""Markdown as headings and blocks."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from worker.answering.blocks import Block, Draft, Heading

_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_ANCHOR = re.compile(r"\s*\{#([\w-]+)\}$")
_NOT_IN_SLUGS = re.compile(r"[^\w\- ]")
_DATES = ("last_updated", "lastmod", "updated", "date")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# What is written like a tag and is none, such as <your-key>, says something and stays.
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|center|cite|code|dd|del|details|dfn|div|dl|dt|em|figcaption|figure|font|hr|i"
    r"|img|ins|kbd|li|mark|ol|p|picture|pre|q|s|samp|section|small|source|span|strike|strong|sub|summary|sup|table"
    r"|tbody|td|th|thead|tr|tt|u|ul|var|video|wbr)(?=[\s/>])[^>]*>",
    re.IGNORECASE,
)

Html = Callable[[str], Sequence[Heading | Block]]
"""Makes headings and blocks of the HTML that Markdown may have in it."""


def as_words(html: str) -> Sequence[Heading | Block]:
    """HTML in Markdown as plain paragraphs."""
    text = " ".join(_TAG.sub(" ", _COMMENT.sub(" ", html)).split())
    return [Block(kind="text", text=text)] if text else []


def parse_markdown(source: str, html: Html = as_words) -> Draft:
    """The document's title, date and parts."""
    fields, body = front_matter(source)
    parts = list(_Reader(_PARSER.parse(body), html).parts())
    first = next((part.text for part in parts if isinstance(part, Heading) and part.level == 1), "")
    title = fields.get("title")
    dated = next((fields[name] for name in _DATES if fields.get(name)), None)
    return Draft(
        title=title if isinstance(title, str) and title else first,
        parts=parts,
        dated=str(dated) if dated is not None else None,
    )


def slug(text: str, seen: Counter[str]) -> str:
    """The anchor that documentation sites give to a heading; a repeated one gets a number."""
    base = _NOT_IN_SLUGS.sub("", text.lower()).strip().replace(" ", "-")
    seen[base] += 1
    return base if seen[base] == 1 else f"{base}-{seen[base] - 1}"


def front_matter(source: str) -> tuple[dict[str, Any], str]:
    """What a document says of itself before it begins, and the rest."""
    found = _FRONT_MATTER.match(source)
    if found is None:
        return {}, source
    try:
        fields = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError):
        fields = None
    return (fields if isinstance(fields, dict) else {}), source[found.end() :]


@dataclass
class _Reader:
    """Walks through the parser's tokens once."""

    tokens: Sequence[Token]
    html: Html
    anchors: Counter[str] = field(default_factory=Counter)

    def parts(self) -> Iterator[Heading | Block]:
        at = 0
        marks: list[str] = []
        numbers: list[int] = []
        while at < len(self.tokens):
            token = self.tokens[at]
            match token.type:
                case "heading_open":
                    text, anchor = _own_anchor(_plain(self.tokens[at + 1]))
                    yield Heading(level=int(token.tag[1]), text=text, anchor=anchor or slug(text, self.anchors))
                    at += 2
                case "bullet_list_open" | "ordered_list_open":
                    numbers.append(int(token.attrGet("start") or 1) if token.type.startswith("ordered") else 0)
                case "bullet_list_close" | "ordered_list_close":
                    numbers.pop()
                case "list_item_open":
                    marks = [f"{numbers[-1]}. " if numbers[-1] else "- "]
                    numbers[-1] += 1 if numbers[-1] else 0
                case "inline":
                    mark = f"{'  ' * (len(numbers) - 1)}{marks.pop()}" if marks else "  " * len(numbers)
                    text = f"{mark}{_plain(token)}"
                    if text.strip():
                        yield Block(kind="item" if numbers else "text", text=text)
                case "fence" | "code_block":
                    marks.clear()
                    yield Block(kind="code", text=fenced(token.content, token.info))
                case "table_open":
                    at, table = self._table(at)
                    yield table
                case "html_block":
                    yield from self.html(token.content)
                case _:
                    pass
            at += 1

    def _table(self, at: int) -> tuple[int, Block]:
        """The table that begins at token `at`, and the number of its last token."""
        rows: list[list[str]] = []
        while self.tokens[at].type != "table_close":
            token = self.tokens[at]
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(_plain(token).replace("|", "\\|"))
            at += 1
        return at, table_of(rows)


def _said_by(tag: str) -> str:
    """What a tag among words says: nothing, where it is one."""
    if tag.lower().startswith(("<br", "<hr")):
        return " "
    return "" if tag.startswith("<!--") or _TAG.fullmatch(tag) else tag


def _own_anchor(text: str) -> tuple[str, str]:
    """A heading without the anchor that it gives itself, as in `Install {#install}`."""
    found = _ANCHOR.search(text)
    return (text[: found.start()].rstrip(), found[1]) if found else (text, "")


def table_of(rows: Sequence[Sequence[str]]) -> Block:
    """A table as Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    head = f"{lines[0]}\n|{' --- |' * len(rows[0])}"
    return Block(kind="table", text="\n".join([head, *lines[1:]]), head=head)


def _plain(token: Token) -> str:
    """The words of inline Markdown. Code keeps its marks; addresses of links say nothing and go."""
    out: list[str] = []
    for child in token.children or ():
        match child.type:
            case "text":
                out.append(child.content)
            case "html_inline":
                out.append(_said_by(child.content))
            case "code_inline":
                out.append(f"`{child.content}`")
            case "softbreak" | "hardbreak":
                out.append(" ")
            case "image":
                out.append(child.content)
            case _:
                pass
    return " ".join("".join(out).split())


def fenced(code: str, info: str = "") -> str:
    """Code between marks that are longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    marks = "`" * max(3, longest + 1)
    language = info.split()[0] if info.split() else ""
    return f"{marks}{language}\n{code.rstrip()}\n{marks}"
