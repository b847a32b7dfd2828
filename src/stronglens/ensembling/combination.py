"""From the probabilities of bands and members to one: the fitted parameters, and how they are applied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stronglens.running.errors import InputError
from stronglens.settings.base import Settings
from stronglens.settings.decide import CombineSettings

Floats = npt.NDArray[np.float64]

PROB_FLOOR = 1e-6
"""Logits are taken of probabilities from this to 1 - this: beyond, networks are sure of nothing."""


@dataclass(frozen=True)
class MemberScores:
    """What one member says of some objects.

    Attributes
    ----------
    probs : ndarray of float64, shape (n_objects,)
        Mean probability over the object's cutouts, from 0 to 1.
    bands : tuple of str
        Bands of `band_logits`; empty where the member sees stacks, or bands are not looked at one by one.
    band_logits : ndarray of float64, shape (n_objects, n_bands)
        Logit of each band's probability, 0 for a missing band.
    """

    probs: Floats
    bands: tuple[str, ...]
    band_logits: Floats

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "MemberScores":
        """The same of some of the objects."""
        return MemberScores(self.probs[rows], self.bands, self.band_logits[rows])


@dataclass(frozen=True)
class Combined:
    """One probability for each object.

    Attributes
    ----------
    prob, prob_std : ndarray of float64, shape (n_objects,)
        The combined probability, and the sample standard deviation over members (0 for one), each member's
        probability calibrated like the combined one.
    prob_raw : ndarray of float64, shape (n_objects,), or None
        Before calibration; None without.
    prob_sky : ndarray of float64, shape (n_objects,), or None
        With the sky's fraction of lenses; None where that is not given.
    """

    prob: Floats
    prob_std: Floats
    prob_raw: Floats | None = None
    prob_sky: Floats | None = None

    def columns(self) -> dict[str, Floats]:
        """What is there, by the name of its column."""
        found = {"prob_raw": self.prob_raw, "prob_sky": self.prob_sky}
        return {name: values for name, values in found.items() if values is not None}


class BandWeights(Settings):
    """Logistic regression of one member from bands to the object: intercept + sum of coefficient x logit."""

    bands: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def apply(self, scores: MemberScores) -> Floats:
        """Probability of each object, shape (n_objects,)."""
        unknown = set(scores.bands) - set(self.bands)
        if unknown:
            raise InputError(
                f"bands: expected {', '.join(self.bands)}, on which the combination was fitted, "
                f"found {', '.join(sorted(unknown))}"
            )
        by_band = dict(zip(self.bands, self.coefficients, strict=True))
        weights = np.array([by_band[band] for band in scores.bands])
        return _sigmoid(scores.band_logits @ weights + self.intercept)


class SigmoidCalibration(Settings):
    """Temperature (intercept 0, slope 1 / T) or Platt scaling: sigmoid(slope x logit + intercept)."""

    slope: float
    intercept: float

    def apply(self, probs: Floats) -> Floats:
        """Calibrated probabilities, of the same shape."""
        return _sigmoid(self.slope * logit_of(probs) + self.intercept)


class IsotonicCalibration(Settings):
    """A rising function: linear between the given points, constant outside."""

    probs: tuple[float, ...]
    calibrated: tuple[float, ...]

    def apply(self, probs: Floats) -> Floats:
        """Calibrated probabilities, of the same shape."""
        return np.interp(probs, self.probs, self.calibrated)


class Combination(Settings):
    """All that turns what members say into one probability."""

    settings: CombineSettings = CombineSettings()
    """The method."""
    n_objects: int = 0
    """Objects that it was fitted on."""
    lens_fraction: float | None = None
    """Fraction of lenses among them."""
    band_weights: tuple[BandWeights | None, ...] = ()
    """For each member, in order; None for one that sees stacks."""
    member_weights: tuple[float, ...] | None = None
    """Weight of each member, in order; None where all weigh the same."""
    sigmoid: SigmoidCalibration | None = None
    """Calibration by temperature or Platt scaling."""
    isotonic: IsotonicCalibration | None = None
    """Calibration by isotonic regression."""

    def apply(self, scores: Sequence[MemberScores]) -> Combined:
        """Combine what members, in order, say of the same objects."""
        of_members = self.of_members(scores)
        raw = self.pooled(of_members)
        calibration = self.sigmoid or self.isotonic
        calibrate: Callable[[Floats], Floats] = calibration.apply if calibration else _as_it_is
        prob = calibrate(raw)
        spread = calibrate(of_members).std(axis=0, ddof=1) if len(of_members) > 1 else np.zeros(len(raw))
        sky = self.settings.sky_prevalence
        return Combined(
            prob,
            spread,
            raw if calibration else None,
            None
            if sky is None or self.lens_fraction is None
            else corrected_for_prevalence(prob, self.lens_fraction, sky),
        )

    def of_members(self, scores: Sequence[MemberScores]) -> Floats:
        """Probability of each object by each member, bands combined; shape (n_members, n_objects)."""
        weights = self.band_weights or [None] * len(scores)
        if len(weights) != len(scores):
            raise InputError(f"members: expected {len(weights)}, as when fitted, found {len(scores)}")
        probs = np.empty((len(scores), len(scores[0].probs)))
        for number, (one, own) in enumerate(zip(scores, weights, strict=True)):
            probs[number] = one.probs if own is None else own.apply(one)
        return probs

    def pooled(self, of_members: Floats) -> Floats:
        """One probability from those of members, shape (n_members, n_objects), not calibrated."""
        if self.settings.combine_members == "mean_of_logits":
            return _sigmoid(logit_of(of_members).mean(axis=0))
        if self.member_weights is not None:
            return np.clip(np.asarray(self.member_weights) @ of_members, 0, 1)
        return np.asarray(of_members.mean(axis=0))


def logit_of(probs: Floats) -> Floats:
    """Logits of probabilities, which are first brought to `PROB_FLOOR` or more from 0 and from 1."""
    from scipy.special import logit  # noqa: PLC0415 - plain means do without, and it takes long to load

    return np.asarray(logit(np.clip(probs, PROB_FLOOR, 1 - PROB_FLOOR)))


def _sigmoid(logits: Floats) -> Floats:
    from scipy.special import expit  # noqa: PLC0415 - plain means do without, and it takes long to load

    return np.asarray(expit(logits))


def corrected_for_prevalence(probs: Floats, lens_fraction: float, prevalence: float) -> Floats:
    """Probabilities where lenses are of another frequency than where they were calibrated.

    Parameters
    ----------
    probs : ndarray of float64
        Calibrated where `lens_fraction` of the objects are lenses; from 0 to 1.
    lens_fraction, prevalence : float
        Fractions of lenses, between 0 and 1: there, and in the sky.

    Returns
    -------
    ndarray of float64, same shape

    Notes
    -----
    Saerens, Latinne & Decaestecker (2002), Neural Computation 14, 21, eq. 2.4: lenses look as they did, and
    so do other galaxies; only how often each is met differs.
    """
    of_lenses = probs * (prevalence / lens_fraction)
    of_others = (1 - probs) * ((1 - prevalence) / (1 - lens_fraction))
    return np.asarray(of_lenses / (of_lenses + of_others))


def _as_it_is(probs: Floats) -> Floats:
    return probs
