"""Links that are right in the repository, where people read the pages too, made right on the site."""

import os
import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

DOCS = Path(__file__).parents[1]
PAGES = {
    DOCS.parent / "config" / "README.md": DOCS / "reference" / "config.md",
    DOCS.parent / "benchmarks" / "RESULTS.md": DOCS / "reference" / "measured.md",
    DOCS.parent / "README.md": DOCS / "index.md",
}
"""Pages outside docs/ that the site shows, and where."""

LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def rewrite_links(_: Sphinx, page: str, content: list[str]) -> None:
    """Let links to pages outside docs/ lead to their copies, and those to folders be text alone."""
    folder = (DOCS / page).parent

    def rewritten(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        if target in PAGES:
            path = os.path.relpath(PAGES[target], folder)
            return f"[{link['text']}]({path}{link['anchor'] or ''})"
        return link["text"] if target.is_dir() else link[0]

    content[0] = LINK.sub(rewritten, content[0])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect to Sphinx."""
    app.connect("source-read", rewrite_links)
    # GitHub draws these diagrams, with a program that it loads; here they stay readable as text.
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True}
