"""What the end of a run says there is."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stronglens.formats.digits import limits, probability, stated
from stronglens.formats.packed import PackSummary
from stronglens.formats.score_files import Metrics
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.running.errors import InputError


def ending_lines(made: Mapping[str, Sequence[Path]]) -> list[str]:
    """Say what a run has left, a line each: five at most.

    Parameters
    ----------
    made : Mapping of str to sequence of Path
        ``submission``: `submission.json`. ``held-out``: `metrics_test_ens.json`. ``candidates``, ``report``:
        pages. ``rejected``: `summary.json` of each part of each packed data set. A file that is missing or
        cannot be read gives no line: the run is over and well.
    """
    lines = []
    for name, say in _SAY.items():
        there = [path for path in made.get(name, ()) if path.is_file()]
        with suppress(InputError, KeyError, TypeError, ValueError):
            lines += [f"{name:<12}{said}" for said in [say(there)] if there and said]
    return lines


def _submission(records: Sequence[Path]) -> str:
    (path,) = records
    record = SubmissionRecord.read(path)
    table, _ = record.submission
    kind = ", of simulated data" if record.simulated else ""
    return (
        f"{path.with_name(table)}: {record.n_rows:,} objects, {record.n_lenses:,} called lenses"
        f" at t* = {probability(record.threshold)}{kind}"
    )


def _heldout(metrics: Sequence[Path]) -> str:
    (path,) = metrics
    values = Metrics.read(path).of_all
    if values["roc_auc"] is None:
        return f"AUC undefined: objects of one class alone ({path})"
    interval = values["intervals"]["roc_auc"]
    ends = f", 95 % interval {' to '.join(limits(interval))}" if interval else ""
    return f"AUC {stated(values['roc_auc'], interval)}{ends} ({path})"


def _page(pages: Sequence[Path]) -> str:
    return ", ".join(map(str, pages))


def _rejected(summaries: Sequence[Path]) -> str:
    n_rejected: dict[str, int] = defaultdict(int)
    n_files: dict[str, int] = defaultdict(int)
    for path in summaries:
        summary = PackSummary.read(path)
        n_rejected[summary.dataset] += summary.n_rejected
        n_files[summary.dataset] += summary.n_files
    sets = [f"{n:,} of {n_files[name]:,} files of {name}" for name, n in n_rejected.items() if n]
    more = f" and {len(sets) - MOST_SETS} more sets" if len(sets) > MOST_SETS else ""
    return f"{', '.join(sets[:MOST_SETS])}{more}; why: rejected.csv of each" if sets else "no file"


MOST_SETS = 4
"""Data sets that the line of rejected files names."""

_SAY: Mapping[str, Callable[[Sequence[Path]], str]] = {
    "submission": _submission,
    "held-out": _heldout,
    "candidates": _page,
    "report": _page,
    "rejected": _rejected,
}
