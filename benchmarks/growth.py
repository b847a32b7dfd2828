"""Time and memory of each stage for some numbers of cutouts; keeps growth.csv and growth.png up to date.

Each stage is run once by its command line, as a process of its own; what was measured earlier for other
stages and numbers stays in the table.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import harness
import pandas as pd
import torch
from ensembling import decide
from harness import ROOT
from made_data import SIDE_PX, write_fits, write_member_predictions, write_packed
from matplotlib import pyplot
from networks_here import our_network, timm_network
from watched import Watched, run_step, run_watched

from stronglens.formats.member_files import write_member
from stronglens.settings.member import MemberSettings

N_MEMBERS = 5
N_LINKS = 10
"""Names of each file from 100,000 on: a million files on a disk of 3 GB."""

NETWORK = "convnextv2_atto"
SETTINGS = MemberSettings.model_validate({"network": NETWORK, "preprocess": {"smoothing": "gaussian"}})

Found = Iterator[tuple[str, Watched]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cutouts", type=int, nargs="+", default=[10_000], help="numbers of cutouts")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default all")
    parser.add_argument("--out-dir", type=Path, default=ROOT / "benchmarks", help="of the table and plot")
    options = parser.parse_args(argv)
    options.out_dir.mkdir(parents=True, exist_ok=True)
    path = options.out_dir / "growth.csv"
    for n_cutouts in options.cutouts:
        for stage in options.stages:
            with tempfile.TemporaryDirectory() as folder:
                for name, watched in STAGES[stage](Path(folder), n_cutouts):
                    _note(path, name, n_cutouts, watched)
    table = pd.read_csv(path)
    print(f"{harness.machine()}; Python {platform.python_version()}, torch {torch.__version__}\n")
    harness.print_table(
        ["stage", "cutouts", "s", "cutouts/s", "private memory, MB"],
        [
            [stage, f"{n:,}", f"{seconds:.1f}", f"{n / seconds:,.0f}", f"{private_mb:,.0f}"]
            for stage, n, seconds, private_mb in table.itertuples(index=False)
        ],
    )
    plot(table, options.out_dir / "growth.png")
    return 0


def _note(path: Path, stage: str, n_cutouts: int, watched: Watched) -> None:
    """Put a row into the table, in the place of one for the same stage and number."""
    columns = ["stage", "n_cutouts", "seconds", "private_mb"]
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)
    old = (table["stage"] == stage) & (table["n_cutouts"] == n_cutouts)
    row = [stage, n_cutouts, round(watched.seconds, 2), round(watched.private_mb)]
    rows = [*table[~old].to_numpy().tolist(), row]
    table = pd.DataFrame(rows, columns=columns)
    rank = table["stage"].map({name: number for number, name in enumerate(NAMES)})
    table.assign(rank=rank).sort_values(["rank", "n_cutouts"])[columns].to_csv(path, index=False)


def _pack(folder: Path, n_cutouts: int) -> Found:
    n_links = N_LINKS if n_cutouts >= 100_000 else 1
    write_fits(folder / "files", n_cutouts // 5 // n_links, n_links)
    yield (
        "packing",
        run_step("build_buckets.py", "--settings.path", folder / "files", "--out-dir", folder / "packed"),
    )


def _split(folder: Path, n_cutouts: int) -> Found:
    packed = write_packed(folder / "packed", n_cutouts, pixels=False)
    yield "splitting", run_step("split_objects.py", "--packed", packed, "--out-dir", folder / "splits")


def _preprocess(folder: Path, n_cutouts: int) -> Found:
    """What training does first: read, check, preprocess, keep."""
    packed = write_packed(folder / "packed", n_cutouts)
    code = (
        "import sys; from pathlib import Path; import numpy as np, torch\n"
        "from stronglens.networks.resident import load_resident\n"
        "from stronglens.networks.samples import make_samples\n"
        "from stronglens.formats.packed import open_packed\n"
        "from stronglens.settings.preprocess import PreprocessSettings\n"
        "packed = open_packed(Path(sys.argv[1]))\n"
        "samples = make_samples(packed.index, 'each', np.ones(len(packed.index), bool), ['g'])\n"
        "settings = PreprocessSettings(smoothing='gaussian')\n"
        "load_resident(packed, samples, settings, torch.device('cpu'))\n"
    )
    yield "preprocessing", run_watched([sys.executable, "-c", code, str(packed)], harness.SCRIPTS)


def _train(folder: Path, n_cutouts: int) -> Found:
    packed = write_packed(folder / "packed", n_cutouts)
    run_step("split_objects.py", "--packed", packed, "--out-dir", folder / "splits")
    settings = SETTINGS.model_copy(update={"train": SETTINGS.train.model_copy(update={"epochs": 1})})
    yield (
        "training, 1 epoch",
        run_step(
            "train.py",
            *("--packed", packed, "--splits", folder / "splits", "--out-dir", folder / "member"),
            *("--settings", settings.model_dump_json()),
        ),
    )


def _predict(folder: Path, n_cutouts: int) -> Found:
    packed = write_packed(folder / "packed", n_cutouts)
    device = torch.device("cpu")
    network = our_network(NETWORK, timm_network(NETWORK, device), device)
    description = {"model": "bench", "seed": 1, "settings": SETTINGS.model_dump(mode="json")}
    description |= {"size_px": SIDE_PX, "in_chans": 1, "imported": True}
    write_member(folder / "member", network.state_dict(), description)
    yield (
        "prediction",
        run_step(
            "predict.py",
            *("--member", folder / "member", "--packed", packed, "--out-dir", folder / "predictions"),
        ),
    )


def _decide(folder: Path, n_cutouts: int) -> Found:
    packed = write_packed(folder / "packed", n_cutouts, pixels=False)
    members = [write_member_predictions(folder / f"{n}", packed, n) for n in range(N_MEMBERS)]
    yield from decide(folder, packed, members)


STAGES: dict[str, Callable[[Path, int], Found]] = {
    "pack": _pack,
    "split": _split,
    "preprocess": _preprocess,
    "train": _train,
    "predict": _predict,
    "decide": _decide,
}
NAMES = (
    *("packing", "splitting", "preprocessing", "training, 1 epoch", "prediction"),
    *("ensemble val", "threshold", "ensemble test", "submission"),
)


def plot(table: pd.DataFrame, path: Path) -> None:
    """Time and memory against the number of cutouts."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axes, column, label in ((left, "seconds", "time (s)"), (right, "private_mb", "private memory (MB)")):
        for stage, rows in table.groupby("stage", sort=False):
            axes.loglog(rows["n_cutouts"], rows[column], marker="o", label=stage)
        axes.set(xlabel="cutouts", ylabel=label)
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
