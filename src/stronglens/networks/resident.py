"""Samples that live, preprocessed, on the device they are used on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stronglens.formats.joined import AnySet
from stronglens.networks.preprocess import CutoutContext, context_of, preprocess_all
from stronglens.networks.samples import Samples
from stronglens.settings.preprocess import PreprocessSettings


@dataclass(frozen=True)
class ResidentSamples:
    """Preprocessed samples of a split.

    Attributes
    ----------
    images : Tensor of float32, bfloat16 or float16, shape (n_cutouts, height, width)
        Each cutout once, normalised.
    rows : Tensor of int64, shape (n_samples, n_channels)
        Cutout of each channel; -1 for a band that is missing.
    labels : Tensor of float32, shape (n_samples,)
        1 lens, 0 none.
    has_gaps : bool
        Whether any row is -1.
    """

    images: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    has_gaps: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image: (n_channels, height, width)."""
        return self.rows.shape[1], *self.images.shape[1:]

    def take(self, numbers: torch.Tensor) -> torch.Tensor:
        """Images of some samples, float32, shape (len(numbers), n_channels, height, width).

        A missing band is 0.
        """
        rows = self.rows[numbers]
        if not self.has_gaps:
            return self.images[rows].float()
        return self.images[rows.clamp(min=0)].float() * (rows >= 0)[:, :, None, None]

    def in_turn(self, batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """What `take` gives for each of some batches."""
        return map(self.take, batches)


def load_resident(
    packed: AnySet,
    samples: Samples,
    settings: PreprocessSettings,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    context: CutoutContext | None = None,
) -> ResidentSamples:
    """Preprocess the cutouts of some samples once and keep them on the device.

    Parameters
    ----------
    packed : PackedSet or JoinedSet
        Where the pixels lie.
    samples : Samples
        Which of them are wanted.
    settings : PreprocessSettings
        From raw pixels to what the network sees.
    device : torch.device
        Where they are kept.
    dtype : torch.dtype
        What they are kept in: 4 bytes a pixel, or 2 for bfloat16 and float16.
    context : CutoutContext, optional
        What `context_of` gives for the set, where it is asked for more than once.
    """
    used = np.unique(samples.rows[samples.rows >= 0])
    if len(samples) > 0 and len(used) == 0:
        used = np.zeros(1, dtype=np.int64)  # something for missing bands to be read from, and blotted out
    images = preprocess_all(
        packed.cutouts, used, settings, context or context_of(packed, settings), device, out_dtype=dtype
    )
    rows = np.where(samples.rows >= 0, np.searchsorted(used, samples.rows), -1)
    labels = samples.table["label"].to_numpy(np.float32)
    return ResidentSamples(
        images,
        torch.from_numpy(rows).to(device),
        torch.from_numpy(labels).to(device),
        bool((rows < 0).any()),
    )
