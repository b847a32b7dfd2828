"""The first pages of the report: the numbers that matter, and the data they come from."""

import csv
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup

from stronglens.ensembling.scored_set import open_scored
from stronglens.formats.artefact import check_stated, write_text
from stronglens.formats.digits import decimals_of, limits, probability, share, stated, with_limits
from stronglens.formats.drift_files import Drift
from stronglens.formats.inspection_files import InspectionSummary
from stronglens.formats.known_lenses import KNOWN_CSV, read_known
from stronglens.formats.member_files import DESCRIPTION as MEMBER
from stronglens.formats.member_files import RESULTS, MemberDescription, TrainingResults
from stronglens.formats.packed import REJECTED, PackSummary
from stronglens.formats.score_files import FieldMetrics, Metrics
from stronglens.formats.split_table import SplitDescription
from stronglens.reporting import html
from stronglens.scoring.few_counts import FEW_ALLOWED

METRICS = {
    "roc_auc": "area under the ROC curve",
    "pr_auc": "average precision",
    "accuracy": "accuracy",
    "precision": "precision (purity)",
    "recall": "recall (completeness)",
    "specificity": "specificity",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
"""Metrics of the overview, by their keys in `metrics_*.json`."""

FEW_FALSE_ALARMS = {
    "tpr_at_fpr_0.1": "true positive rate at a false positive rate of 0.1",
    "tpr_at_fpr_0.01": "at 0.01",
    "tpr_at_fpr_0.001": "at 0.001",
    "tpr0": "before the first false positive (TPR0)",
    "tpr10": "before the tenth false positive (TPR10)",
    "purity": "purity at t*",
    "completeness_at_purity": "completeness at a purity of {purity_wanted:g}",
}
"""Metrics of the field, by their keys in `field_metrics.json`; the last two are given for each prevalence."""

MOST_REJECTS = 50
MOST_KNOWN = 50

_SIMULATED = "The data are simulated: scores say that the pipeline works, not how well it finds real lenses."


@dataclass(frozen=True)
class Results:
    """What the overview is made of: files and folders of one ensemble.

    Attributes
    ----------
    validation : Path
        `metrics_val_ens.json`.
    scored : mapping of str to Path
        `metrics_test_ens.json` of each labelled test set, by its name.
    blind : mapping of str to Path
        `test_ens.csv` of each test set without labels, by its name.
    drift : mapping of str to Path
        `drift.json` of each of these.
    members : sequence of Path
        Folders of the members.
    field : mapping of str to Path
        `field_metrics.json` of validation and of each labelled test set, by its name.
    known : mapping of str to Path
        `known_lenses.csv` of each test set in which known lenses were looked for, by its name.
    """

    validation: Path
    scored: Mapping[str, Path]
    blind: Mapping[str, Path]
    drift: Mapping[str, Path]
    members: Sequence[Path]
    field: Mapping[str, Path]
    known: Mapping[str, Path] = dataclasses.field(default_factory=dict)


def write_overview(
    results: Results, out: Path, *, ensemble: str, simulated: bool = False, citation: Path | None = None
) -> None:
    """Write the overview of an ensemble's results.

    Parameters
    ----------
    results : Results
        What it did.
    out : Path
        An HTML file that needs nothing beside it.
    ensemble : str
        Name of the ensemble.
    simulated : bool
        Whether it says that the data are simulated.
    citation : Path, optional
        `CITATION.cff`, for how to cite.

    Raises
    ------
    InputError
        A file is missing or malformed.
    """
    parts = [
        *([html.paragraph(_SIMULATED, "warning")] if simulated else []),
        *_headline(results),
        *_few_false_alarms(results.field),
        *_members(results.members),
        *_blind(results),
        *_known(results.known),
        *([] if citation is None else _citation(citation)),
    ]
    write_text(out, html.page(f"Overview: ensemble {ensemble}", parts))


def describe_data(
    summary: Path, inspection: Path, splits: Path, tests: Mapping[str, Path], out: Path
) -> None:
    """Write what was read, what was not, and how the objects are divided.

    Parameters
    ----------
    summary : Path
        `summary.json` of the packed labelled data.
    inspection : Path
        `summary.json` of their inspection.
    splits : Path
        `objects.json`.
    tests : mapping of str to Path
        `summary.json` of each part of each test set, by a name; `rejected.csv` lies beside it.
    out : Path
        An HTML file that needs nothing beside it.

    Raises
    ------
    InputError
        A file is missing or malformed.
    """
    labelled, inspected = PackSummary.read(summary), InspectionSummary.read(inspection)
    counts = SplitDescription.read(splits).counts
    sets = {"labelled": labelled} | {name: PackSummary.read(path) for name, path in tests.items()}
    parts = [
        html.heading("Files"),
        html.table(
            ("data set", "files", "cutouts", "objects", "lacking a band", "unreadable files", "share"),
            [
                (
                    name,
                    *(
                        f"{number:,}"
                        for number in (one.n_files, one.n_cutouts, one.n_objects, one.n_objects_incomplete)
                    ),
                    f"{one.n_rejected:,}",
                    share(one.n_rejected, one.n_files),
                )
                for name, one in sets.items()
            ],
        ),
        html.heading("Labelled objects: buckets and splits"),
        html.table(
            (
                "bucket",
                "training",
                "validation",
                "held-out",
                *(f"{band} cutouts" for band in labelled.bands),
            ),
            [
                (
                    bucket,
                    *(f"{of_bucket[split]:,}" for split in ("train", "val", "test")),
                    *(f"{inspected.cutouts.get(bucket, {}).get(band, 0):,}" for band in labelled.bands),
                )
                for bucket, of_bucket in counts.bucket.items()
            ],
        ),
        html.paragraph(
            f"{counts.n_objects:,} objects in {counts.n_groups:,} groups; "
            f"{counts.n_grouped_objects:,} objects share an id or pixels with another and stay with it in "
            "one split.",
            "note",
        ),
        html.heading("Brightness and noise"),
        html.table(
            ("bucket", "band", "cutouts", "median (counts)", "noise (counts)", "brightest pixel (counts)"),
            [
                (
                    bucket,
                    band,
                    f"{one['n_cutouts']:,}",
                    *(f"{one[key]:.4g}" for key in ("median", "noise", "max")),
                )
                for bucket, bands in inspected.pixels.items()
                for band, one in sorted(bands.items(), key=lambda item: labelled.bands.index(item[0]))
            ],
        ),
        html.heading("Files that could not be read"),
        *_rejects([(one.bucket, one.path, one.band, one.reason) for one in inspected.bad_files], ""),
        *(
            part
            for name, path in tests.items()
            for part in _rejects(_rejected_files(path, name), name)
            if sets[name].n_rejected
        ),
        html.heading("Seen more than once"),
        html.table(
            ("", "how often", "with both labels"),
            [
                (name, f"{shared.n:,}", f"{shared.n_both_labels:,}")
                for shared, name in (
                    (labelled.shared_header_ids, "ids of several objects"),
                    (labelled.identical_cutouts, "images of several cutouts"),
                )
            ],
        ),
    ]
    write_text(out, html.page("Data", parts))


def _rejected_files(summary: Path, name: str) -> list[tuple[str, str, str, str]]:
    """Test set, file, band and reason of each cutout that was rejected; what is no cutout is not counted."""
    path = summary.with_name(REJECTED)
    check_stated(path, PackSummary.read(summary).sha256, summary)
    with path.open(encoding="utf-8", newline="") as text:
        return [
            (name, row["path"], row["band"], row["reason"]) for row in csv.DictReader(text) if row["object"]
        ]


def _rejects(bad: Sequence[tuple[str, str, str, str]], testset: str) -> Iterator[Markup]:
    """Files that could not be read, of the labelled data ("") or of a test set."""
    if not bad:
        yield html.paragraph("None of the labelled ones.")
        return
    yield html.table(
        ("test set" if testset else "bucket", "file", "band", "reason"), bad[:MOST_REJECTS], texts=(1, 2, 3)
    )
    if len(bad) > MOST_REJECTS:
        yield html.paragraph(f"… and {len(bad) - MOST_REJECTS:,} more: rejected.csv lists all.", "note")


def _headline(results: Results) -> Iterator[Markup]:
    metrics = {"validation": Metrics.read(results.validation).blocks} | {
        _named(name): Metrics.read(path).blocks for name, path in results.scored.items()
    }
    first = _named(next(iter(results.scored)))
    values = metrics[first]["global"]
    t_star = metrics["validation"]["global"]
    yield html.paragraph(
        f"Scores on {first} objects: labelled, but used neither to train the members of this run nor to "
        "choose t*. Ranges are 95 % confidence intervals.",
        "note",
    )
    imported = [
        f"{best.model} seed {best.seed}"
        for best in (MemberDescription.read(folder / MEMBER) for folder in results.members)
        if best.imported
    ]
    if imported:
        yield html.paragraph(
            f"Trained elsewhere: {', '.join(imported)}. Whether they have learnt from these objects is not "
            "known here; if they have, the scores are too high.",
            "warning",
        )
    for name, one in metrics.items():
        for warning in one["global"].get("warnings", []):
            yield html.paragraph(f"{name}: {warning}.", "warning")
    shown = ("roc_auc", "recall", "precision", "specificity")
    yield html.cards(
        [
            *((METRICS[key], _value(values, key), _range(values, key)) for key in shown),
            ("t*", probability(t_star["threshold"]), _range(t_star, "threshold")),
            ("objects", f"{_total(values):,}", f"{values['tp'] + values['fn']:,} lenses"),
        ]
    )
    yield html.heading("All metrics at t*")
    yield html.table(
        ("", *metrics),
        [
            (
                name,
                *(_with_range(one["global"], key) for one in metrics.values()),
            )
            for key, name in METRICS.items()
        ],
    )
    yield html.paragraph("t* was chosen on validation, which flatters that column.", "note")
    yield html.heading("By domain")
    keys = ("roc_auc", "precision", "recall", "specificity")
    yield html.table(
        (
            "test set",
            "domain",
            "objects",
            "AUC",
            *keys[1:],
            "false positives",
            "false negatives",
        ),
        [
            (
                name,
                block.removeprefix("domain::").replace("global", "all"),
                f"{_total(values):,}",
                *(_with_range(values, key) for key in keys),
                *(f"{values[key]:,}" for key in ("fp", "fn")),
            )
            for name, one in metrics.items()
            for block, values in sorted(one.items(), key=lambda item: item[0] != "global")
        ],
    )


def _few_false_alarms(field: Mapping[str, Path]) -> Iterator[Markup]:
    """What counts where lenses are rare."""
    blocks = {_named(name): FieldMetrics.read(path).of_all for name, path in field.items()}
    if not blocks:
        return
    rows = []
    some = next(iter(blocks.values()))
    for key, name in FEW_FALSE_ALARMS.items():
        for full in (one for one in some if one == key or one.startswith(f"{key}@")):
            _, _, prevalence = full.partition("@")
            label = name.format_map(some) + (
                f", one lens in {1 / float(prevalence):,.0f}" if prevalence else ""
            )
            rows.append((label, *(_measured(block, key, full) for block in blocks.values())))
    yield html.heading("Few false alarms")
    yield html.table(("", *blocks), rows)
    yield html.paragraph(
        "In a real sky one galaxy in 10,000 or fewer is a lens: what counts is how many lenses are found "
        "before false alarms outnumber them. Where too few objects decide, a value has no range.",
        "note",
    )


def _measured(block: Mapping[str, Any], key: str, full: str) -> str:
    """A value with its range, or why there is none: a rate that too few non-lenses decide is no result.

    At a purity p in a sky of which a fraction s are lenses, at most about s (1 - p) / p of the non-lenses may
    be called lenses; `FEW_ALLOWED` of them have to be seen for an interval.
    """
    n_nonlenses, needed = block["n_others"], 0.0
    if key.startswith("tpr_at_fpr_"):
        needed = 1 / float(key.removeprefix("tpr_at_fpr_"))
    elif key == "completeness_at_purity" and block["intervals"].get(full) is None:
        wanted, prevalence = block["purity_wanted"], float(full.partition("@")[2])
        needed = FEW_ALLOWED * wanted / ((1 - wanted) * prevalence) if wanted < 1 else math.inf
    if needed > n_nonlenses:
        needs = f"needs about {float(f'{needed:.0e}'):,.0f}" if math.isfinite(needed) else "never certain"
        return f"not measurable with {n_nonlenses:,} non-lenses ({needs})"
    return _with_range(block, full)


def _members(folders: Sequence[Path]) -> Iterator[Markup]:
    rows = []
    for folder in folders:
        best = MemberDescription.read(folder / MEMBER)
        trained = TrainingResults.read(folder / RESULTS) if (folder / RESULTS).is_file() else None
        rows.append(
            (
                best.model,
                str(best.seed),
                best.settings["network"]["name"],
                f"{trained.best.epoch} of {trained.n_epochs}" if trained else "trained elsewhere",
                stated(trained.best.val_auc) if trained else "",
                stated(trained.test.auc) if trained else "",
            )
        )
    yield html.heading("Members")
    yield html.table(
        ("model", "seed", "network", "best epoch", "AUC of cutouts, validation", "AUC of cutouts, held-out"),
        rows,
    )


def _blind(results: Results) -> Iterator[Markup]:
    if not results.blind:
        return
    rows, warnings = [], []
    for name, table in results.blind.items():
        scored = open_scored(table)
        n_lenses = int(np.count_nonzero(scored.probs >= scored.threshold))
        drift = Drift.read(results.drift[name])
        n_shared = drift.identical_cutouts.n_cutouts
        rows.append(
            (
                name,
                f"{len(scored.table):,}",
                f"{n_lenses:,}",
                share(n_lenses, len(scored.table)),
                f"{drift.n_drifting} of {len(drift.compared)}",
                f"{n_shared:,}",
            )
        )
        if drift.n_drifting or n_shared:
            warnings.append(f"{name} differs from the training set: see the pages on drift.")
    yield html.heading("Test sets without labels")
    header = (
        "test set",
        "objects",
        "called lenses",
        "share",
        "comparisons that differ",
        "cutouts in training data",
    )
    yield html.table(header, rows)
    for text in warnings:
        yield html.paragraph(text, "warning")
    yield html.paragraph(
        "The candidates, with pictures: open results/candidates/index.html in a browser.", "note"
    )


def _known(files: Mapping[str, Path]) -> Iterator[Markup]:
    """Lenses that are known already: how many were found again, and which were not."""
    for testset, path in files.items():
        table, described = read_known(path)
        yield html.heading(f"Known lenses in {testset}")
        yield html.table(
            ("table", "recovered", "missed", "unreadable", "outside the test set"),
            [
                (name, *(f"{number:,}" for number in one.model_dump().values()))
                for name, one in described.tables.items()
            ],
        )
        yield html.paragraph(
            f"Matched within {described.radius_arcsec:g} arcsec. Coordinates are known for "
            f"{described.n_positions:,} of {described.n_objects:,} objects. {KNOWN_CSV}, beside the "
            "catalogue, lists every known lens that was looked for.",
            "note",
        )
        inside = table[table["outcome"] != "outside"].sort_values("prob", na_position="first", kind="stable")
        shown = inside.drop_duplicates(["table", "name", "ra", "dec"], keep="last")
        if len(shown):
            # The missed ones first: they are fewer, and say more.
            yield html.table(
                ("known lens", "table", "object", "prob", "distance in arcsec", "outcome"),
                [
                    (
                        *(str(row[key]) for key in ("name", "table", "id")),
                        _prob(row["prob"], row["prob_std"]),
                        f"{row['separation_arcsec']:.2f}",
                        str(row["outcome"]),
                    )
                    for row in shown.head(MOST_KNOWN).to_dict("records")
                ],
                texts=(0, 1, 2),
            )


def _prob(prob: float, prob_std: float) -> str:
    if math.isnan(prob):
        return "none"
    decimals = decimals_of(prob_std)
    return f"{prob:.{decimals}f} ± {prob_std:.{decimals}f}"


def _citation(path: Path) -> Iterator[Markup]:
    citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield html.heading("How to cite")
    yield html.paragraph(f"{citation['message']} {citation['title']}, version {citation['version']}.")
    yield html.table(
        ("authors", "title", "year", "doi"),
        [
            (_authors(one["authors"]), one["title"], str(one["year"]), one.get("doi", ""))
            for one in citation["references"]
        ],
        texts=(0, 1),
    )


def _authors(authors: Sequence[Mapping[str, str]]) -> str:
    names = [one.get("family-names") or one["name"] for one in authors]
    return f"{names[0]} et al." if len(names) > 2 else " & ".join(names)


def _named(objects: str) -> str:
    """What readers call the objects of a test set."""
    return "held-out" if objects == "heldout" else objects


def _total(values: Mapping[str, Any]) -> int:
    return int(sum(values[key] for key in ("tp", "fp", "tn", "fn")))


def _interval(values: Mapping[str, Any], key: str) -> Sequence[float] | None:
    found: Sequence[float] | None = values.get("intervals", {}).get(key)
    return found


def _value(values: Mapping[str, Any], key: str) -> str:
    return stated(values.get(key), _interval(values, key))


def _range(values: Mapping[str, Any], key: str) -> str:
    interval = _interval(values, key)
    return f"[{', '.join(limits(interval))}]" if interval else ""


def _with_range(values: Mapping[str, Any], key: str) -> str:
    return with_limits(values.get(key), _interval(values, key))
