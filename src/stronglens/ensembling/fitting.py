"""Fitting on validation how bands and members are combined and the result is calibrated."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from stronglens.ensembling.combination import (
    PROB_FLOOR,
    BandWeights,
    Combination,
    Combined,
    Floats,
    IsotonicCalibration,
    MemberScores,
    SigmoidCalibration,
    logit_of,
)
from stronglens.running.errors import InputError
from stronglens.settings.decide import CombineSettings

Integers = npt.NDArray[np.int64]

N_FOLDS = 5
SEED = 0
DIGITS = 6
"""Significant digits that are kept of what is fitted: machines differ in the last ones of a minimum."""


def fit_combination(
    scores: Sequence[MemberScores], labels: Integers, settings: CombineSettings
) -> Combination:
    """Fit bands, then members, then the calibration, each on what comes from the one before.

    Parameters
    ----------
    scores : sequence of MemberScores
        What each member says of the objects.
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    settings : CombineSettings
        What is fitted.

    Raises
    ------
    InputError
        There are no lenses, or nothing but lenses; or the probabilities fall where they should rise, and
        no calibration by a sigmoid exists.
    """
    n_lenses = int(np.count_nonzero(labels))
    if not 0 < n_lenses < len(labels):
        raise InputError(
            f"labels: fitting needs objects of both classes, found {n_lenses} lenses and "
            f"{len(labels) - n_lenses} non-lenses"
        )
    found = Combination(settings=settings, n_objects=len(labels), lens_fraction=n_lenses / len(labels))
    if settings.combine_bands == "logistic":
        weights = tuple(_fit_bands(one, labels) if one.bands else None for one in scores)
        found = found.model_copy(update={"band_weights": weights})
    of_members = found.of_members(scores)
    if settings.combine_members == "weighted":
        found = found.model_copy(update={"member_weights": _fit_members(of_members, labels)})
    raw = found.pooled(of_members)
    if settings.calibration == "isotonic":
        return found.model_copy(update={"isotonic": _fit_isotonic(raw, labels)})
    if settings.calibration != "none":
        sigmoid = _fit_sigmoid(raw, labels, offset=settings.calibration == "platt")
        return found.model_copy(update={"sigmoid": sigmoid})
    return found


def cross_fit(
    scores: Sequence[MemberScores], labels: Integers, objects: Integers, settings: CombineSettings
) -> Combined:
    """Combine for each object as was fitted without it: in folds of objects, as many of each class in each.

    Parameters
    ----------
    scores, labels, settings
        See `fit_combination`.
    objects : ndarray of int64, shape (n_objects,)
        Number of each row's object: rows of one object are in one fold.

    Raises
    ------
    InputError
        A class has fewer objects than there are folds; or see `fit_combination`.
    """
    parts: list[tuple[npt.NDArray[np.bool_], Combined]] = []
    for inside in _folds(labels, objects):
        combination = fit_combination([one.take(~inside) for one in scores], labels[~inside], settings)
        parts.append((inside, combination.apply([one.take(inside) for one in scores])))
    whole: dict[str, Floats | None] = {}
    for name in ("prob", "prob_std", "prob_raw", "prob_sky"):
        if getattr(parts[0][1], name) is None:
            whole[name] = None
            continue
        values = np.empty(len(labels))
        for inside, combined in parts:
            values[inside] = getattr(combined, name)
        whole[name] = values
    return Combined(**whole)  # type: ignore[arg-type]


def _folds(labels: Integers, objects: Integers) -> Iterator[npt.NDArray[np.bool_]]:
    """For each fold which rows are in it."""
    names, first, number = np.unique(objects, return_index=True, return_inverse=True)
    of_objects = labels[first]
    n_lenses = int(np.count_nonzero(of_objects))
    if min(n_lenses, len(names) - n_lenses) < N_FOLDS:
        raise InputError(
            f"labels: expected at least {N_FOLDS} objects of each class to fit on and check, "
            f"found {n_lenses} lenses and {len(names) - n_lenses} non-lenses"
        )
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
    for _, chosen in folds.split(names, of_objects):
        inside = np.zeros(len(names), dtype=bool)
        inside[chosen] = True
        yield inside[number]


def _fit_bands(scores: MemberScores, labels: Integers) -> BandWeights:
    """Stacking (Wolpert 1992, Neural Networks 5, 241) by a logistic regression with a weak L2 penalty."""
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000).fit(scores.band_logits, labels)
    return BandWeights(
        bands=scores.bands,
        coefficients=tuple(map(_rounded, model.coef_[0])),
        intercept=_rounded(model.intercept_[0]),
    )


def _fit_members(of_members: Floats, labels: Integers) -> tuple[float, ...]:
    """Weights of highest likelihood of a mean of probabilities: a convex problem."""
    n_members = len(of_members)
    of_truth = np.where(labels == 1, of_members, 1 - of_members)

    def mixed(weights: Floats) -> Floats:
        return np.asarray(np.maximum(weights @ of_truth, PROB_FLOOR))

    # The stubs know no function of one argument.
    found = minimize(  # type: ignore[call-overload]
        lambda weights: float(-np.mean(np.log(mixed(weights)))),
        np.full(n_members, 1 / n_members, dtype=np.float64),
        jac=lambda weights: -np.mean(of_truth / mixed(weights), axis=1),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_members,
        constraints=LinearConstraint(np.ones((1, n_members)), 1.0, 1.0),
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(found.x, 0, 1)
    return tuple(_rounded(weight) for weight in weights / weights.sum())


def _fit_sigmoid(probs: Floats, labels: Integers, *, offset: bool) -> SigmoidCalibration:
    """Temperature (Guo et al. 2017, ICML, PMLR 70) or Platt scaling (Platt 1999, "Probabilistic outputs for
    support vector machines"), both with Platt's targets, which keep the slope finite where the classes do
    not overlap.
    """
    n_lenses = int(np.count_nonzero(labels))
    of_lens = (n_lenses + 1) / (n_lenses + 2)
    of_other = 1 / (len(labels) - n_lenses + 2)
    targets = np.where(labels == 1, of_lens, of_other)
    logits = logit_of(probs)[:, None]
    # A target between 0 and 1 is the object once as a lens and once as none, with its share as weights.
    model = LogisticRegression(C=np.inf, fit_intercept=offset, tol=1e-10, max_iter=10_000).fit(
        np.concatenate([logits, logits]),
        np.repeat([1, 0], len(labels)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    slope = float(model.coef_[0, 0])
    if slope <= 0:
        raise InputError(
            "calibration: expected lenses to have higher probabilities than non-lenses, "
            f"found a slope of {slope:.3g}"
        )
    return SigmoidCalibration(
        slope=_rounded(slope), intercept=_rounded(model.intercept_[0]) if offset else 0.0
    )


def _fit_isotonic(probs: Floats, labels: Integers) -> IsotonicCalibration:
    """Isotonic regression (Zadrozny & Elkan 2002, KDD, 694)."""
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs, labels)
    return IsotonicCalibration(
        probs=tuple(model.X_thresholds_.tolist()), calibrated=tuple(model.y_thresholds_.tolist())
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
