"""Samples for training: on the device where there is room for them, else streamed to it."""

import logging
from typing import Literal

import numpy as np
import torch

from stronglens.formats.joined import AnySet
from stronglens.networks.device import first_line
from stronglens.networks.resident import ResidentSamples, load_resident
from stronglens.networks.samples import Samples
from stronglens.networks.streamed import StreamedSamples, stream_samples
from stronglens.running.gpu_lock import jobs_per_gpu
from stronglens.settings.preprocess import PreprocessSettings

log = logging.getLogger(__name__)

LoadedSamples = ResidentSamples | StreamedSamples
"""Both give the same images for the same numbers."""

Residence = Literal["auto", "always", "never"]

LARGEST_SHARE = 0.6
"""Of a GPU's free memory that all samples of a job may take, in even shares where jobs share the GPU and may
all find it free: the rest is for the networks."""


def load_samples(
    packed: AnySet,
    samples: Samples,
    settings: PreprocessSettings,
    device: torch.device,
    residence: Residence = "auto",
    dtype: torch.dtype = torch.float32,
) -> LoadedSamples:
    """Load samples for training or scoring.

    Parameters
    ----------
    packed : PackedSet or JoinedSet
        Where the pixels lie.
    samples : Samples
        Which of them are wanted.
    settings : PreprocessSettings
        From raw pixels to what the network sees.
    device : torch.device
        Where they are used.
    residence : {"auto", "always", "never"}
        Whether they live on the device; auto: where they fit. A CPU always has room.
    dtype : torch.dtype
        What they live in there. A half-precision type takes half the room, and changes nothing where the
        network casts its input to that type before all else, as convolutions under autocast do.
    """
    n_bytes = _n_bytes(packed, samples, settings, dtype)
    if residence == "always":
        return load_resident(packed, samples, settings, device, dtype)
    if residence == "auto" and n_bytes <= _room_on(device):
        try:
            return load_resident(packed, samples, settings, device, dtype)
        except torch.OutOfMemoryError as error:  # another job has taken it meanwhile
            log.warning("%s: %s", device, first_line(error))
        torch.cuda.empty_cache()
    log.info("%d samples, %.1f GB, are streamed to %s", len(samples), n_bytes / 1e9, device)
    return stream_samples(packed, samples, settings, device)


def _n_bytes(packed: AnySet, samples: Samples, settings: PreprocessSettings, dtype: torch.dtype) -> int:
    """Memory that the preprocessed cutouts take."""
    height, width = (max(side, settings.pad_to_px or 0) for side in packed.cutouts.shape[1:])
    return int(np.unique(samples.rows[samples.rows >= 0]).size * height * width * dtype.itemsize)


def _room_on(device: torch.device) -> float:
    """Memory that is left for samples on a device, in bytes."""
    if device.type != "cuda":
        return float("inf")
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    # What this job has there already are samples, and a network beside them counts as some.
    return LARGEST_SHARE * free / jobs_per_gpu() - torch.cuda.memory_allocated(device)
