"""Write the description of the config: `config/README.md` and `config/schema.json`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.configuring.config_page import config_page, config_schema
from stronglens.formats.artefact import write_text
from stronglens.running.cli import Command, run


class DocumentConfig(Command):
    """Write README.md and schema.json, which describe every key of the config."""

    out_dir: Path = Path("config")
    """Folder for both."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(DocumentConfig, _document_config, argv)


def _document_config(options: DocumentConfig) -> None:
    write_text(options.out_dir / "README.md", config_page())
    write_text(options.out_dir / "schema.json", config_schema())


if __name__ == "__main__":
    sys.exit(main())
