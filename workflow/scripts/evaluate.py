"""Score probabilities against labels: rules `evaluate_val` and `evaluate_test`, or by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from stronglens.cli import Command, run
from stronglens.settings.evaluate import EvaluateSettings


class Evaluate(Command):
    """Score probabilities against labels.

    Takes a table of predictions or of an ensemble (--csv), or two NPY files (--labels, --probs). Writes
    metrics as JSON (with 95 % confidence intervals from resampled objects) and CSV, for all objects and each
    domain, and plots, as PNG and PDF: roc, precision_recall, reliability, confusion_matrix, score_histogram.
    The metrics of the field (few false alarms, purity in a sky of few lenses) go to field_metrics.json,
    completeness as a function of the lenses' properties to completeness.csv, .png and .pdf.
    """

    csv: Path | None = None
    """Table with columns label and prob, and domain if known."""
    labels: Path | None = None
    """NPY file of labels, 1 lens and 0 none; needs --probs."""
    probs: Path | None = None
    """NPY file of probabilities, in the order of --labels."""
    threshold: float | None = Field(None, ge=0, le=1)
    """Objects with at least this probability are called lenses."""
    threshold_file: Path | None = None
    """File with the threshold, such as threshold.txt."""
    optimize_threshold: bool = False
    """Take the threshold with the highest Youden's J on these very objects: it flatters the result."""
    out_dir: Path
    """Folder for the results."""
    metrics_json: Path | None = None
    """File for the metrics as JSON; metrics.json in the folder if not given."""
    packed: list[Path] = Field(default_factory=list)
    """Folder of the packed data that were scored: completeness is told as a function of Einstein radius and
    magnitudes where they are known. May be given several times."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--packed` is cut (`part_0`, `part_1`, …); without it the
    folders themselves are taken."""
    settings: EvaluateSettings = EvaluateSettings()
    """What is told beside the standard metrics."""
    validation_metrics: Path | None = None
    """Metrics of the validation ensemble, metrics_val_ens.json, to be told beside these."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        by_arrays = self.labels is not None and self.probs is not None
        if (self.csv is not None) == by_arrays or (self.labels is None) != (self.probs is None):
            raise ValueError("give either --csv FILE, or --labels FILE and --probs FILE")
        n_thresholds = sum(
            (self.threshold is not None, self.threshold_file is not None, self.optimize_threshold)
        )
        if n_thresholds != 1:
            raise ValueError(
                "give one of --threshold NUMBER, --threshold-file FILE, --optimize-threshold; "
                f"found {n_thresholds or 'none'}"
            )
        return self


def main(argv: Sequence[str] | None = None) -> int:
    return run(Evaluate, _evaluate, argv)


def _evaluate(options: Evaluate) -> None:
    # --help need not wait for scikit-learn and matplotlib.
    from stronglens.ensembling.threshold_file import read_threshold  # noqa: PLC0415
    from stronglens.ensembling.youden import youden_threshold  # noqa: PLC0415
    from stronglens.packing.packed_objects import parts_of  # noqa: PLC0415
    from stronglens.scoring.evaluation import evaluate  # noqa: PLC0415
    from stronglens.scoring.scored import read_scored_csv, read_scored_npy  # noqa: PLC0415

    if options.csv is not None:
        scored = read_scored_csv(options.csv)
    elif options.labels is not None and options.probs is not None:
        scored = read_scored_npy(options.labels, options.probs)
    if options.threshold is not None:
        threshold = options.threshold
    elif options.threshold_file is not None:
        threshold = read_threshold(options.threshold_file)
    else:
        threshold = youden_threshold(scored.labels, scored.probs)
    evaluate(
        scored,
        threshold,
        options.out_dir,
        options.metrics_json or options.out_dir / "metrics.json",
        options.validation_metrics,
        settings=options.settings,
        packed=parts_of(options.packed, options.parts),
    )


if __name__ == "__main__":
    sys.exit(main())
