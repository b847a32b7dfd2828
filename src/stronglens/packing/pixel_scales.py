"""Whether the bands of an object have pixels of one size on the sky."""

import logging
import math
from collections.abc import Hashable, Sequence

from stronglens.sources.sky import MOST_UNEVEN

log = logging.getLogger(__name__)


class PixelScales:
    """Counts objects whose bands have pixels of different sizes, as headers state them.

    Bands that were put on one grid may have kept the headers of before, so that they are not refused.
    """

    def __init__(self) -> None:
        self.n_uneven = 0
        self._object: Hashable = None
        self._scale = math.nan
        self._is_counted = False
        self._example = ""

    def see(self, objects: Sequence[tuple[int, str]], scales_arcsec: Sequence[float]) -> None:
        """Look at cutouts, those of an object one after the other.

        Parameters
        ----------
        objects : sequence of (int, str), shape (n_cutouts,)
            Bucket and name of the object of each.
        scales_arcsec : sequence of float, shape (n_cutouts,)
            Side of a pixel of each; NaN where unknown.
        """
        for key, scale in zip(objects, scales_arcsec, strict=True):
            if math.isnan(scale):
                continue
            if key != self._object:
                self._object, self._scale, self._is_counted = key, scale, False
            elif not self._is_counted and not 1 / MOST_UNEVEN <= scale / self._scale <= MOST_UNEVEN:
                self._is_counted = True
                self.n_uneven += 1
                self._example = self._example or f"{key[1]} ({self._scale:.4g} and {scale:.4g} arcsec)"

    def warn(self, dataset: str) -> None:
        """Say how many there were, if any."""
        if self.n_uneven:
            log.warning(
                "%s: expected the bands of an object with pixels of one size, found %d objects with several, "
                "such as %s: put all bands on one grid first, unless headers are older than that",
                *(dataset, self.n_uneven, self._example),
            )
