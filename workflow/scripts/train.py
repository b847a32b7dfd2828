"""Train one member: rule `train`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.running.gpu_lock import claim_gpu
from stronglens.running.lease import lease
from stronglens.running.threads import spin_briefly
from stronglens.settings.member import MemberSettings


class Train(Command):
    """Train one member of an ensemble on packed, labelled cutouts."""

    packed: Path
    """Folder of the packed labelled data, from build_buckets."""
    splits: Path
    """Folder of the split, from split_objects."""
    out_dir: Path
    """Folder for weights, log and results."""
    model: str = "by_hand"
    """Name of the model, for the records."""
    seed: int = 42
    """Seed of the initial weights, the order of samples and augmentation."""
    settings: MemberSettings = MemberSettings()
    """The member's settings."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int | None = None
    """Threads on a CPU; all cores if not given."""
    compile: Literal["auto", "always", "graphs", "whole", "whole_compiled", "never"] = "auto"
    """How steps are taken. auto: on a GPU the fastest way, found by measuring; on a CPU compiled, about twice
    as fast after a minute, where that saves time by estimate. always: compiled; graphs: compiled, with CUDA
    graphs on a GPU; whole, whole_compiled: the whole step as one CUDA graph there."""
    resident: Literal["auto", "always", "never"] = "auto"
    """Whether the samples live on the device, instead of being streamed to it. auto: where they fit."""
    choices: Path | None = None
    """Folder where jobs share what they have measured, so that all seeds compute alike. Without,
    the precision `auto` goes by the card, unmeasured."""
    teacher: Path | None = None
    """train_ens.csv of the ensemble that the setting distil_from names, from ensemble.py."""
    unlabelled: dict[str, Path] = Field({})
    """Folder of a packed test set that the setting distil_on names, or of its parts, as NAME=PATH; may
    be given several times."""
    unlabelled_teacher: dict[str, Path] = Field({})
    """test_ens.csv of that ensemble for each of these sets, as NAME=PATH."""

    def kept_log(self) -> Path:
        return self.out_dir / "resume" / "train.log"


def main(argv: Sequence[str] | None = None) -> int:
    return run(Train, _train, argv)


def _train(options: Train) -> None:
    spin_briefly()
    with lease(options.out_dir / "lease.json"), claim_gpu(options.device):  # before CUDA is looked at
        from stronglens.networks.precision import algorithms  # noqa: PLC0415 - --help need not wait for torch
        from stronglens.training.train_member import train_member  # noqa: PLC0415
        from stronglens.training.unlabelled import unlabelled_files  # noqa: PLC0415

        with algorithms(options.settings.train):
            train_member(
                options.packed,
                options.splits,
                options.out_dir,
                options.settings,
                model=options.model,
                seed=options.seed,
                device_name=options.device,
                n_threads=options.threads,
                compile_choice=options.compile,
                residence=options.resident,
                choices=options.choices,
                teacher=options.teacher,
                unlabelled=unlabelled_files(options.unlabelled, options.unlabelled_teacher),
            )


if __name__ == "__main__":
    sys.exit(main())
