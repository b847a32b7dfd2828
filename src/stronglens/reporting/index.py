"""The first page of a run: where everything is that a person may want to look at."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from stronglens.formats.artefact import write_text
from stronglens.reporting import html

TITLES = {
    "cutouts": "Cutouts of each bucket",
    "histograms": "Pixel values",
    "training": "Learning curves",
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "reliability": "Reliability",
    "confusion_matrix": "Confusion matrices",
    "score_histogram": "Probabilities by class",
    "completeness": "Completeness",
    "lens_parameters": "Lens parameters",
    "drift": "Drift",
    "run_times": "Run times and memory",
}
"""Titles of figures by the stems of their files."""

_SIMULATED = "The data are simulated: scores say that the pipeline works, not how well it finds real lenses."


def write_index(
    out: Path,
    overviews: Mapping[str, Path],
    data: Path,
    candidates: Path,
    figures: Mapping[str, Sequence[Path]],
    *,
    simulated: bool = False,
) -> None:
    """Write a page of links and figures, which a browser opens from disk.

    Parameters
    ----------
    out : Path
        HTML file. It refers to the others by relative paths: the folder `results` can be moved as a whole.
    overviews : mapping of str to Path
        The overview of each ensemble.
    data, candidates : Path
        The pages of the data and of the candidates.
    figures : mapping of str to sequence of Path
        PNG files by the heading above them; a PDF file of the same name lies beside each.
    simulated : bool
        Whether it says that the data are simulated.
    """

    def address(path: Path) -> str:
        return Path(os.path.relpath(path, out.parent)).as_posix()

    parts = [
        *([html.paragraph(_SIMULATED, "warning")] if simulated else []),
        html.link("Candidates", address(candidates), ": pictures, probabilities, and buttons to grade them"),
        *(
            html.link(f"Overview of ensemble {name}", address(path), ": scores with their intervals")
            for name, path in overviews.items()
        ),
        html.link("Data", address(data), ": what was read, what was not, and how objects are split"),
    ]
    for name, paths in figures.items():
        shown = [(TITLES.get(path.stem, path.stem), address(path)) for path in paths]
        parts += [html.heading(name), html.figures(shown)]
    parts.append(html.paragraph("Every figure is a PDF file too, beside the picture.", "note"))
    write_text(out, html.page("Results", parts))
