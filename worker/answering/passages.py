"""Cuts a document into passages: at headings, about 600 characters each, code and table rows whole."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from runllm.operations import Frozen
from worker.answering.blocks import Block, Heading, sentences

LENGTH = 600
"""Measured: 300 to 600 characters find better than 1,000, and far better than whole pages."""

_LONGEST = 900
_SHORTEST = 120


class Cut(Frozen):
    """A passage: its text as Markdown, the headings above it, and the anchor of the nearest one."""

    text: str
    heading_path: str = ""
    anchor: str = ""


class Parsed(Frozen):
    """A document after parsing. For `dated` and the others see `Draft`."""

    title: str
    passages: Sequence[Cut]
    dated: str | None = None
    links: list[str] = []
    canonical: str | None = None
    is_hidden: bool = False
    note: str | None = None


def cut(title: str, parts: Iterable[Heading | Block]) -> list[Cut]:
    """The passages of a document. A heading that only repeats the title is left out of the paths."""
    passages: list[Cut] = []
    above: list[Heading] = []
    blocks: list[Block] = []

    def close() -> None:
        path = " › ".join(one.text for one in above if one.text and one.text != title)
        anchor = above[-1].anchor if above else ""
        passages.extend(Cut(text=text, heading_path=path, anchor=anchor) for text in _packed(blocks))
        blocks.clear()

    for part in parts:
        if isinstance(part, Block):
            blocks.append(part)
            continue
        close()
        above = [*(one for one in above if one.level < part.level), part]
    close()
    return passages


def _packed(blocks: Sequence[Block]) -> Iterator[str]:
    """Texts of about `LENGTH`. What introduces code or a list stays with it; a short rest joins the one before."""
    texts: list[str] = []
    size = 0
    current: list[Block] = []
    for block in chain.from_iterable(_small_enough(block) for block in blocks):
        full = size + len(block.text) > LENGTH and size >= _SHORTEST
        explains = block.kind in ("code", "item") and size + len(block.text) <= _LONGEST
        if current and full and not explains:
            texts.append(_text(current))
            current, size = [], 0
        current.append(block)
        size += len(block.text)
    if current:
        rest = _text(current)
        if texts and size < _SHORTEST and len(texts[-1]) + size <= _LONGEST:
            texts[-1] = f"{texts[-1]}\n\n{rest}"
        else:
            texts.append(rest)
    yield from texts


def _small_enough(block: Block) -> Iterator[Block]:
    if block.kind == "code" or len(block.text) <= LENGTH:
        yield block
    elif block.kind == "table":
        rows = block.text.split("\n")[2:]
        for some in _filled(rows, "\n"):
            yield Block(kind="table", text=f"{block.head}\n{some}", head=block.head)
    else:
        for some in _filled(sentences(block.text), " "):
            yield Block(kind=block.kind, text=some)


def _filled(parts: Sequence[str], glue: str) -> Iterator[str]:
    """`parts` joined into texts that are no longer than `LENGTH`, where a single part is not."""
    text = ""
    for part in parts:
        if text and len(text) + len(part) > LENGTH:
            yield text
            text = ""
        text = f"{text}{glue}{part}" if text else part
    if text:
        yield text


def _text(blocks: Sequence[Block]) -> str:
    """Blocks as Markdown; only the items of a list follow each other without a blank line."""
    text = blocks[0].text
    for before, block in pairwise(blocks):
        text += ("\n" if before.kind == block.kind == "item" else "\n\n") + block.text
    return text
