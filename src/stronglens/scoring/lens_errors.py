"""Errors of estimated lens parameters: bias, scatter and outliers, with confidence intervals."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.formats.artefact import write_aside
from stronglens.formats.ensemble_table import open_ensemble
from stronglens.formats.packed import read_lens_values, values_of_lenses
from stronglens.formats.score_files import LensErrors
from stronglens.formats.tables import INTEGER, REAL, TEXT, finite, probabilities
from stronglens.inspecting.cutout_statistics import SIGMA_PER_MAD
from stronglens.running.errors import InputError
from stronglens.scoring.bootstrap import interval, resamples
from stronglens.scoring.few_counts import CONFIDENCE
from stronglens.scoring.metrics import objects_by_domain
from stronglens.scoring.scored import number_objects
from stronglens.settings.lens_parameters import LENS_PARAMETERS, in_order, std_column

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

STATISTICS = ("bias", "scatter_mad", "rms", "rms_of_mean", "outlier_fraction")

OF_WIDTHS = ("coverage_68", "coverage_95", "mean_pull", "rms_pull")
"""Where estimates come with calibrated standard deviations."""

OUTLIER_SIGMAS = 3.0

SIGMAS_95 = 1.959964
"""Half of the central 95 % of a Gaussian."""


@dataclass(frozen=True)
class Estimates:
    """Estimates of lenses beside the truth.

    Attributes
    ----------
    names : sequence of str
        The parameters.
    truth, estimates : ndarray of float64, shape (n_lenses, n_parameters)
        In the units of `parameters.fits`; a truth that is not known is NaN.
    probs : ndarray of float64, shape (n_lenses,)
        Probability of being a lens.
    domains : ndarray of str, shape (n_lenses,)
        Where they come from.
    objects : ndarray of int64, shape (n_lenses,)
        Number of each row's object, from 0.
    stds : ndarray of float64, shape (n_lenses, n_parameters), or None
        Calibrated standard deviations of the estimates, above 0; None where members give none.
    """

    names: Sequence[str]
    truth: Floats
    estimates: Floats
    probs: Floats
    domains: npt.NDArray[np.object_]
    objects: npt.NDArray[np.int64]
    stds: Floats | None = None


def read_estimates(ensemble_csv: Path, packed: Sequence[Path]) -> Estimates:
    """Read an ensemble's estimates of the lenses among labelled objects, and what is known of them.

    Raises
    ------
    InputError
        A file is missing, malformed or changed since it was made, or the ensemble estimates nothing.
    """
    ensemble = open_ensemble(ensemble_csv)
    names = in_order(set(ensemble.description.lens_parameters))
    if not names:
        raise InputError(f"{ensemble_csv}: expected estimates of lens parameters, found none")
    widths = [std_column(name) for name in names] if ensemble.description.width_factors else []
    numbers = {"label": INTEGER, "prob": REAL, **dict.fromkeys([*names, *widths], REAL)}
    table = ensemble.read({"object": TEXT, "domain": TEXT, **numbers})
    labels = table["label"].to_numpy()
    lenses = labels == 1
    truth = values_of_lenses(read_lens_values(packed, names), table["object"].to_pylist(), labels)
    objects = number_objects(table["object"])[lenses]

    def of_lenses(columns: Sequence[str]) -> Floats:
        values: Floats = np.stack([finite(ensemble_csv, table, name) for name in columns], axis=1)
        return np.asarray(values[lenses])

    return Estimates(
        names,
        truth[lenses],
        of_lenses(names),
        probabilities(ensemble_csv, table)[lenses],
        table["domain"].to_numpy()[lenses],
        np.unique(objects, return_inverse=True)[1],
        of_lenses(widths) if widths else None,
    )


def errors_by_block(found: Estimates, threshold: float) -> dict[str, dict[str, dict[str, Any]]]:
    """Errors of each parameter, for all lenses, those of each domain, and those that are found.

    Parameters
    ----------
    found : Estimates
        Estimates and truth.
    threshold : float
        A lens is found if its probability is at least this.

    Returns
    -------
    dict
        For `global`, `domain::…` and `found` and each parameter what `errors_of` gives.
    """
    everything = np.ones(len(found.probs), dtype=bool)
    blocks: dict[str, Mask] = {"global": everything}
    blocks |= {f"domain::{name}": inside for name, inside in objects_by_domain(found.domains).items()}
    blocks["found"] = found.probs >= threshold
    errors: dict[str, dict[str, dict[str, Any]]] = {}
    for block, inside in blocks.items():
        errors[block] = {}
        for number, name in enumerate(found.names):
            known = inside & np.isfinite(found.truth[:, number])
            truth, estimates = found.truth[known, number], found.estimates[known, number]
            stds = None if found.stds is None else found.stds[known, number]
            errors[block][name] = errors_of(truth, estimates, found.objects[known], stds)
    return errors


def errors_of(
    truth: Floats, estimates: Floats, objects: npt.NDArray[np.int64], stds: Floats | None = None
) -> dict[str, Any]:
    """How far estimates are from the truth.

    Parameters
    ----------
    truth, estimates : ndarray of float64, shape (n,)
        No NaN.
    objects : ndarray of int64, shape (n,)
        Number of each row's object: intervals come from resampled objects.
    stds : ndarray of float64, shape (n,), optional
        Standard deviations of the estimates, above 0.

    Returns
    -------
    dict
        n; of the errors, estimate minus truth: bias, the median; scatter_mad, 1.4826 times the median
        absolute deviation from it; rms, the root mean square (bias included); outlier_fraction, the fraction
        further than 3 scatter_mad from the bias. rms_of_mean is the rms error of always answering the mean of
        these true values: what has to be beaten. With standard deviations, of the pulls, (estimate - truth) /
        standard deviation: coverage_68 and coverage_95, the fractions within 1 and 1.96, that is of true
        values in the intervals of 68.3 and 95 %; mean_pull and rms_pull, 0 and 1 for Gaussians of the right
        width. `intervals` holds confidence intervals of all. None where there is no value.
    """
    names = STATISTICS if stds is None else STATISTICS + OF_WIDTHS
    if not len(truth):
        return {"n": 0, **dict.fromkeys(names), "intervals": None}
    drawn = [
        _statistics(truth[rows], estimates[rows], None if stds is None else stds[rows])
        for rows in (
            np.repeat(np.arange(len(truth)), weights)
            for weights in resamples(len(truth), np.unique(objects, return_inverse=True)[1])
        )
        if len(rows)
    ]
    intervals = {name: interval(np.array([one[name] for one in drawn])) for name in names}
    return {
        "n": len(truth),
        **_statistics(truth, estimates, stds),
        "intervals": {"confidence": CONFIDENCE, "n_resamples": len(drawn), **intervals},
    }


def _statistics(truth: Floats, estimates: Floats, stds: Floats | None) -> dict[str, float]:
    errors = estimates - truth
    bias = np.median(errors)
    deviations = np.abs(errors - bias)
    scatter = SIGMA_PER_MAD * np.median(deviations)
    found = {
        "bias": float(bias),
        "scatter_mad": float(scatter),
        "rms": float(np.sqrt(np.mean(errors**2))),
        "rms_of_mean": float(np.std(truth)),
        "outlier_fraction": float(np.mean(deviations > OUTLIER_SIGMAS * scatter)),
    }
    if stds is None:
        return found
    pulls = errors / stds
    return found | {
        "coverage_68": float(np.mean(np.abs(pulls) <= 1)),
        "coverage_95": float(np.mean(np.abs(pulls) <= SIGMAS_95)),
        "mean_pull": float(np.mean(pulls)),
        "rms_pull": float(np.sqrt(np.mean(pulls**2))),
    }


def write_errors(errors: Mapping[str, Mapping[str, Mapping[str, Any]]], out_dir: Path) -> None:
    """Write `lens_parameters.json` and, a row for each block and parameter, `lens_parameters.csv`."""
    LensErrors.model_validate(errors).write(out_dir / "lens_parameters.json")
    columns = ["objects", "parameter", "unit", "n"]
    statistics = [name for name in STATISTICS + OF_WIDTHS if name in next(iter(errors["global"].values()))]
    for name in statistics:
        columns += [name, f"{name}_low", f"{name}_high"]
    with (
        write_aside(out_dir / "lens_parameters.csv") as aside,
        aside.open("w", encoding="utf-8", newline="") as text,
    ):
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for block, of_block in errors.items():
            for name, found in of_block.items():
                row = {"objects": block, "parameter": name, "unit": LENS_PARAMETERS[name], "n": found["n"]}
                for statistic in statistics:
                    low, high = (found["intervals"] or {}).get(statistic) or (None, None)
                    row |= {
                        statistic: found[statistic],
                        f"{statistic}_low": low,
                        f"{statistic}_high": high,
                    }
                writer.writerow(row)
    for name, found in errors["global"].items():
        log.info("%s: %s", name, in_words(found, LENS_PARAMETERS[name]))


def in_words(found: Mapping[str, Any], unit: str) -> str:
    """Bias, scatter and outliers of a parameter in a line."""
    if not found["n"]:
        return "known of no lens here"
    with_unit = f" {unit}" if unit else ""
    widths = (
        f"; {found['coverage_68']:.1%} within one standard deviation, {found['coverage_95']:.1%} within "
        f"1.96, rms pull {found['rms_pull']:.2f}"
        if "rms_pull" in found
        else ""
    )
    return (
        f"bias {found['bias']:+.3g}, scatter {found['scatter_mad']:.3g}, rms {found['rms']:.3g}{with_unit} "
        f"(always the mean: {found['rms_of_mean']:.3g}), {found['outlier_fraction']:.1%} outliers of "
        f"{found['n']} lenses{widths}"
    )
