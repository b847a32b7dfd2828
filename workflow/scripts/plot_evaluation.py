"""Draw probabilities against labels: rule `plot_evaluation`, or by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import run
from stronglens.scoring.scored_options import ScoredOptions
from stronglens.settings.decide import EvaluateSettings, Prevalence


class PlotEvaluation(ScoredOptions):
    """Draw how well probabilities separate lenses from non-lenses, as PNG and PDF: roc, precision_recall,
    reliability, confusion_matrix, score_histogram; and completeness, if its table is given.

    Takes the table or the two NPY files, and the threshold, that evaluate.py takes.
    """

    completeness: Path | None = None
    """completeness.csv, from evaluate.py."""
    prevalences: list[Prevalence] = EvaluateSettings().prevalences
    """Fractions of lenses in the skies for which purity is drawn."""
    title: str = ""
    """What was scored, for the titles."""
    band: str = ""
    """Band of the magnitudes in the table of completeness, for its axes."""
    out_dir: Path
    """Folder for the pictures."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotEvaluation, _plot, argv)


def _plot(options: PlotEvaluation) -> None:
    # --help need not wait for scikit-learn and matplotlib.
    from stronglens.scoring.completeness import read_completeness  # noqa: PLC0415
    from stronglens.scoring.evaluation_plots import save_plots  # noqa: PLC0415

    scored, threshold = options.read()
    completeness = None if options.completeness is None else read_completeness(options.completeness)
    save_plots(
        scored, threshold, options.out_dir, options.prevalences, completeness, options.title, options.band
    )


if __name__ == "__main__":
    sys.exit(main())
