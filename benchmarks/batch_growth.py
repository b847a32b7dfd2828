"""What larger batches cost: area under the ROC curve by batch size, at equal epochs, with scaled rates.

For any packed and split data, in the folder where they lie (`snakemake results/splits/objects.json`); the
same command on a CPU and on a GPU:

    python benchmarks/batch_growth.py --out batch_growth.csv

Rates grow as the square root of the batch, from those of the settings, as befits AdamW; all else stays. A
row is kept after each training, so that a study that was cut goes on. The table comes at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import harness
import pandas as pd

from stronglens.networks.compiled import Compile
from stronglens.networks.device import choose_device
from stronglens.networks.loaded import load_samples
from stronglens.networks.precision import algorithms, computed_on
from stronglens.settings.member import MemberSettings
from stronglens.training.train_member import fit_network, load_data, make_network
from stronglens.training.validation import score

ATTO = {
    "network": {"name": "convnextv2_atto"},
    "preprocess": {"smoothing": "gaussian"},
    "train": {
        "epochs": 20,
        "batch_size": 128,
        "lr": 1e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "patience": None,
    },
}
TOLERANCE = 0.1
"""AUC holds where the interval of its difference from that of the settings' batch begins above minus this
share of 1 - AUC."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packed", type=Path, default=Path("results/buckets/labelled"))
    parser.add_argument("--splits", type=Path, default=Path("results/splits"))
    parser.add_argument("--out", type=Path, required=True, help="CSV of the trainings, a row each")
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 256, 512, 1024, 2048])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 101, 202])
    parser.add_argument(
        "--settings", type=json.loads, default=ATTO, help="of a member, as JSON, as train.py has"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no training begins after these")
    options = parser.parse_args(argv)
    own = MemberSettings.model_validate(options.settings)
    options.batches = list(dict.fromkeys([own.train.batch_size, *options.batches]))
    end = time.monotonic() + 60 * options.minutes
    done = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
    # All batches of a seed before the next one: what a study that was cut has found is complete in itself.
    for seed in options.seeds:
        for batch in options.batches:
            settings = _settings(own, batch)
            key = {"batch": batch, "seed": seed, "settings": settings.model_dump_json()}
            if len(done) and (done[list(key)] == pd.Series(key)).all(axis=1).any():
                continue
            if time.monotonic() < end:
                done = pd.concat([done, pd.DataFrame([key | _train(options, settings, seed)])])
                done.to_csv(options.out, index=False)
    wanted = {_settings(own, batch).model_dump_json() for batch in options.batches}
    print(harness.machine(), end="\n\n")
    if len(done):
        harness.print_table(*table(done[done["settings"].isin(wanted)], own.train.batch_size))
    return 0


def _settings(own: MemberSettings, batch: int) -> MemberSettings:
    """The settings for another batch."""
    rate = own.train.lr * (batch / own.train.batch_size) ** 0.5
    return own.model_copy(update={"train": own.train.model_copy(update={"batch_size": batch, "lr": rate})})


def _train(options: argparse.Namespace, settings: MemberSettings, seed: int) -> dict[str, object]:
    """Train a network and score its best epoch on the held-out samples."""
    device = choose_device(options.device)
    with tempfile.TemporaryDirectory() as folder, algorithms(settings.train):
        data = load_data(options.packed, options.splits, settings, device, seed=seed, name=f"seed {seed}")
        settings = data.settings  # with all that is measured on what is learnt from
        network = make_network(data)
        started = time.perf_counter(), time.process_time()
        # On a CPU eager: with few images compiling takes longer than it saves, and it is not what is asked.
        way: Compile = "never" if device.type == "cpu" else "auto"
        result = fit_network(network, data, Path(folder) / "resume", compile_choice=way)
        seconds = time.perf_counter() - started[0], time.process_time() - started[1]
        network.load_state_dict(result.best)
        heldout = load_samples(data.packed, data.chosen["test"], settings.preprocess, device)
        scores = score(network, heldout, settings.train.precision)
    n_train = len(data.loaded["train"])
    return {
        "rate": settings.train.lr,
        "n_train": n_train,
        "n_steps": settings.train.epochs * -(-n_train // settings.train.batch_size),
        "val_auc": result.records[result.best_epoch - 1].val_auc,
        "auc": scores.auc,
        "train_loss": result.records[-1].train_loss,
        "seconds": round(seconds[0], 1),
        "cpu_seconds": round(seconds[1], 1),
        "computed_on": json.dumps(computed_on(device, settings.train)),
    }


def table(done: pd.DataFrame, own_batch: int) -> tuple[list[str], list[list[str]]]:
    """A row for each batch size: steps, AUC, and how far it is from that of another size, seed by seed.

    Parameters
    ----------
    done : DataFrame
        A row for each training: batch, seed, n_steps, rate, auc, seconds, cpu_seconds.
    own_batch : int
        The batch size that others are compared with.
    """
    first = done[done["batch"] == own_batch].set_index("seed")["auc"]
    rows = []
    for batch, of_batch in done.sort_values("batch").groupby("batch"):
        aucs = of_batch.set_index("seed")["auc"]
        differences = (aucs - first).dropna().tolist()
        rows.append(
            [
                f"{batch:,}",
                str(len(aucs)),
                f"{of_batch['rate'].iloc[0]:.2g}",
                f"{of_batch['n_steps'].iloc[0]:,}",
                f"{aucs.mean():.4f}" + (f" ± {aucs.std():.4f}" if len(aucs) > 1 else ""),
                "" if batch == own_batch else _difference(differences, 1 - first.mean()),
                f"{of_batch['seconds'].mean():.0f}",
                f"{of_batch['cpu_seconds'].mean():.0f}",
            ]
        )
    against = f"against {own_batch}, 95 % interval"
    return ["batch", "seeds", "rate", "steps", "AUC held out", against, "s", "CPU s"], rows


def _difference(differences: list[float], error: float) -> str:
    """Mean difference with its interval, and whether AUC holds; `error` is 1 - AUC of what it is held to."""
    interval = harness.student_interval(differences)
    if interval is None:
        return harness.with_interval(differences) if differences else ""
    low, high = interval
    verdict = "holds" if low >= -TOLERANCE * error else "lower" if high < 0 else "not shown to hold"
    return f"{harness.with_interval(differences)}, {verdict}"


if __name__ == "__main__":
    sys.exit(main())
