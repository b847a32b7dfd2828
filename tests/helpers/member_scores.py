"""What members say of drawn objects, whose probabilities are calibrated."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from stronglens.ensembling.combination import Combination, MemberScores
from stronglens.ensembling.fitting import fit_combination
from stronglens.settings.decide import CombineSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def scores_of(probs: Floats, band_logits: Floats | None = None) -> MemberScores:
    """A member with these probabilities, shape (n_objects,), of bands with these logits if given."""
    if band_logits is None:
        return MemberScores(probs, (), np.empty((len(probs), 0)))
    return MemberScores(probs, tuple("grizy"[: band_logits.shape[1]]), band_logits)


def draw(n: int, seed: int = 0) -> tuple[Integers, Floats]:
    """Labels, and logits that are calibrated."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, n)
    return (generator.random(n) < expit(logits)).astype(np.int64), logits


def combined(scores: list[MemberScores], labels: Integers, **settings: object) -> Combination:
    """What is fitted with these settings."""
    return fit_combination(scores, labels, CombineSettings.model_validate(settings))
