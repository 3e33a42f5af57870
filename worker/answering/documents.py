"""A file of documentation -> its title and passages. The format goes by the file's name."""

from collections.abc import Callable
from pathlib import PurePosixPath

from worker.answering.blocks import Block, Heading
from worker.answering.markdown import parse_markdown
from worker.answering.passages import Parsed, cut
from worker.answering.webpage import parse_html

FORMATS: dict[str, Callable[[str], tuple[str, list[Heading | Block]]]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".html": parse_html,
    ".htm": parse_html,
}


def is_document(path: str) -> bool:
    """Whether there is a parser for files of that name."""
    return PurePosixPath(path).suffix.lower() in FORMATS


def parse(path: str, source: str) -> Parsed:
    """The passages of the document at `path`. A document without a title is called after its file."""
    title, parts = FORMATS[PurePosixPath(path).suffix.lower()](source)
    title = title or name_of(path)
    return Parsed(title=title, passages=cut(title, parts))


def name_of(path: str) -> str:
    """A file's name as a title: `getting-started.md` is "Getting started"; an index is called after its folder."""
    file = PurePosixPath(path)
    stem = file.parent.name if file.stem.lower() in ("index", "readme") and file.parent.name else file.stem
    name = " ".join(stem.replace("-", " ").replace("_", " ").split())
    return name[:1].upper() + name[1:]
