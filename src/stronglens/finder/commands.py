"""The command `stronglens`: probabilities for files from a capsule, without a workflow."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from stronglens.formats.digits import probability
from stronglens.running.cli import Command, run
from stronglens.settings.reading import ReadSettings

log = logging.getLogger(__name__)

_USAGE = """usage: stronglens COMMAND …

  stronglens predict CAPSULE PATH … --out FILE   probabilities of the objects in files, folders, lists
  stronglens info CAPSULE                        what a capsule holds: its model card

`stronglens COMMAND --help` lists all options.
"""


class Predict(Command):
    """Give the probability of being a lens for every object in some sources, with the ensemble of a capsule.

    Writes a row per object: object, path, prob, prob_std, pred (1 where prob >= t*, -1 where no file can be
    read), prob_raw, estimates of lens parameters, n_cutouts and flags (see stronglens.Flag).
    """

    model_config = SettingsConfigDict(cli_prog_name="stronglens predict")

    capsule: CliPositionalArg[Path]
    """The capsule."""
    paths: CliPositionalArg[list[Path]] = Field(min_length=1)
    """Sources of cutouts, whatever a bucket of the config may be, or single FITS files."""
    out: Path
    """Table to write: .parquet or .csv."""
    bands: str | None = None
    """The bands that the sources have, where they have not all of the capsule's: letters, such as gri, or
    names with commas between them."""
    reading: ReadSettings = ReadSettings()
    """How the sources are read where they are not like the challenge's, in the words of the config's block
    data, as JSON: '{"name_pattern": "hsc", "fit": "crop"}'."""
    domain: str = "unknown"
    """Domain of the objects: matters only where the ensemble smooths by the seeing of domains."""
    device: str = "auto"
    """auto (the GPU if there is one), cpu, cuda, cuda:1, …."""
    batch_size: int | None = Field(None, ge=1)
    """Samples that go through a network at once."""
    processes: int | None = Field(None, ge=1)
    """Processes that read; as many as there are processors for this job if not given."""


class Info(Command):
    """Print what a capsule holds, after checking every byte of it: its model card."""

    model_config = SettingsConfigDict(cli_prog_name="stronglens info")

    capsule: CliPositionalArg[Path]
    """The capsule."""
    manifest: bool = False
    """Print the manifest instead, as JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    match arguments[:1]:
        case ["predict"]:
            return _ended_in_order(lambda: run(Predict, _predict, arguments[1:]))
        case ["info"]:
            return run(Info, _info, arguments[1:])
        case ["--help" | "-h" | "help"]:
            sys.stdout.write(_USAGE)
            return 0
    sys.stderr.write(_USAGE)
    return 2


def _ended_in_order(command: Callable[[], int]) -> int:
    """Run a command; SIGTERM and Ctrl-C leave nothing in the folder for temporary files."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return command()
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, before)


def _bands_of(text: str) -> str | list[str]:
    """Letters, or names with commas between them."""
    return [name.strip() for name in text.split(",")] if "," in text else text.strip()


def _predict(options: Predict) -> None:
    # --help and a wrong command line need not wait for PyTorch.
    from stronglens.finder.finder import load  # noqa: PLC0415
    from stronglens.finder.scored_sources import check_table_name, score_sources, write_scores  # noqa: PLC0415

    check_table_name(options.out, options.paths)
    finder = load(options.capsule, device=options.device)
    scores = score_sources(
        finder,
        options.paths,
        bands=None if options.bands is None else _bands_of(options.bands),
        reading=options.reading,
        domain=options.domain,
        batch_size=options.batch_size,
        n_processes=options.processes or len(os.sched_getaffinity(0)),
    )
    write_scores(options.out, scores, finder)
    log.info(
        "%s: %d objects, %d with prob >= t* = %s, %d without a readable cutout",
        options.out,
        len(scores),
        int((scores["pred"] == 1).sum()),
        probability(finder.threshold),
        int((scores["pred"] == -1).sum()),
    )


def _info(options: Info) -> None:
    from stronglens.formats.capsule import CARD, read_capsule  # noqa: PLC0415

    capsule = read_capsule(options.capsule)
    text = capsule.manifest.model_dump_json(indent=2) if options.manifest else capsule.read(CARD).decode()
    sys.stdout.write(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    sys.exit(main())
