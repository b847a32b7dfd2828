"""Softenings of the asinh stretch in units of the noise, measured on what is learnt from."""

import logging

import numpy as np

from stronglens.formats.packed import PackedSet
from stronglens.inspecting.cutout_statistics import frame_noise
from stronglens.networks.samples import Samples
from stronglens.running.errors import InputError
from stronglens.settings.preprocess import PreprocessSettings

log = logging.getLogger(__name__)

USUAL_FACTOR = 12.0
"""Softening in units of the noise where none is given: the best of those tried (docs/EXPERIMENTS.md)."""

N_MEASURED = 2000
"""Cutouts of each band whose noise is measured: their median is known to a percent or two."""


def with_measured_softening(
    settings: PreprocessSettings, packed: PackedSet, samples: Samples
) -> PreprocessSettings:
    """Say in counts what is to be said in units of the noise.

    Parameters
    ----------
    settings : PreprocessSettings
        Left as they are where all softenings are in counts.
    packed : PackedSet
        Where the cutouts lie.
    samples : Samples
        The training samples: validation, held-out and blind objects decide nothing.

    Returns
    -------
    PreprocessSettings
        With a softening in counts for each band: its own, else the factor times the median over cutouts of
        `stronglens.inspecting.cutout_statistics.frame_noise`. Cutouts of a band that was not learnt from
        get the median of those.

    Raises
    ------
    InputError
        A band has no noise: half of the pixels in the frames of its cutouts are equal.
    """
    if not settings.measures_noise:
        return settings
    factor = settings.asinh_softening_in_noise or USUAL_FACTOR
    rows = samples.rows[samples.rows >= 0]
    bands = packed.index["band"].to_numpy(dtype=object)[rows]
    softening = dict(settings.asinh_softening_of_band)
    for band in sorted(set(bands) - set(softening)):
        of_band = np.sort(rows[bands == band])
        measured = of_band[:: max(1, len(of_band) // N_MEASURED)]
        softening[band] = factor * float(np.median(frame_noise(packed.cutouts[measured])))
        if softening[band] == 0:
            raise InputError(
                f"{packed.folder}: expected noise in the cutouts of band {band}, in units of which the asinh "
                "softening is to be measured, found frames of equal pixels; give preprocess.asinh_softening "
                "in counts"
            )
    shown = ", ".join(f"{band} {value:.4g}" for band, value in softening.items())
    log.info("asinh softening, %g times the noise of the training cutouts, in counts: %s", factor, shown)
    return settings.model_copy(
        update={
            "asinh_softening_in_noise": None,
            "asinh_softening_of_band": softening,
            "asinh_softening": float(np.median(list(softening.values()))),
        }
    )
