"""Pages link to files of the repository; the site shows each such file on a page of its own.

So a link works where the page is read on a code host and where it is read on the site.
"""

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_LINK = re.compile(r"\]\(((?:\.\./)+[\w./-]+)(#[\w-]+)?\)")
_LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml", ".json": "json", ".sh": "bash"}
_FENCE = "~~~~~~"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file of the repository that some page links to."""
    docs, root = Path(config.docs_dir), Path(config.docs_dir).parent
    wanted = {
        target
        for file in files.documentation_pages()
        for link in _LINK.finditer(file.content_string)
        if (target := _outside(docs, file.src_uri, link[1], root)) is not None
    }
    for target in sorted(wanted):
        language = _LANGUAGES.get(target.suffix, "")
        text = (root / target).read_text(encoding="utf-8")
        page = f"---\nsearch:\n  exclude: true\n---\n# {target}\n\n{_FENCE}{language}\n{text}{_FENCE}\n"
        if target.suffix == ".md":
            page = f"---\nsearch:\n  exclude: true\n---\n{text}"
        files.append(File.generated(config, f"source/{target}.md", content=page, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the repository into links to their pages."""
    docs, here = Path(config.docs_dir), page.file.src_uri

    def rewrite(link: re.Match[str]) -> str:
        target = _outside(docs, here, link[1], docs.parent)
        if target is None:
            return link[0]
        up = "../" * (len(PurePosixPath(here).parts) - 1)
        return f"]({up}source/{target}.md{link[2] or ''})"

    return _LINK.sub(rewrite, markdown)


def _outside(docs: Path, page: str, link: str, root: Path) -> PurePosixPath | None:
    """The file that a link names, from the repository's root; None for one inside `docs` and for none at all."""
    target = (docs / page).parent.joinpath(link).resolve()
    if not target.is_file() or not target.is_relative_to(root) or target.is_relative_to(docs):
        return None
    return PurePosixPath(target.relative_to(root).as_posix())
