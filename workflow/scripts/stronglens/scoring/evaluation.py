"""Evaluating a classifier: metrics as JSON and CSV, and pictures."""

import csv
import logging
from pathlib import Path

from stronglens.artefact import write_aside, write_json
from stronglens.scoring.evaluation_plots import save_plots
from stronglens.scoring.metrics import Metrics, metrics_by_domain
from stronglens.scoring.scored import Scored

log = logging.getLogger(__name__)


def evaluate(scored: Scored, threshold: float, out_dir: Path, metrics_json: Path) -> None:
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
        File for the metrics as JSON; what is undefined is null.
    """
    metrics = metrics_by_domain(scored.labels, scored.probs, threshold, scored.domains)
    save_plots(scored, threshold, out_dir)
    write_metrics_csv(out_dir / "metrics.csv", metrics)
    write_json(metrics_json, metrics)
    overall = metrics["global"]
    log.info(
        "%s: %d %s, AUC %s, accuracy %s at threshold %r",
        metrics_json,
        len(scored.labels),
        scored.unit,
        overall["roc_auc"],
        overall["accuracy"],
        threshold,
    )


def write_metrics_csv(path: Path, metrics: dict[str, Metrics]) -> None:
    """Write a row for all objects and one for each domain; what is undefined is empty."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, ["objects", *metrics["global"]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"objects": name, **values} for name, values in metrics.items())
