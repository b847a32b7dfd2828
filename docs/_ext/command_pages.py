"""A page of all commands: what the `--help` of each prints."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
PAGE = Path(__file__).parents[1] / "reference" / "commands.md"


def write_commands(_: Sphinx) -> None:
    """Write the page of commands anew, before Sphinx looks for pages."""
    scripts = sorted(SCRIPTS.glob("*.py"))
    with ThreadPoolExecutor(2) as pool:
        sections = list(pool.map(_section, scripts))
    parts = [
        "# Commands",
        "Every step is a script in `workflow/scripts/` that runs without Snakemake, in the environment of "
        "`make install`: `python workflow/scripts/NAME.py`. The rules call them with the same options.",
        *sections,
    ]
    content = "\n\n".join(parts) + "\n"
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != content:
        PAGE.write_text(content, encoding="utf-8")


def _section(script: Path) -> str:
    printed = subprocess.run(
        [sys.executable, str(script), "--help"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    return f"## `{script.name}`\n\n```text\n{printed.stdout.rstrip()}\n```"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True}
