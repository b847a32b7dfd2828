"""Try one setting of a search: rule `run_trial`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.running.gpu_lock import claim_gpu
from stronglens.running.lease import lease
from stronglens.running.threads import spin_briefly
from stronglens.settings.search import TrialSettings


class RunTrial(Command):
    """Take a setting from a study, train a network with it, and report its validation score to the study."""

    packed: Path
    """Folder of the packed labelled data, from build_buckets."""
    splits: Path
    """Folder of the split, from split_objects."""
    out: Path
    """JSON file for what came of the trial; the study is in the same folder, if it is a file."""
    search: str = Field("by_hand", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """Name of the search."""
    trial: int = Field(ge=0)
    """Number of the trial in the search; the same number goes on with the same setting."""
    settings: TrialSettings = TrialSettings()
    """What is tried, and on which settings of a model."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int | None = None
    """Threads on a CPU; all cores if not given."""
    choices: Path | None = None
    """Folder where jobs share what they have measured on a GPU; see train.py."""
    compile: Literal["auto", "always", "graphs", "never"] = "auto"
    """Whether to compile the network; see train.py."""

    def kept_log(self) -> Path:
        return self.out.with_suffix("") / "resume" / "train.log"


def main(argv: Sequence[str] | None = None) -> int:
    return run(RunTrial, _run_trial, argv)


def _run_trial(options: RunTrial) -> None:
    spin_briefly()
    with lease(options.out.with_suffix(".lease")), claim_gpu(options.device):  # before CUDA is looked at
        from stronglens.networks.precision import algorithms  # noqa: PLC0415 - --help need not wait for torch
        from stronglens.searching.trial import run_trial  # noqa: PLC0415

        with algorithms(options.settings.member.train):
            run_trial(
                options.packed,
                options.splits,
                options.out,
                options.settings,
                search=options.search,
                trial=options.trial,
                device_name=options.device,
                n_threads=options.threads,
                compile_choice=options.compile,
                choices=options.choices,
            )


if __name__ == "__main__":
    sys.exit(main())
