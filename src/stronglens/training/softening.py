"""Softenings of the asinh stretch in units of the noise, measured on what is learnt from."""

import logging

import numpy as np

from stronglens.networks.samples import Samples
from stronglens.packing.cutout_statistics import frame_noise
from stronglens.packing.packed import PackedSet
from stronglens.settings.preprocess import PreprocessSettings

log = logging.getLogger("stronglens")

N_MEASURED = 2000
"""Cutouts of each band whose noise is measured: their median is known to a percent or two."""


def with_measured_softening(
    settings: PreprocessSettings, packed: PackedSet, samples: Samples
) -> PreprocessSettings:
    """Say in counts what `asinh_softening_in_noise` says in units of the noise.

    Parameters
    ----------
    settings : PreprocessSettings
        Left as they are where nothing is said in units of the noise.
    packed : PackedSet
        Where the cutouts lie.
    samples : Samples
        The training samples: validation, held-out and blind objects decide nothing.

    Returns
    -------
    PreprocessSettings
        With a softening in counts for each band: the factor times the median over cutouts of
        `stronglens.packing.cutout_statistics.frame_noise`. Cutouts of a band that was not learnt from get the
        median of those.
    """
    factor = settings.asinh_softening_in_noise
    if factor is None:
        return settings
    rows = samples.rows[samples.rows >= 0]
    bands = packed.index["band"].to_numpy(dtype=object)[rows]
    softening = {}
    for band in sorted(set(bands)):
        of_band = np.sort(rows[bands == band])
        measured = of_band[:: max(1, len(of_band) // N_MEASURED)]
        softening[band] = factor * float(np.median(frame_noise(packed.cutouts[measured])))
    told = ", ".join(f"{band} {value:.4g}" for band, value in softening.items())
    log.info("asinh softening, %g times the noise of the training cutouts, in counts: %s", factor, told)
    return settings.model_copy(
        update={
            "asinh_softening_in_noise": None,
            "asinh_softening_of_band": softening,
            "asinh_softening": float(np.median(list(softening.values()))),
        }
    )
