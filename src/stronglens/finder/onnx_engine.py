"""The graph of an ensemble in onnxruntime, which needs no PyTorch."""

from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.finder.pixels import Pixels
from stronglens.formats.capsule import GRAPH, Capsule
from stronglens.running.errors import InputError
from stronglens.settings.domains import UNKNOWN

SAMPLES_AT_ONCE = 512

Floats = npt.NDArray[np.float64]


class OnnxEngine:
    """An ensemble as one graph, on the CPU.

    Parameters
    ----------
    capsule : Capsule
        With a graph in it.

    Raises
    ------
    InputError
        There is no graph, onnxruntime is not installed, or it cannot read the graph.
    """

    def __init__(self, capsule: Capsule) -> None:
        if GRAPH not in capsule.manifest.files:
            raise InputError(
                f"{capsule.path}: expected a capsule with a graph for onnxruntime, found none; install "
                "PyTorch, or make the capsule with capsule.onnx: true"
            )
        try:
            import onnxruntime  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise InputError(
                "backend: expected onnxruntime, found none; install `stronglens[onnx]`"
            ) from error
        self._bands = list(capsule.manifest.bands)
        self._by_domain = any(
            member.settings.preprocess.smoothing == "psf" for member in capsule.manifest.members
        )
        try:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # errors alone: what it cannot optimise is no matter
            self._session: Any = onnxruntime.InferenceSession(
                capsule.read(GRAPH), options, providers=["CPUExecutionProvider"]
            )
        except InputError:
            raise
        except Exception as error:  # onnxruntime raises errors of many kinds
            raise InputError(f"{capsule.path}: {GRAPH}: expected a graph, found: {error}") from error
        size = capsule.manifest.size_px
        wanted, taken = [len(self._bands), size, size], [one.shape[1:] for one in self._session.get_inputs()]
        if taken != [wanted]:
            raise InputError(
                f"{capsule.path}: {GRAPH}: expected one input of shape (n, {', '.join(map(str, wanted))}), "
                f"found {taken}; make the capsule again"
            )

    def outputs(self, pixels: Pixels, batch_size: int | None) -> dict[str, Floats]:
        """See `stronglens.finder.engine.Engine.outputs`."""
        channel_of = {band: number for number, band in enumerate(self._bands)}
        if not set(pixels.bands) <= set(channel_of):
            raise InputError(
                f"bands: expected some of {', '.join(self._bands)}: the graph of a capsule knows no others; "
                'use backend="torch"'
            )
        if self._by_domain and set(pixels.domains) != {UNKNOWN}:
            raise InputError(
                f"domains: expected {UNKNOWN} alone: the graph of a capsule knows no others; "
                'use backend="torch"'
            )
        side = pixels.cutouts.shape[1]
        n_objects = len(pixels.flags)
        step = max(1, (batch_size or SAMPLES_AT_ONCE) // len(self._bands))
        channels = np.array([channel_of[band] for band in pixels.bands], dtype=np.int64)
        found = []
        for start in range(0, n_objects, step):
            first, end = np.searchsorted(pixels.objects, [start, start + step])
            n_some = min(step, n_objects - start)
            images = np.full((n_some, len(self._bands), side, side), np.nan, dtype=np.float32)
            images[pixels.objects[first:end] - start, channels[first:end]] = pixels.cutouts[first:end]
            found.append(self._session.run(None, {"images": images}))
        names = [output.name for output in self._session.get_outputs()]
        # Of an output for each member, objects come first in the graph.
        return {
            name: np.concatenate(parts).T for name, parts in zip(names, zip(*found, strict=True), strict=True)
        }
