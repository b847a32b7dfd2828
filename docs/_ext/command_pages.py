"""A page for each command: what its `--help` prints."""

import os
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
PAGE = Path(__file__).parents[1] / "reference" / "commands.md"


def write_commands(_: Sphinx) -> None:
    """Write the page of commands anew, before Sphinx looks for pages."""
    parts = [
        "# Commands",
        "Every step is a script in `workflow/scripts/` that runs without Snakemake, in the environment of "
        "`make install`: `python workflow/scripts/NAME.py`. Rules call them with the same options.",
    ]
    for script in sorted(SCRIPTS.glob("*.py")):
        printed = subprocess.run(
            [sys.executable, str(script), "--help"],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"COLUMNS": "100"},
        )
        parts.append(f"## {script.stem}\n\n```text\n{printed.stdout.rstrip()}\n```")
    content = "\n\n".join(parts) + "\n"
    if not PAGE.exists() or PAGE.read_text() != content:
        PAGE.write_text(content)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True}
