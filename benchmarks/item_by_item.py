"""The naive way of a data loader: each cutout for itself, again in every epoch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from made_data import FITS_COLUMN
from scipy.ndimage import gaussian_filter

Image = npt.NDArray[np.float32]


def read_item(path: str) -> Image:
    """Open a file of `made_data.write_fits` and preprocess its image."""
    with fits.open(path) as hdus:
        return preprocess_item(np.asarray(hdus[1].data[FITS_COLUMN][0], dtype=np.float32))


def preprocess_item(image: Image) -> Image:
    """Smooth with a gaussian of 1 pixel, subtract the background, clip at the quantile 0.997, normalise."""
    image = gaussian_filter(image, 1.0, mode="constant", radius=3)
    image -= np.quantile(image, 0.1)
    image = np.minimum(image, np.quantile(image, 0.997))
    return np.asarray((image - image.mean()) / (image.std() + 1e-6), dtype=np.float32)


class FitsFiles:
    """What a `torch.utils.data.DataLoader` takes: image and label of each file."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> tuple[Image, np.float32]:
        return read_item(self._paths[number])[None], np.float32(number % 2)
