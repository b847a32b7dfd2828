"""Report how far a run is, from the results it has left so far."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run


class Status(Command):
    """Report how far a run is: each member's training and predictions, its best AUC, and the time left.

    Reads the config and small files in results/, and changes nothing; it may run beside snakemake.
    """

    configfile: Path | None = None
    """The config of the run; config/local.yaml if it is there, else config/config.yaml."""
    results: Path = Path("results")
    """Folder of the results."""
    logs: Path = Path("logs")
    """Folder of the logs."""
    submission: Path = Path("submission.csv")
    """The submission that the run ends in."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Status, _say, argv)


def _say(options: Status) -> None:
    # --help need not wait for pydantic and yaml.
    from stronglens.configuring.config import check_config  # noqa: PLC0415
    from stronglens.configuring.yaml_keys import read_yaml  # noqa: PLC0415
    from stronglens.reporting.status import status_lines  # noqa: PLC0415

    own = Path("config/local.yaml")
    path = options.configfile or (own if own.exists() else Path("config/config.yaml"))
    config = check_config(read_yaml(path) or {}, str(path))
    sys.stdout.write(
        "\n".join(
            [f"config     {path}", *status_lines(config, options.results, options.submission, options.logs)]
        )
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    sys.exit(main())
