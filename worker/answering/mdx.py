"""MDX: Markdown with components in it. The components go, what they hold and what they are called stays."""

import re

from worker.answering.blocks import Draft
from worker.answering.markdown import front_matter, parse_markdown

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_MODULE = re.compile(r"^(?:import|export)\b")
_COMMENT = re.compile(r"\{/\*.*?\*/\}", re.DOTALL)
_EXPRESSION = re.compile(r"(?<!\\)\{[^{}\n#][^{}\n]*\}")
# A component's name begins with a capital; its attributes may hold > in quotes or braces.
_COMPONENT = re.compile(
    r"<(/?)([A-Z][\w.]*)((?:\"[^\"]*\"|'[^']*'|\{(?:[^{}]|\{[^{}]*\})*\}|[^>\"'{}])*?)/?>", re.DOTALL
)
_LABEL = re.compile(r"\b(?:title|label|summary|heading|question|name)=(?:\"([^\"]+)\"|'([^']+)')")
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_FRAGMENT = re.compile(r"</?>")


def parse_mdx(source: str) -> Draft:
    """The document as Markdown, without its code."""
    fields, body = front_matter(source)
    head = source[: len(source) - len(body)] if fields else ""
    return parse_markdown(head + "\n".join(_prose(body)))


def _prose(body: str) -> list[str]:
    """The lines of a document; code between fences is left as it is."""
    out: list[str] = []
    prose: list[str] = []
    fence, indent = "", 0
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if not fence and mark:
            out += _plain(prose)
            prose, fence = [], mark[1]
            indent = len(line) - len(line.lstrip())
            # Four spaces, as components indent what they hold, would make code of the fence itself.
            indent = indent if indent >= 4 else 0
            out.append(line[indent:])
        elif fence:
            out.append(line[indent:] if not line[:indent].strip() else line)
            if mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        else:
            prose.append(line)
    return [*out, *_plain(prose)]


def _plain(lines: list[str]) -> list[str]:
    text = _COMMENT.sub("", "\n".join(_without_modules(lines)))
    kept: list[str] = []

    def keep(code: re.Match[str]) -> str:
        kept.append(code[0])
        return f"\0{len(kept) - 1}\0"

    text = _INLINE_CODE.sub(keep, text)
    text = _COMPONENT.sub(_label, text)
    text = _EXPRESSION.sub("", _FRAGMENT.sub("", text))
    text = re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], text)
    return [_unindented(line) for line in text.split("\n")]


def _without_modules(lines: list[str]) -> list[str]:
    """Lines that do not belong to an import or an export, which go up to the next empty line."""
    out: list[str] = []
    inside = False
    for line in lines:
        inside = bool(_MODULE.match(line)) if not inside else bool(line.strip())
        if not inside:
            out.append(line)
    return out


def _label(component: re.Match[str]) -> str:
    """What a component is called, where its contents begin."""
    found = _LABEL.search(component[3]) if not component[1] else None
    return f"\n\n**{found[1] or found[2]}**\n\n" if found else "\n\n" if "\n" in component[0] else " "


def _unindented(line: str) -> str:
    """A component's contents are indented for the eye; four spaces would make them code."""
    stripped = line.lstrip()
    is_item = re.match(r"(?:[-*+]|\d+[.)]) ", stripped)
    return line if is_item or len(line) - len(stripped) < 4 else stripped
