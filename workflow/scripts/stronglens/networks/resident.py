"""Samples that live, preprocessed, on the device they are used on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stronglens.networks.preprocess import preprocess_all
from stronglens.networks.samples import Samples
from stronglens.packing.packed import PackedSet
from stronglens.settings.preprocess import PreprocessSettings


@dataclass(frozen=True)
class ResidentSamples:
    """Preprocessed samples of a split.

    Attributes
    ----------
    images : Tensor of float32, shape (n_cutouts, height, width)
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
        """Images of some samples, shape (len(numbers), n_channels, height, width); 0 for a missing band."""
        rows = self.rows[numbers]
        if not self.has_gaps:
            return self.images[rows]
        return self.images[rows.clamp(min=0)] * (rows >= 0)[:, :, None, None]

    def in_turn(self, batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """What `take` gives for each of some batches."""
        return map(self.take, batches)


def load_resident(
    packed: PackedSet, samples: Samples, settings: PreprocessSettings, device: torch.device
) -> ResidentSamples:
    """Preprocess the cutouts of some samples once and keep them on the device.

    Parameters
    ----------
    packed : PackedSet
        Where the pixels lie.
    samples : Samples
        Which of them are wanted.
    settings : PreprocessSettings
        From raw pixels to what the network sees.
    device : torch.device
        Where they are kept: 4 bytes a pixel.
    """
    used = np.unique(samples.rows[samples.rows >= 0])
    domains = packed.index["domain"].to_numpy()
    images = preprocess_all(packed.cutouts, used, settings, domains, device)
    rows = np.where(samples.rows >= 0, np.searchsorted(used, samples.rows), -1)
    labels = samples.table["label"].to_numpy(np.float32)
    return ResidentSamples(
        images,
        torch.from_numpy(rows).to(device),
        torch.from_numpy(labels).to(device),
        bool((rows < 0).any()),
    )
