"""Where the pixels of a tile are on the sky, by its WCS; the same as astropy says."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.sources.rejected import Rejected

_MARGIN = 1.01


class TileGrid:
    """The pixels of a tile on the sky.

    Parameters
    ----------
    header : Header of astropy
        With the keywords of a celestial WCS.
    shape : (int, int)
        Height and width in pixels.
    needs_sky : bool
        Whether a header without a WCS is refused.

    Attributes
    ----------
    shape
        As given.
    key : object
        Equal for images that share a grid.
    centre : ndarray of float64, shape (3,)
        Unit vector (ICRS) of the middle.
    radius : float
        Length of a chord from there that reaches beyond each corner.
    scale_arcsec : float
        Side of a square pixel of the same area; NaN without a WCS.

    Raises
    ------
    Rejected
        There is no celestial WCS, or one that astropy does not know.
    """

    def __init__(self, header: Any, shape: tuple[int, int], *, needs_sky: bool) -> None:
        from astropy.wcs import WCS  # noqa: PLC0415 - takes long to load, and few data sets are tiles
        from astropy.wcs.utils import wcs_to_celestial_frame  # noqa: PLC0415

        self.shape = shape
        self._wcs: Any = None
        self.frame: Any = None
        self.key: object = shape
        self.scale_arcsec = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of keywords that astropy mends
            try:
                wcs = WCS(header)
                if wcs.has_celestial:
                    self.frame = wcs_to_celestial_frame(wcs)
                    self._wcs = wcs.celestial
            except Exception as error:  # a broken header can break a parser in any way
                if needs_sky:
                    raise Rejected("unreadable WCS", str(error).splitlines()[0][:200]) from error
            if self._wcs is None:
                if needs_sky:
                    raise Rejected("no WCS", "the header does not say where its pixels lie on the sky")
                return
            self.key = (shape, self._wcs.to_header_string(relax=True))
            self.frame_name = repr(self.frame)
            self.scale_arcsec = 3600 * float(abs(np.linalg.det(self._wcs.pixel_scale_matrix))) ** 0.5
        height, width = shape
        across, along = np.array([0, 1, 2, 0, 2, 0, 1, 2, 1]), np.array([0, 0, 0, 1, 1, 2, 2, 2, 1])
        border = unit_vectors(*self.sky(across / 2 * width - 0.5, along / 2 * height - 0.5))
        self.centre = border[-1]
        chords = np.linalg.norm(border - self.centre, axis=1)
        # 2 is the whole sky: corners that lie nowhere on it do not bound what is near.
        self.radius = min(2.0, _MARGIN * float(chords.max())) if np.isfinite(chords).all() else 2.0
        if not np.isfinite(self.centre).all():
            self.centre = np.array([1.0, 0.0, 0.0])

    def pixels(self, longitude: Any, latitude: Any) -> tuple[Any, Any]:
        """Pixels at positions in degrees in the grid's own `frame`; NaN where a distortion has no inverse."""
        from astropy.wcs import NoConvergence  # noqa: PLC0415

        try:
            x, y = self._wcs.all_world2pix(longitude, latitude, 0)
        except NoConvergence as error:
            x, y = error.best_solution.T
            for rows in (error.divergent, error.slow_conv):
                if rows is not None:
                    x[rows] = y[rows] = np.nan
        return x, y

    def sky(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Right ascension and declination (ICRS) of pixels, in degrees; NaN if there is no WCS."""
        if self._wcs is None:
            return np.full(np.shape(x), np.nan), np.full(np.shape(x), np.nan)
        from astropy.coordinates import SkyCoord  # noqa: PLC0415

        longitude, latitude = self._wcs.all_pix2world(x, y, 0)
        icrs = SkyCoord(longitude, latitude, unit="deg", frame=self.frame).icrs
        return icrs.ra.deg, icrs.dec.deg


class Frame:
    """Positions of objects, in whatever frame a tile wants them.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n_objects,)
        ICRS, in degrees.
    """

    def __init__(self, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> None:
        self._icrs = (ra, dec)
        self._in: dict[str, tuple[Any, Any]] = {}

    def positions(self, grid: TileGrid, rows: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Longitudes and latitudes of some objects in the frame of a grid, in degrees."""
        name = grid.frame_name
        if name not in self._in:
            self._in[name] = self._transformed(grid.frame)
        longitude, latitude = self._in[name]
        return longitude[rows], latitude[rows]

    def _transformed(self, frame: Any) -> tuple[Any, Any]:
        from astropy.coordinates import SkyCoord  # noqa: PLC0415

        there = SkyCoord(*self._icrs, unit="deg").transform_to(frame).spherical
        return there.lon.deg, there.lat.deg


def unit_vectors(ra: Any, dec: Any) -> npt.NDArray[np.float64]:
    """Unit vectors of positions in degrees, shape (n, 3)."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
