"""reStructuredText as headings and blocks.

docutils knows nothing of Sphinx, so directives and roles that a document uses and docutils lacks are read as what they
hold. Nothing outside of the document is read: no inclusion, no raw output.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.languages import en

from worker.answering.blocks import Block, Draft, Heading
from worker.answering.markdown import fenced, table_of

_DIRECTIVE = re.compile(r"^\s*\.\. +([\w:.+-]+)::", re.MULTILINE)
_ROLE = re.compile(r":([\w:.+-]+):`")
_TARGET = re.compile(r"^(.*?)\s*<[^<>]+>$", re.DOTALL)
_SAYS_NOTHING = frozenset({
    "toctree", "index", "currentmodule", "module", "highlight", "tabularcolumns", "only", "automodule", "autoclass",
    "autofunction", "automethod", "autosummary", "literalinclude", "include", "raw", "image", "figure", "graphviz",
    "mermaid", "todo", "todolist", "contents", "sectnum", "meta", "default-role", "role",
})  # fmt: skip
_CODE = frozenset({"code", "code-block", "sourcecode", "prompt", "doctest", "testcode", "console", "parsed-literal"})
_CODE_ROLES = frozenset({"class", "func", "meth", "mod", "attr", "data", "envvar", "option", "file", "kbd", "command"})
_LABELS = {"versionadded": "Since version", "versionchanged": "Changed in version", "deprecated": "Deprecated since"}
_QUIET: dict[str, Any] = {
    "report_level": 5,
    "halt_level": 5,
    "warning_stream": False,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "line_length_limit": 100_000,
    "syntax_highlight": "none",
    "smart_quotes": False,
    "doctitle_xform": True,
    "docinfo_xform": True,
    "input_encoding": "unicode",
}


class _Held(Directive):
    """A directive that docutils lacks: its argument and what it holds are text."""

    optional_arguments = 100
    final_argument_whitespace = True
    has_content = True
    option_spec = None

    def run(self) -> list[nodes.Node]:
        holder = nodes.container()
        said = " ".join(self.arguments).strip()
        if said:
            text = " ".join(filter(None, [_LABELS.get(self.name, ""), said]))
            inline, _ = self.state.inline_text(text, self.lineno)
            holder += nodes.paragraph("", "", *inline)
        body = self.content
        while body and re.match(r"^:[\w-]+:", body[0]):  # options of a directive that nobody knows
            body.trim_start()
        if body:
            self.state.nested_parse(body, self.content_offset, holder)
        return [holder]


class _Code(_Held):
    def run(self) -> list[nodes.Node]:
        lines = list(self.content)
        while lines and re.match(r"^:[\w-]+:", lines[0]):
            lines.pop(0)
        text = "\n".join(lines).strip("\n")
        return [nodes.literal_block(text, text, classes=["code", *self.arguments[:1]])]


class _Nothing(_Held):
    def run(self) -> list[nodes.Node]:
        return []


def _said(name: str, rawtext: str, text: str, *rest: Any, **more: Any) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """A role that docutils lacks: its text, without the target."""
    words = _TARGET.sub(r"\1", text).lstrip("~!")
    is_code = name.rpartition(":")[2] in _CODE_ROLES
    return [nodes.literal(rawtext, words) if is_code else nodes.inline(rawtext, words)], []


def parse_rst(source: str) -> Draft:
    """The document's title and parts."""
    _learn(source)
    tree = publish_doctree(source, settings_overrides=_QUIET)
    parts = list(_parts(tree, 0))
    title = next((part.text for part in parts if isinstance(part, Heading)), "")
    date = next(iter(tree.findall(nodes.date)), None)
    return Draft(title=title, parts=parts, dated=date.astext() if date is not None else None)


def _learn(source: str) -> None:
    """Registers what the document uses and docutils lacks, and takes away what reads other files."""
    for name in {*_DIRECTIVE.findall(source), *_SAYS_NOTHING}:
        if name in _SAYS_NOTHING:
            directives.register_directive(name, _Nothing)
        elif name in _CODE:
            directives.register_directive(name, _Code)
        elif name.lower() not in en.directives:
            directives.register_directive(name, _Held)
    for name in set(_ROLE.findall(source)):
        if name.lower() not in en.roles:
            roles.register_local_role(name, _said)  # type: ignore[arg-type]  # its stub knows references alone


def _parts(parent: nodes.Element, level: int) -> Iterator[Heading | Block]:
    for node in parent.children:
        match node:
            case nodes.section():
                title = next(iter(node.findall(nodes.title)), None)
                anchor = node["ids"][0] if node["ids"] else ""
                yield Heading(level=level + 1, text=_words(title) if title is not None else "", anchor=anchor)
                yield from _parts(node, level + 1)
            case nodes.paragraph() | nodes.term() | nodes.rubric() | nodes.caption() | nodes.attribution():
                if text := _words(node):
                    yield Block(kind="text", text=text)
            case nodes.literal_block() | nodes.doctest_block():
                language = " ".join(one for one in map(str, node.get("classes", ())) if one != "code")
                yield Block(kind="code", text=fenced(node.astext(), language))
            case nodes.bullet_list() | nodes.enumerated_list():
                yield from _list(node, 0)
            case nodes.table():
                if rows := _rows(node):
                    yield table_of(rows)
            case nodes.title() if isinstance(parent, nodes.document):
                yield Heading(level=1, text=_words(node), anchor=(parent["ids"] or [""])[0])
                level = 1
            case nodes.title() | nodes.comment() | nodes.system_message() | nodes.substitution_definition():
                pass
            case nodes.Element() if isinstance(node, nodes.Admonition):
                yield from _admonition(node, level)
            case nodes.docinfo() | nodes.target() | nodes.Invisible():
                pass
            case nodes.Element():
                yield from _parts(node, level)


def _admonition(node: nodes.Element, level: int) -> Iterator[Heading | Block]:
    label = node.tagname.capitalize()
    inside = list(_parts(node, level))
    if inside and isinstance(inside[0], Block) and inside[0].kind == "text" and label != "Admonition":
        inside[0] = inside[0].model_copy(update={"text": f"{label}: {inside[0].text}"})
    yield from inside


def _list(node: nodes.Element, depth: int) -> Iterator[Block]:
    items = [child for child in node.children if isinstance(child, nodes.list_item)]
    for number, item in enumerate(items, int(node.get("start", 1))):
        mark = f"{number}. " if isinstance(node, nodes.enumerated_list) else "- "
        text = " ".join(_words(one) for one in item.children if isinstance(one, nodes.paragraph))
        if text:
            yield Block(kind="item", text=f"{'  ' * depth}{mark}{text}")
        for one in item.children:
            if isinstance(one, nodes.bullet_list | nodes.enumerated_list):
                yield from _list(one, depth + 1)
            elif isinstance(one, nodes.Element) and not isinstance(one, nodes.paragraph):
                holder = nodes.container("", one.deepcopy())
                yield from (part for part in _parts(holder, 9) if isinstance(part, Block))


def _rows(table: nodes.table) -> list[list[str]]:
    rows = [[_words(entry).replace("|", "\\|") for entry in row.children] for row in table.findall(nodes.row)]
    return [row for row in rows if row]


def _words(node: nodes.Node) -> str:
    """The words of a paragraph, with code marked as in Markdown."""
    if isinstance(node, nodes.Text):
        return " ".join(node.astext().split()) if "\n" in node else node.astext()
    if isinstance(node, nodes.literal):
        return f"`{node.astext()}`"
    if isinstance(node, nodes.system_message | nodes.comment):
        return ""
    text = "".join(_words(child) for child in node.children)
    return text.strip() if isinstance(node, nodes.paragraph) else text
