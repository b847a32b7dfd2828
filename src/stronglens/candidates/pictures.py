"""Cutouts as pictures: colour composites, single bands, and the sheets that hold many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.visualization import make_lupton_rgb
from PIL import Image

from stronglens.formats.artefact import write_aside
from stronglens.inspecting.cutout_statistics import flux, frame_noise, frame_sky

DARKEST_NOISE = 2.0
"""Single bands: what lies so far below the sky, in units of its noise, is black."""

CENTRE = 0.12
"""Radius of the middle of a picture, where the lens galaxy is, as a fraction of its side."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sheet:
    """How pictures of one size lie in the files that hold them.

    Attributes
    ----------
    name : str
        Files are called `{name}_{number}.png`.
    n_across, n_down : int
        Pictures in a line and lines in a file; the last file is shorter.
    """

    name: str
    n_across: int
    n_down: int

    @property
    def n_each(self) -> int:
        """Pictures in a file."""
        return self.n_across * self.n_down


COLOUR = Sheet("colour", 20, 20)
BANDS = Sheet("bands", 4, 25)
"""Here a picture is all bands of an object side by side."""


def colour_composites(
    cutouts: npt.NDArray[np.float32],
    colour_bands: Sequence[int],
    usual: npt.NDArray[np.float64],
    stretch: float,
    softening: float,
) -> Pixels:
    """Combine three bands into colour pictures.

    Parameters
    ----------
    cutouts : ndarray of float32, shape (n_objects, n_bands, size_px, size_px)
        Axes (object, band, y, x), in counts; a missing band is NaN everywhere. Bands in order of wavelength.
    colour_bands : sequence of int
        Numbers of the bands shown as red, green and blue. A missing one is replaced by the nearest there is.
    usual : ndarray of float64, shape (n_bands,)
        Flux of a usual object in each band, in counts, positive: such an object is grey.
    stretch : float
        Linear stretch, in units of the noise of the object's own sky.
    softening : float
        Q.

    Returns
    -------
    ndarray of uint8, shape (n_objects, size_px, size_px, 3)
        Axes (object, y, x, colour), the first y at the top. An object without any band is black.

    Notes
    -----
    Lupton et al. (2004), PASP 116, 133, by astropy. The sky of each band is subtracted, and its counts are
    divided by the usual flux: the same for all objects, so that their colours can be compared, while the
    red bands, brighter for every galaxy, do not outshine blue arcs.
    """
    n_objects, _, size_px, _ = cutouts.shape
    there = ~np.isnan(cutouts[:, :, 0, 0])
    own = _noise(cutouts) / usual
    common = np.array([_middle(row[has]) for row, has in zip(own, there, strict=True)])
    scaled = _shown_light(cutouts, colour_bands, usual) / common[:, None, None, None]
    # Composing is done pixel by pixel, so all objects make one tall picture.
    red, green, blue = scaled.transpose(1, 0, 2, 3).reshape(3, n_objects * size_px, size_px)
    with np.errstate(invalid="ignore"):  # 0/0, which it replaces, where there is no light at all
        picture: Pixels = make_lupton_rgb(red, green, blue, stretch=stretch, Q=softening)
    return picture.reshape(n_objects, size_px, size_px, 3)[:, ::-1]


def _shown_light(
    cutouts: npt.NDArray[np.float32], colour_bands: Sequence[int], usual: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Light above the sky in units of the usual flux: shape (n_objects, 3, size_px, size_px), axes (object,
    colour, y, x).
    """
    n_objects, _, size_px, _ = cutouts.shape
    there = ~np.isnan(cutouts[:, :, 0, 0])
    flat = np.nan_to_num(cutouts).reshape(-1, size_px, size_px)
    above = (flat - frame_sky(flat)[:, None, None]).reshape(cutouts.shape) / usual[:, None, None]
    chosen = np.stack([_nearest(there, band) for band in colour_bands], axis=1)
    light: npt.NDArray[np.float64] = above[np.arange(n_objects)[:, None], chosen]
    return light


def light_ratios(
    cutouts: npt.NDArray[np.float32], colour_bands: Sequence[int], usual: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Red and blue light of each object relative to its green, in the middle of the picture.

    Parameters
    ----------
    cutouts, colour_bands, usual
        As of `colour_composites`.

    Returns
    -------
    ndarray of float64, shape (n_objects, 2)
        From 1/8 to 8; 1 where there is no light in one of them.
    """
    light = _shown_light(cutouts, colour_bands, usual)
    size_px = light.shape[2]
    y, x = np.mgrid[:size_px, :size_px] - (size_px - 1) / 2
    central = light[:, :, np.hypot(x, y) <= CENTRE * size_px].sum(axis=2)
    has_light = (central > 0).all(axis=1)
    central[~has_light] = 1
    ratios: npt.NDArray[np.float64] = np.clip(central[:, [0, 2]] / central[:, [1]], 1 / 8, 8)
    return ratios


def balances(
    cutouts: npt.NDArray[np.float32], colour_bands: Sequence[int], usual: npt.NDArray[np.float64]
) -> dict[str, list[float]]:
    """Factors of red, green and blue that turn the colours of `colour_composites`, which takes the same, into
    others: `noise`, where the noise of the sky is grey, and `counts`, where equal counts are. Their geometric
    mean is 1.

    Lupton's stretch keeps ratios of colours, so a factor applied after it gives the hue that it would have
    given before.
    """
    usual_noise = np.array([_middle(band) for band in _noise(cutouts).T])
    found = {"noise": (usual / usual_noise)[list(colour_bands)], "counts": usual[list(colour_bands)]}
    return {
        name: np.round(factors / np.exp(np.log(factors).mean()), 4).tolist()
        for name, factors in found.items()
    }


def _noise(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Noise of the sky, shape (n_objects, n_bands), in counts; 0 where a band is missing."""
    flat = np.nan_to_num(cutouts).reshape(-1, *cutouts.shape[2:])
    return frame_noise(flat).reshape(cutouts.shape[:2])


def usual_flux(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The flux of objects in each band, the median over those that are brighter than the sky; 1 without any.

    Shapes as of `colour_composites`: (n_objects, n_bands, size_px, size_px) to (n_bands,), in counts.
    """
    size_px = cutouts.shape[2]
    fluxes = flux(np.nan_to_num(cutouts).reshape(-1, size_px, size_px)).reshape(cutouts.shape[:2])
    return np.array([_middle(band) for band in fluxes.T])


def band_pictures(cutouts: npt.NDArray[np.float32]) -> Pixels:
    """Show each band in grey, stretched by itself: the inverse hyperbolic sine of its counts above the sky in
    units of its noise, up to its brightest pixel.

    Parameters
    ----------
    cutouts : ndarray of float32, shape (n_objects, n_bands, size_px, size_px)
        As of `colour_composites`.

    Returns
    -------
    ndarray of uint8, shape (n_objects, n_bands, size_px, size_px)
        Axes (object, band, y, x), the first y at the top; a missing band is black.
    """
    size_px = cutouts.shape[2]
    flat = np.nan_to_num(cutouts).reshape(-1, size_px, size_px)
    above = flat - frame_sky(flat)[:, None, None]
    noise = frame_noise(flat)
    # A cutout without noise is stretched by its largest value, one without light is black.
    largest = np.abs(above).max(axis=(1, 2))
    unit = np.where(noise > 0, noise, np.where(largest > 0, largest, 1))
    curved = np.arcsinh(above / unit[:, None, None])
    low = np.arcsinh(-DARKEST_NOISE)
    high = np.maximum(curved.max(axis=(1, 2), keepdims=True), low + 1)
    grey = np.clip((curved - low) / (high - low), 0, 1)
    grey[np.isnan(cutouts).reshape(grey.shape)] = 0
    picture: Pixels = np.rint(255 * grey).astype(np.uint8)
    return picture.reshape(cutouts.shape)[:, :, ::-1]


def side_by_side(bands: Pixels) -> Pixels:
    """Lay the bands of each object, shape (n_objects, n_bands, size_px, size_px), in a line: shape
    (n_objects, size_px, n_bands * size_px).
    """
    n_objects, n_bands, height, width = bands.shape
    return bands.transpose(0, 2, 1, 3).reshape(n_objects, height, n_bands * width)


def save_sheet(folder: Path, sheet: Sheet, number: int, pictures: Pixels) -> None:
    """Write a file of a sheet.

    Parameters
    ----------
    folder : Path
        Where.
    sheet : Sheet
        Its layout.
    number : int
        Which file.
    pictures : ndarray of uint8, shape (n_pictures, height, width) or (n_pictures, height, width, 3)
        At most as many as a file holds; they fill it line by line.
    """
    n_pictures, height, width, *colours = pictures.shape
    n_down = -(-n_pictures // sheet.n_across)
    laid = np.zeros((n_down * sheet.n_across, height, width, *colours), dtype=np.uint8)
    laid[:n_pictures] = pictures
    grid = laid.reshape(n_down, sheet.n_across, height, width, *colours).swapaxes(1, 2)
    picture = grid.reshape(n_down * height, sheet.n_across * width, *colours)
    with write_aside(folder / f"{sheet.name}_{number}.png") as aside:
        Image.fromarray(picture).save(aside, format="PNG")


def _nearest(there: npt.NDArray[np.bool_], band: int) -> npt.NDArray[np.int64]:
    """Number of the present band nearest to one, for each object; that one itself if none is present."""
    distance = np.abs(np.arange(there.shape[1]) - band)
    found: npt.NDArray[np.int64] = np.where(
        there.any(axis=1), np.argmin(np.where(there, distance, there.shape[1]), axis=1), band
    )
    return found


def _middle(values: npt.NDArray[np.float64]) -> float:
    """The median of what is positive: a band that is missing, or constant, has neither flux nor noise."""
    positive = values[values > 0]
    return float(np.median(positive)) if len(positive) else 1.0
