"""What computes the probabilities of a finder: an ensemble in PyTorch, or its graph in onnxruntime."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stronglens.finder.pixels import Pixels

Floats = npt.NDArray[np.float64]


class Engine(Protocol):
    """An ensemble that is ready to compute."""

    def outputs(self, pixels: Pixels, batch_size: int | None) -> Mapping[str, Floats]:
        """Give what an ensemble says of objects.

        Parameters
        ----------
        pixels : Pixels
            Their cutouts; at least one object.
        batch_size : int or None
            Samples at once.

        Returns
        -------
        mapping of str to ndarray of float64, shape (n_objects,)
            prob, prob_std, prob_raw, prob_sky where there is one, lens parameters by name, and members, shape
            (n_members, n_objects); NaN for objects without a cutout.
        """
