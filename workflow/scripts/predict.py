"""Predict with one member: rules `predict_val` and `predict_test`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from stronglens.running.cli import Command, run
from stronglens.running.gpu_lock import claim_gpu
from stronglens.running.threads import spin_briefly
from stronglens.settings.member import PredictSettings


class Predict(Command):
    """Give every sample of a packed data set the probability, by one member, that it is a lens."""

    member: Path
    """Folder of the member: best.pt and best.json, from train or import_member."""
    packed: Path
    """Folder of the packed data, from build_buckets."""
    out_dir: Path
    """Folder for the predictions."""
    split: Literal["train", "val", "test", "all"] | None = None
    """Part of the labelled data; the whole set, such as the blind one, if not given."""
    splits: Path | None = None
    """Folder of the split, from split_objects; needed with --split."""
    which: Literal["train", "val", "test", "all"] | None = None
    """Names the files, pred_{which}.csv; the split if not given, or else test."""
    batch_size: int | Literal["auto"] = "auto"
    """Samples that go through the network at once; changes no result beyond rounding. auto: 512 on a CPU, and
    on a GPU the fastest of some, found by measuring."""
    choices: Path | None = None
    """Folder where jobs share what they have measured, so that all parts of a set are computed alike."""
    max_samples: int | None = None
    """Predict only the first so many samples."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int | None = None
    """Threads on a CPU; all cores if not given."""
    compile: Literal["auto", "always", "graphs", "never"] = "auto"
    """Whether to compile the network: about twice as fast, after a minute. auto: where that saves time,
    estimated on a CPU, measured on a GPU; graphs: with CUDA graphs on a GPU, which has not been measured."""
    settings: PredictSettings = PredictSettings()
    """How the member is applied."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Predict, _predict, argv)


def _predict(options: Predict) -> None:
    spin_briefly()
    with claim_gpu(options.device):  # before CUDA is looked at
        from stronglens.prediction.predict_member import predict_member  # noqa: PLC0415 - --help need not wait for torch

        predict_member(
            options.member,
            options.packed,
            options.out_dir,
            which=options.which or options.split or "test",
            split=options.split,
            splits_folder=options.splits,
            batch_size=None if options.batch_size == "auto" else options.batch_size,
            device_name=options.device,
            n_threads=options.threads,
            max_samples=options.max_samples,
            compile_choice=options.compile,
            predict_settings=options.settings,
            choices=options.choices,
        )


if __name__ == "__main__":
    sys.exit(main())
