"""The code blocks of the pages that people read."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>\w*)[^\n]*\n(?P<code>.*?)^ *(?P=fence) *$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """One block: the page, the line it begins on, and what it says."""

    page: str
    line: int
    language: str
    code: str

    @property
    def name(self) -> str:
        """Fit for a file or a test: `howto_follow_up_12`."""
        stem = re.sub(r"\W+", "_", self.page.removeprefix("docs/").removesuffix(".md"))
        return f"{stem}_{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    """All blocks in those languages, page by page."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            if found["language"] in languages:
                line = text.count("\n", 0, found.start()) + 1
                code = textwrap.dedent(found["code"])
                yield Block(path.relative_to(ROOT).as_posix(), line, found["language"], code)
