"""Evaluating a classifier: metrics as JSON and CSV."""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sklearn.metrics import brier_score_loss, log_loss

from stronglens.formats.artefact import write_aside
from stronglens.formats.digits import with_limits
from stronglens.formats.score_files import FieldMetrics
from stronglens.formats.score_files import Metrics as MetricsFile
from stronglens.scoring.bootstrap import intervals_by_domain, with_intervals
from stronglens.scoring.completeness import completeness_rows, read_parameters, write_completeness
from stronglens.scoring.field_metrics import field_metrics_by_domain
from stronglens.scoring.field_metrics import in_words as field_in_words
from stronglens.scoring.metrics import Metrics, expected_calibration_error, metrics_by_domain
from stronglens.scoring.scored import Scored
from stronglens.settings.decide import EvaluateSettings

log = logging.getLogger(__name__)


def evaluate(
    scored: Scored,
    threshold: float,
    out_dir: Path,
    metrics_json: Path,
    validation_json: Path | None = None,
    *,
    settings: EvaluateSettings | None = None,
    packed: Sequence[Path] = (),
) -> None:
    """Write metrics; `stronglens.scoring.evaluation_plots` draws what belongs to them.

    Parameters
    ----------
    scored : Scored
        Labels, probabilities, and domains if known.
    threshold : float
        An object is called a lens if its probability is at least this.
    out_dir : Path
        Receives `metrics.csv`, `field_metrics.json`, and completeness as a function of the lenses'
        properties, `completeness.csv`.
    metrics_json : Path
        File for the metrics as JSON, with confidence intervals; what is undefined is null.
    validation_json : Path, optional
        The metrics on the objects that t* was chosen on: said beside these, which they may flatter.
    settings : EvaluateSettings, optional
        What is computed beside the standard metrics.
    packed : sequence of Path
        Folders of the packed data, for what is known of the lenses.
    """
    metrics = metrics_by_domain(scored.labels, scored.probs, threshold, scored.domains)
    write_metrics_csv(out_dir / "metrics.csv", metrics)
    intervals = intervals_by_domain(scored.labels, scored.probs, threshold, scored.domains, scored.objects)
    stated = with_intervals(metrics, intervals)
    MetricsFile.model_validate(stated).write(metrics_json)
    settings = settings or EvaluateSettings()
    of_field = field_metrics_by_domain(
        scored.labels, scored.probs, threshold, settings, scored.domains, scored.objects
    )
    FieldMetrics.model_validate(of_field | {"calibration": calibration_errors(scored)}).write(
        out_dir / "field_metrics.json"
    )
    parameters = read_parameters(packed, settings.magnitude_band)
    rows = completeness_rows(scored, threshold, parameters, settings)
    write_completeness(out_dir / "completeness.csv", rows)
    log.info("%s: %d %s at threshold %r", metrics_json, len(scored.labels), scored.unit, threshold)
    if validation_json is not None:
        log.info("validation: %s", in_words(MetricsFile.read(validation_json).of_all))
    log.info("%s: %s", "these" if validation_json is None else "held-out", in_words(stated["global"]))
    log.info("few false alarms: %s", field_in_words(of_field["global"]))
    for warning in stated["global"].get("warnings", []):
        log.warning("%s: %s", metrics_json, warning)


def calibration_errors(scored: Scored) -> dict[str, dict[str, float]]:
    """Expected calibration error, Brier score and log loss of `prob`, and of `prob_raw` where it is known:
    whether a calibration holds for these objects.
    """
    columns = {"prob": scored.probs, "prob_raw": scored.raw_probs}
    return {
        name: {
            "ece": expected_calibration_error(scored.labels, probs),
            "brier": float(brier_score_loss(scored.labels, probs, labels=[0, 1])),
            "log_loss": float(log_loss(scored.labels, probs, labels=[0, 1])),
        }
        for name, probs in columns.items()
        if probs is not None
    }


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
        words.append(f"{name} {with_limits(metrics[key], intervals.get(key))}")
    return ", ".join(words)


def write_metrics_csv(path: Path, metrics: dict[str, Metrics]) -> None:
    """Write a row for all objects and one for each domain; what is undefined is empty."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, ["objects", *metrics["global"]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"objects": name, **values} for name, values in metrics.items())
