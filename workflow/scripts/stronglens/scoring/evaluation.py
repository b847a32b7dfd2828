"""Evaluating a classifier: metrics as JSON and CSV, and pictures."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stronglens.artefact import read_json, write_aside, write_json
from stronglens.scoring.bootstrap import intervals_by_domain, with_intervals
from stronglens.scoring.evaluation_plots import save_plots
from stronglens.scoring.metrics import Metrics, metrics_by_domain
from stronglens.scoring.scored import Scored

log = logging.getLogger(__name__)


def evaluate(
    scored: Scored, threshold: float, out_dir: Path, metrics_json: Path, validation_json: Path | None = None
) -> None:
    """Write metrics and pictures.

    Parameters
    ----------
    scored : Scored
        Labels, probabilities, and domains if known.
    threshold : float
        An object is called a lens if its probability is at least this.
    out_dir : Path
        Receives `metrics.csv` and the PNG files of `stronglens.scoring.evaluation_plots`.
    metrics_json : Path
        File for the metrics as JSON, with confidence intervals; what is undefined is null.
    validation_json : Path, optional
        The metrics on the objects that t* was chosen on: said beside these, which they may flatter.
    """
    metrics = metrics_by_domain(scored.labels, scored.probs, threshold, scored.domains)
    save_plots(scored, threshold, out_dir)
    write_metrics_csv(out_dir / "metrics.csv", metrics)
    intervals = intervals_by_domain(scored.labels, scored.probs, threshold, scored.domains, scored.objects)
    stated = with_intervals(metrics, intervals)
    write_json(metrics_json, stated)
    log.info("%s: %d %s at threshold %r", metrics_json, len(scored.labels), scored.unit, threshold)
    if validation_json is not None:
        log.info("validation: %s", in_words(read_json(validation_json)["global"]))
    log.info("%s: %s", "these" if validation_json is None else "held out", in_words(stated["global"]))


def in_words(metrics: Mapping[str, Any]) -> str:
    """AUC, accuracy, recall and specificity with their confidence intervals, in a line."""
    intervals = metrics.get("intervals", {})
    words = []
    for name, key in (
        ("AUC", "roc_auc"),
        ("accuracy", "accuracy"),
        ("recall", "recall"),
        ("specificity", "specificity"),
    ):
        value, interval = metrics[key], intervals.get(key)
        text = "undefined" if value is None else f"{value:.4f}"
        words.append(f"{name} {text}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""))
    return ", ".join(words)


def write_metrics_csv(path: Path, metrics: dict[str, Metrics]) -> None:
    """Write a row for all objects and one for each domain; what is undefined is empty."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, ["objects", *metrics["global"]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"objects": name, **values} for name, values in metrics.items())
