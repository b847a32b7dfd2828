"""Comparing a blind set with the training set: what differs enough to matter."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.formats.drift_files import DRIFT, Compared, Values, write_compared
from stronglens.formats.ensemble_table import open_ensemble
from stronglens.formats.packed import PackedSet, open_packed
from stronglens.formats.split_table import SplitTable, open_splits
from stronglens.formats.tables import REAL, TEXT
from stronglens.inspecting import cutout_statistics as statistics
from stronglens.inspecting.inspection import choose_cutouts
from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

STATISTICS: dict[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]] = {
    "sky": statistics.frame_sky,
    "noise": statistics.frame_noise,
    "noise_correlation": statistics.noise_correlation,
    "peak": statistics.peak,
    "flux": statistics.flux,
    "size": statistics.size,
    "constant_corners": statistics.constant_corners,
}
"""Of single cutouts."""

BAND_CORRELATION = "band_correlation"
"""Of a cutout and the next band of its object."""

PROBABILITY = "probability"

WARNS_BEYOND = 0.1
"""A share of the blind set, beyond what chance may do, that no mixture of the training buckets explains."""

_CHANCE = 1.63  # Kolmogorov's distribution at 1 %


def compare_data(
    labelled_folder: Path,
    splits_folder: Path,
    blind_folders: Sequence[Path],
    val_csv: Path,
    test_csv: Path,
    out_dir: Path,
    *,
    n_cutouts: int = 2000,
) -> None:
    """Compare a blind set with the training set, and warn where they differ.

    Writes `drift.json`: each comparison, which of them `drifts`, and how many cutouts of the blind set are
    pixel for pixel in the labelled data; and beside it the values that were compared, for
    `stronglens.comparing.drift_plots` (see `stronglens.formats.drift_files`).

    Parameters
    ----------
    labelled_folder, splits_folder : Path
        The packed labelled data and their split; pixels are compared with those of its training part.
    blind_folders : sequence of Path
        The parts of the packed blind set.
    val_csv, test_csv : Path
        The ensemble's tables of validation, whose scores no network has learnt, and of the blind set.
    out_dir : Path
        Folder for the files.
    n_cutouts : int
        Cutouts of each bucket and band that are compared, evenly spaced.

    Raises
    ------
    InputError
        A file is missing, or not what the JSON beside it describes; or the set has labels and shares images
        with the training or the validation split: its score would be of what the networks have learnt, or
        of what t* was chosen on.
    """
    labelled = open_packed(labelled_folder)
    splits = open_splits(splits_folder, labelled)
    training = measure(labelled, n_cutouts, splits.choose(labelled.index, "train"))
    parts = [open_packed(folder) for folder in blind_folders]
    n_each = -(-n_cutouts // len(parts))
    blind: dict[tuple[str, str], list[Values]] = {}
    for part in parts:
        for found in measure(part, n_each).values():
            for key, values in found.items():
                blind.setdefault(key, []).append(values)
    compared = []
    for key, pieces in blind.items():
        known = {bucket: found[key] for bucket, found in training.items() if key in found}
        if known:
            compared.append(compare(*key, np.concatenate(pieces), known))
    compared.append(_compare_scores(val_csv, test_csv))
    shared = _shared_pixels(parts, labelled, splits)
    learnt = sum(n for split, n in shared["splits"].items() if split != "test")
    if learnt and any(part.summary.labelled for part in parts):
        raise InputError(
            f"{shared['first'][0]}: expected a labelled test set of images that no network has learnt and on "
            f"which t* was not chosen, found {learnt} of its cutouts in the training or validation split "
            f"({labelled_folder}); leave them out of the test set, or out of data.labelled"
        )
    drifting = [one for one in compared if one.drifts]
    write_compared(out_dir / DRIFT, compared, shared)
    for one in drifting:
        log.warning(
            "%s%s: %.0f %% of the blind set are not like any mixture of the training set (up to %.0f %% may "
            "be chance): median %.4g, in the training set %s",
            one.statistic,
            f" in band {one.band}" if one.band else "",
            100 * one.distance,
            100 * one.limit,
            np.median(one.blind),
            ", ".join(f"{np.median(values):.4g} ({bucket})" for bucket, values in one.training.items()),
        )
    if shared["n_cutouts"]:
        log.warning(
            "%d cutouts of the blind set are pixel for pixel in the labelled data (%s), such as %r: the "
            "networks may know the answer",
            shared["n_cutouts"],
            ", ".join(f"{split}: {n}" for split, n in shared["splits"].items()),
            shared["first"][0],
        )
    log.info("%s: %d of %d comparisons differ", out_dir, len(drifting), len(compared))


def measure(
    packed: PackedSet, n_cutouts: int, chosen: npt.NDArray[np.bool_] | None = None
) -> dict[str, dict[tuple[str, str], Values]]:
    """Describe cutouts by `STATISTICS` and `BAND_CORRELATION`.

    Parameters
    ----------
    packed : PackedSet
        The data.
    n_cutouts : int
        Cutouts of each bucket and band, evenly spaced.
    chosen : ndarray of bool, shape (n_rows,), optional
        Rows to choose from.

    Returns
    -------
    dict
        For each bucket the values by statistic and band.
    """
    objects = packed.index["object"].to_numpy(dtype=object)
    found: dict[str, dict[tuple[str, str], Values]] = {}
    for bucket, bands in choose_cutouts(packed, n_cutouts, chosen).items():
        for band, rows in bands.items():
            cutouts = packed.cutouts[rows]
            inside = found.setdefault(bucket, {})
            for name, statistic in STATISTICS.items():
                inside[name, band] = statistic(cutouts)
            # The bands of an object lie next to each other.
            paired = rows[rows + 1 < len(objects)]
            paired = paired[objects[paired] == objects[paired + 1]]
            if len(paired):
                inside[BAND_CORRELATION, band] = statistics.image_correlation(
                    packed.cutouts[paired], packed.cutouts[paired + 1]
                )
    return found


def compare(statistic: str, band: str, blind: Values, training: Mapping[str, Values]) -> Compared:
    """Compare a number of the blind set with the same of each bucket of the training set."""
    distance = distance_outside(blind, list(training.values()))
    n_fewest = min(len(values) for values in training.values())
    limit = WARNS_BEYOND + _CHANCE * float(np.sqrt(1 / len(blind) + 1 / n_fewest))
    return Compared(statistic, band, blind, training, distance, limit)


def distance_outside(values: Values, parts: Sequence[Values]) -> float:
    """How far a distribution lies outside all mixtures of some parts, as a share of its values.

    A blind set has other shares of lenses and of domains than the training set, which must not count.
    Whatever the shares are, the cumulative distribution of a mixture lies between the lowest and the highest
    of its parts; so what lies outside is no matter of shares.

    Parameters
    ----------
    values : ndarray of float64, shape (n_values,)
        Not empty.
    parts : sequence of ndarray of float64, shape (n_part,)
        At least one, none of them empty.

    Returns
    -------
    float
        From 0, a mixture, to 1. For one part the distance of Kolmogorov and Smirnov.
    """
    at = np.unique(np.concatenate([values, *parts]))
    own = _cumulative(values, at)
    of_parts = np.stack([_cumulative(part, at) for part in parts])
    outside = np.maximum(own - of_parts.max(axis=0), of_parts.min(axis=0) - own)
    return max(0.0, float(outside.max()))


def _cumulative(values: Values, at: Values) -> Values:
    share: Values = np.searchsorted(np.sort(values), at, side="right") / len(values)
    return share


def _compare_scores(val_csv: Path, test_csv: Path) -> Compared:
    validation = open_ensemble(val_csv).read({"bucket": TEXT, "prob": REAL}).to_pandas()
    blind = open_ensemble(test_csv).read({"prob": REAL})["prob"].to_numpy()
    buckets = {str(bucket): rows.to_numpy() for bucket, rows in validation.groupby("bucket")["prob"]}
    return compare(PROBABILITY, "", blind, buckets)


def _shared_pixels(parts: Sequence[PackedSet], labelled: PackedSet, splits: SplitTable) -> dict[str, Any]:
    """Cutouts of the blind set whose pixels are in the labelled data, and in which splits those lie."""
    index = pd.concat([part.index[["path", "pixel_hash"]] for part in parts], ignore_index=True)
    known = labelled.index[["object", "pixel_hash"]].drop_duplicates("pixel_hash")
    twins = index.merge(known[known["pixel_hash"] != ""], on="pixel_hash")
    split_of = splits.objects.set_index("object")["split"]
    counts = twins["object"].map(split_of).value_counts()
    return {
        "n_cutouts": len(twins),
        "splits": {str(split): int(n) for split, n in counts.sort_index().items()},
        "first": twins["path"].head(10).tolist(),
    }
