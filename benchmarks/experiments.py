"""What options of models gain: a table of every model with predictions, of those of `experiments.yaml`.

How to run the experiments stands in that file, what they found in `docs/EXPERIMENTS.md`.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(1, str(ROOT / "workflow" / "scripts"))

from stronglens.scoring.operating_points import operating_points  # noqa: E402 - lies in a folder not known before

PREDICTIONS = Path("results/predictions")
EXPERIMENTS = ROOT / "benchmarks" / "experiments.yaml"
ALLOWED_FPR = 1e-2
SETS = ("heldout", "challenge")


def targets() -> Iterator[str]:
    """Files to ask of snakemake: the predictions of every member of `experiments.yaml`."""
    models = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))["models"]
    for model, settings in models.items():
        for seed in settings["seeds"]:
            for which in SETS:
                yield f"{PREDICTIONS}/{model}/seed_{seed}/{which}/part_0/pred_test.csv"


def object_probs(predictions: Path) -> pd.DataFrame:
    """Label and probability of each object, the mean over its cutouts; index: the object."""
    return pd.read_csv(predictions).groupby("object").agg(label=("label", "first"), prob=("prob", "mean"))


def with_truth(objects: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The same with labels from a table with the columns `id` and `label`, for a set that has none."""
    return objects.assign(label=truth.set_index("id")["label"].reindex(objects.index))


def tpr_at_fpr(labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], fpr: float) -> float:
    """Highest true positive rate of a threshold whose false positive rate is at most `fpr`; from 0 to 1."""
    _, true, false = operating_points(labels, probs)
    allowed = false <= fpr * false[-1]
    return float(true[allowed].max() / true[-1]) if allowed.any() else 0.0


def cpu_seconds(model: str, seed: str) -> float | None:
    """Processor time of a member's training; None where it was not measured."""
    path = Path(f"results/benchmarks/train/{model}/{seed}.tsv")
    return float(pd.read_csv(path, sep="\t")["cpu_time"].iloc[0]) if path.is_file() else None


def figures(table: pd.DataFrame) -> tuple[float, float]:
    """Area under the ROC curve, and the true positive rate at `ALLOWED_FPR`."""
    labels, probs = table["label"].to_numpy(np.int64), table["prob"].to_numpy(np.float64)
    return float(roc_auc_score(labels, probs)), tpr_at_fpr(labels, probs, ALLOWED_FPR)


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, or the one value there is."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def rows(which: str, truth: pd.DataFrame | None) -> Iterator[list[str]]:
    """A row for each model: figures of its members by themselves, and of their mean."""
    for folder in sorted(path for path in PREDICTIONS.iterdir() if path.is_dir()):
        tables, cost = [], []
        for member in sorted(folder.glob("seed_*")):
            path = member / which / "part_0" / "pred_test.csv"
            if path.is_file():
                table = object_probs(path)
                tables.append(table if truth is None else with_truth(table, truth))
                seconds = cpu_seconds(folder.name, member.name)
                cost += [] if seconds is None else [seconds]
        if not tables:
            continue
        own = [figures(table) for table in tables]
        together = tables[0].assign(prob=sum(table["prob"] for table in tables) / len(tables))
        auc, tpr = figures(together)
        yield [
            folder.name,
            str(len(tables)),
            spread([one[0] for one in own]),
            spread([one[1] for one in own]),
            f"{auc:.4f}" if len(tables) > 1 else "",
            f"{tpr:.3f}" if len(tables) > 1 else "",
            f"{statistics.mean(cost):.0f}" if cost else "",
        ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", action="store_true", help="print what to ask of snakemake, and end")
    parser.add_argument("--truth", type=Path, help="CSV with id and label of the blind set: score that too")
    options = parser.parse_args(arguments)
    if options.targets:
        print(*targets())
        return
    scored: dict[str, pd.DataFrame | None] = {"heldout": None}
    if options.truth:
        scored["challenge"] = pd.read_csv(options.truth)
    header = [
        "model",
        "seeds",
        "AUC",
        f"TPR at FPR {ALLOWED_FPR}",
        "AUC of the mean",
        "TPR of the mean",
        "CPU s",
    ]
    for which, truth in scored.items():
        print(f"\n{which}\n")
        print(f"| {' | '.join(header)} |")
        print(f"|---|{'---:|' * (len(header) - 1)}")
        for row in rows(which, truth):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
