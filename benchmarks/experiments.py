"""What options of models gain: a table of every model with predictions, of those of `experiments.yaml`.

How to run the experiments stands in that file, what they found in `docs/EXPERIMENTS.md`.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import harness
import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from harness import ROOT
from matplotlib import pyplot
from sklearn.metrics import roc_auc_score

from stronglens.scoring.operating_points import operating_points

PREDICTIONS = Path("results/predictions")
EXPERIMENTS = ROOT / "benchmarks" / "experiments.yaml"
ALLOWED_FPR = (1e-2, 1e-3)
N_RESAMPLES = 1000

Members = dict[int, pd.DataFrame]
"""By seed, the objects of a set with the columns label, domain and prob; index: the object."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", action="store_true", help="print what to ask of snakemake, and end")
    parser.add_argument(
        "--truth", nargs="+", default=[], metavar="SET=CSV", help="id, label, domain of blind sets to score"
    )
    parser.add_argument("--against", metavar="MODEL", help="compare the others with this one, seed by seed")
    parser.add_argument(
        "--curve", type=Path, metavar="PNG", help="plot errors against objects and time of training"
    )
    options = parser.parse_args(arguments)
    models = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))["models"]
    if options.targets:
        print(*targets(models))
        return
    truths = {name: pd.read_csv(path) for name, _, path in (one.partition("=") for one in options.truth)}
    for which in ("heldout", *truths):
        found = members_of(which, truths.get(which))
        print(f"\n{which}\n")
        harness.print_table(*table(found))
        if options.against:
            print()
            harness.print_table(*comparison(found, options.against))
    if options.curve:
        plot_curve(found, models, which, options.curve)


def targets(models: Mapping[str, Any]) -> Iterator[str]:
    """Files to ask of snakemake: the predictions of every member, for all sets but the sealed one."""
    sets = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))["testsets"]
    for model, settings in models.items():
        for seed in settings["seeds"]:
            for which in ("heldout", *(name for name in sets if name != "sealed")):
                yield f"{PREDICTIONS}/{model}/seed_{seed}/{which}/part_0/pred_test.csv"


def members_of(which: str, truth: pd.DataFrame | None) -> dict[str, Members]:
    """The predictions of a set that there are, by model and seed.

    Parameters
    ----------
    which : str
        Name of the set.
    truth : DataFrame or None
        Columns id, label, domain; None where the predictions hold label and domain.
    """
    found: dict[str, Members] = {}
    for path in sorted(PREDICTIONS.glob(f"*/seed_*/{which}/part_0/pred_test.csv")):
        model, seed = path.parts[-5], int(path.parts[-4].removeprefix("seed_"))
        found.setdefault(model, {})[seed] = objects_of(path, truth)
    return found


def objects_of(predictions: Path, truth: pd.DataFrame | None) -> pd.DataFrame:
    """Label, domain and probability of each object, the mean over its cutouts."""
    of_objects = pd.read_csv(predictions).groupby("object")
    objects = of_objects.agg(label=("label", "first"), domain=("domain", "first"), prob=("prob", "mean"))
    if truth is None:
        return objects
    known = truth.set_index("id").reindex(objects.index)
    return objects.assign(label=known["label"], domain=known["domain"])


def table(found: Mapping[str, Members]) -> tuple[list[str], list[list[str]]]:
    """A row for each model: figures of its members by themselves, and of their mean."""
    domains = sorted(
        {name for members in found.values() for one in members.values() for name in one["domain"]}
    )
    rows = []
    for model, members in found.items():
        cost = [s for seed in members if (s := cpu_seconds(model, seed)) is not None]
        together = figures(mean_of(members), domains)
        own = [figures(one, domains) for one in members.values()]
        rows.append(
            [
                model,
                str(len(members)),
                *(spread([one[name] for one in own]) for name in together),
                *(f"{together[name]:.4f}" if len(members) > 1 else "" for name in together),
                f"{statistics.mean(cost):.0f}" if cost else "",
            ]
        )
    names = list(figures(pd.DataFrame({"label": [0, 1], "prob": [0.0, 1.0], "domain": ""}), domains))
    return ["model", "seeds", *names, *(f"{name}, mean of seeds" for name in names), "CPU s"], rows


def figures(objects: pd.DataFrame, domains: list[str]) -> dict[str, float]:
    """Area under the ROC curve, of all and of each domain, and true positive rates at `ALLOWED_FPR`."""
    of_domains = {f"AUC {name}": auc(objects[objects["domain"] == name]) for name in domains}
    rates = {f"TPR at FPR {fpr:g}": tpr_at_fpr(objects, fpr) for fpr in ALLOWED_FPR}
    return {"AUC": auc(objects), **of_domains, **rates}


def auc(objects: pd.DataFrame) -> float:
    """Area under the ROC curve; NaN without objects of both classes."""
    both = objects["label"].nunique() == 2
    return float(roc_auc_score(objects["label"], objects["prob"])) if both else float("nan")


def tpr_at_fpr(objects: pd.DataFrame, fpr: float) -> float:
    """Highest true positive rate of a threshold whose false positive rate is at most `fpr`; from 0 to 1."""
    labels, probs = objects["label"].to_numpy(np.int64), objects["prob"].to_numpy(np.float64)
    _, true, false = operating_points(labels, probs)
    allowed = false <= fpr * false[-1]
    return float(true[allowed].max() / true[-1]) if allowed.any() else 0.0


def mean_of(members: Members) -> pd.DataFrame:
    """The objects with the mean of the members' probabilities."""
    first, *_ = members.values()
    return first.assign(prob=sum(one["prob"] for one in members.values()) / len(members))


def cpu_seconds(model: str, seed: int) -> float | None:
    """Processor time of a member's training; None where it was not measured."""
    path = Path(f"results/benchmarks/train/{model}/seed_{seed}.tsv")
    return float(pd.read_csv(path, sep="\t")["cpu_time"].iloc[0]) if path.is_file() else None


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, or the one value there is."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def comparison(found: Mapping[str, Members], reference: str) -> tuple[list[str], list[list[str]]]:
    """A row for each model with seeds of the reference: differences of AUC, and the ratio of their errors.

    The one interval is of seeds: Student's, of the differences seed by seed. The other is of objects: they
    are drawn again, of each class as many as there are, the same for all members of both models.
    """
    rows = []
    for model, members in found.items():
        seeds = sorted(members.keys() & found.get(reference, {}).keys())
        if model == reference or not seeds:
            continue
        pairs = [(members[seed], found[reference][seed]) for seed in seeds]
        differences = [auc(one) - auc(other) for one, other in pairs]
        rows.append([model, str(len(seeds)), harness.with_interval(differences), with_resamples(pairs)])
    return ["model", "seeds", f"AUC less that of {reference}", "ratio of errors (1 - AUC)"], rows


def with_resamples(pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> str:
    """The ratio of the mean errors of the first ones to that of the second ones, with its 95 % interval."""
    first = pairs[0][0]
    labels = first["label"].to_numpy(np.int64)
    generator = np.random.default_rng(0)
    drawn = np.ones((1 + N_RESAMPLES, len(labels)), np.int64)  # the first one is the objects as they are
    for one_class in (labels == 0, labels == 1):
        n_objects = one_class.sum()
        drawn[1:, one_class] = generator.multinomial(
            n_objects, np.full(n_objects, 1 / n_objects), N_RESAMPLES
        )
    ours, theirs = (
        np.sum(
            [1 - weighted_aucs(labels, one["prob"].reindex(first.index).to_numpy(), drawn) for one in side], 0
        )
        for side in zip(*pairs, strict=True)
    )
    ratio, *ratios = (ours / theirs).tolist()
    low, high = np.quantile(ratios, [0.025, 0.975])
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}]"


def weighted_aucs(
    labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], weights: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Areas under the ROC curve of the same objects with several weights, shape (n_weightings,).

    Parameters
    ----------
    labels, probs : ndarray, shape (n_objects,)
        Labels, 0 or 1, and probabilities.
    weights : ndarray, shape (n_weightings, n_objects)
        How often each object counts.
    """
    order = np.argsort(probs)
    starts = np.flatnonzero(np.diff(probs[order], prepend=-np.inf))  # equal probabilities count together
    lenses, others = (
        np.add.reduceat(np.where(labels == of_class, weights, 0)[:, order], starts, axis=1)
        for of_class in (1, 0)
    )
    below = others.cumsum(axis=1) - others / 2
    areas: npt.NDArray[np.float64] = (lenses * below).sum(axis=1) / (lenses.sum(axis=1) * others.sum(axis=1))
    return areas


def plot_curve(found: Mapping[str, Members], models: Mapping[str, Any], which: str, path: Path) -> None:
    """Errors of single networks, a line for each model whose `train_fraction` was varied.

    Parameters
    ----------
    found : mapping
        Members of each model on one set.
    models : mapping
        Models of `experiments.yaml`, by name; one that differs from an earlier one in `train_fraction` and
        seeds alone is on that one's line.
    which : str
        Name of the set.
    path : Path
        Of the PNG.
    """
    splits = pd.read_parquet("results/splits/objects.parquet", columns=["split"])["split"]
    lines: dict[str, tuple[str, list[tuple[float, float, float]]]] = {}
    for name, settings in models.items():
        cost = [s for seed in found.get(name, {}) if (s := cpu_seconds(name, seed)) is not None]
        if not cost:
            continue
        varied = {"seeds": None, "train": {**settings["train"], "train_fraction": None}}
        _, points = lines.setdefault(repr({**settings, **varied}), (name, []))
        n_objects = float((splits == "train").sum() * settings["train"].get("train_fraction", 1))
        error = 1 - statistics.fmean(auc(one) for one in found[name].values())
        points.append((n_objects, statistics.fmean(cost), error))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for name, points in lines.values():
        objects, seconds, errors = zip(*sorted(points), strict=True)
        for axes, x in ((left, objects), (right, seconds)):
            axes.loglog(x, errors, marker="o", label=name)
    left.set(xlabel="objects to learn from", ylabel=f"error on {which} (1 - AUC)")
    right.set(xlabel="processor time of a training (s)")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
