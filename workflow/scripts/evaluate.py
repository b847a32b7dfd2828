"""Score probabilities against labels: rules `evaluate_val` and `evaluate_test`, or by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import run
from stronglens.scoring.scored_options import ScoredOptions
from stronglens.settings.decide import EvaluateSettings


class Evaluate(ScoredOptions):
    """Score probabilities against labels.

    Takes a table of predictions or of an ensemble (--csv), or two NPY files (--labels, --probs). Writes
    metrics as JSON (with 95 % confidence intervals from resampled objects) and CSV, for all objects and each
    domain. The metrics of the field (few false alarms, purity in a sky of few lenses) go to
    field_metrics.json, completeness as a function of the lenses' properties to completeness.csv.
    plot_evaluation.py draws them.
    """

    out_dir: Path
    """Folder for the results."""
    metrics_json: Path | None = None
    """File for the metrics as JSON; metrics.json in the folder if not given."""
    packed: list[Path] = Field(default_factory=list)
    """Folder of the packed data that were scored: completeness is reported as a function of Einstein radius
    and magnitudes where they are known. May be given several times."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--packed` is cut (`part_0`, `part_1`, …); without it the
    folders themselves are taken."""
    settings: EvaluateSettings = EvaluateSettings()
    """What is reported in addition to the standard metrics."""
    validation_metrics: Path | None = None
    """Metrics of the validation ensemble, metrics_val_ens.json, to be told beside these."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Evaluate, _evaluate, argv)


def _evaluate(options: Evaluate) -> None:
    # --help need not wait for scikit-learn.
    from stronglens.formats.packed import parts_of  # noqa: PLC0415
    from stronglens.scoring.evaluation import evaluate  # noqa: PLC0415

    scored, threshold = options.read()
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
