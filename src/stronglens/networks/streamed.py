"""Samples that are read from the memory map and preprocessed each time they are wanted."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from stronglens.formats.joined import AnySet, JoinedCutouts
from stronglens.networks.device import sent
from stronglens.networks.preprocess import CutoutContext, context_of
from stronglens.networks.samples import Samples
from stronglens.settings.preprocess import PreprocessSettings

AHEAD = 2
"""Batches that are read while another is computed on."""


@dataclass(frozen=True)
class StreamedSamples:
    """Samples for which a device has no room: the same as `stronglens.networks.resident.ResidentSamples`.

    In the order of a shuffled epoch the map is read all over the place. That is as fast as memory where the
    system keeps the file there, and slow on a disk that turns.

    Attributes
    ----------
    cutouts : ndarray of float32, or JoinedCutouts, shape (n_packed, height, width)
        All packed cutouts, in counts; a memory map, or several.
    context : CutoutContext
        What preprocessing needs of them.
    settings : PreprocessSettings
        From raw pixels to what the network sees.
    rows : Tensor of int64, shape (n_samples, n_channels)
        Cutout of each channel; -1 for a band that is missing. Lies on the device.
    labels : Tensor of float32, shape (n_samples,)
        1 lens, 0 none. Lies on the device.
    """

    cutouts: npt.NDArray[np.float32] | JoinedCutouts
    context: CutoutContext
    settings: PreprocessSettings
    rows: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image: (n_channels, height, width)."""
        height, width = (max(side, self.settings.pad_to_px or 0) for side in self.cutouts.shape[1:])
        return self.rows.shape[1], height, width

    def take(self, numbers: torch.Tensor) -> torch.Tensor:
        """Images of some samples, shape (len(numbers), n_channels, height, width); 0 for a missing band."""
        return next(self.in_turn([numbers]))

    def in_turn(self, batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """What `take` gives for each of some batches; the next ones are read meanwhile."""
        if not batches:
            return
        # All at once: asking a GPU in every step would make it wait.
        rows = self.rows[torch.cat(list(batches))].cpu()
        copying = torch.cuda.Stream(self.rows.device) if self.rows.is_cuda else None  # type: ignore[no-untyped-call]
        reading: deque[tuple[torch.Tensor, Future[_Read]]] = deque()
        with ThreadPoolExecutor(1) as reader:
            for of_batch in torch.split(rows, [len(numbers) for numbers in batches]):
                reading.append((of_batch, reader.submit(self._read, of_batch, copying)))
                if len(reading) > AHEAD:
                    yield self._finish(*reading.popleft())
            while reading:
                yield self._finish(*reading.popleft())

    def _read(self, rows: torch.Tensor, copying: torch.cuda.Stream | None) -> "_Read":
        wanted = rows.flatten().clamp(min=0).numpy()
        needed = self.context.needed_for(wanted, self.settings)
        shape = (len(needed), *self.cutouts.shape[1:])
        # PyTorch keeps pinned memory until the copy from it is done, and uses it again.
        raw = torch.empty(shape, pin_memory=copying is not None)
        # Rows are in range; to raise where they are not would need a buffer.
        self.cutouts.take(needed, axis=0, out=raw.numpy(), mode="clip")
        if copying is None:
            return _Read(raw, needed, wanted, None)
        with torch.cuda.stream(copying):
            on_device = raw.to(self.rows.device, non_blocking=True)
            return _Read(on_device, needed, wanted, copying.record_event())

    def _finish(self, rows: torch.Tensor, reading: Future["_Read"]) -> torch.Tensor:
        read = reading.result()
        if read.copied is not None:
            computing = torch.cuda.current_stream(self.rows.device)
            computing.wait_event(read.copied)  # of this batch: the next ones are still on their way
            read.raw.record_stream(computing)
        flat = rows.flatten()
        images = self.context.preprocess(read.raw, read.needed, read.wanted, self.settings)
        images = images.view(*rows.shape, *images.shape[1:])
        if bool((flat < 0).any()):
            images = images * sent(rows >= 0, images.device)[:, :, None, None]
        return images


@dataclass(frozen=True)
class _Read:
    """Raw cutouts, shape (n_needed, height, width), on the device or on their way there, and their rows.

    `copied` is what tells that they have arrived; None where nothing is copied.
    """

    raw: torch.Tensor
    needed: npt.NDArray[np.int64]
    wanted: npt.NDArray[np.int64]
    copied: torch.cuda.Event | None


def stream_samples(
    packed: AnySet,
    samples: Samples,
    settings: PreprocessSettings,
    device: torch.device,
    context: CutoutContext | None = None,
) -> StreamedSamples:
    """Samples that stay in the memory map.

    Parameters
    ----------
    packed : PackedSet or JoinedSet
        Where the pixels lie.
    samples : Samples
        Which of them are wanted.
    settings : PreprocessSettings
        From raw pixels to what the network sees.
    device : torch.device
        Where batches are preprocessed and used.
    context : CutoutContext, optional
        What `context_of` gives for the set, where it is asked for more than once.
    """
    return StreamedSamples(
        packed.cutouts,
        context or context_of(packed, settings),
        settings,
        torch.from_numpy(samples.rows).to(device),
        torch.from_numpy(samples.table["label"].to_numpy(np.float32)).to(device),
    )
