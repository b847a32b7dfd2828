"""An ensemble from a capsule, applied to pixels in memory."""

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from stronglens.ensembling.lens_estimates import n_estimating
from stronglens.finder.engine import Engine
from stronglens.finder.pixels import Pixels, from_images
from stronglens.finder.result import Result, flags_of_bands, joined
from stronglens.formats.capsule import CARD, Capsule, Manifest, read_capsule
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import columns_of

if TYPE_CHECKING:
    from stronglens.finder.pixels import Images

OBJECTS_AT_ONCE = 4096
"""Objects whose pixels are checked, prepared and predicted before the next: memory does not grow."""


class Finder:
    """An ensemble that is ready to be applied; `load` makes one.

    Parameters
    ----------
    capsule : Capsule
        Where it comes from.
    engine : Engine
        Its ensemble.
    """

    def __init__(self, capsule: Capsule, engine: Engine) -> None:
        self._capsule = capsule
        self._engine = engine

    @property
    def manifest(self) -> Manifest:
        """All that the capsule says of itself: settings, scores with intervals, data, code, licence."""
        return self._capsule.manifest

    @property
    def bands(self) -> list[str]:
        """Bands in the capsule's order."""
        return list(self.manifest.bands)

    @property
    def size_px(self) -> int:
        """Side of a cutout, in pixels."""
        return self.manifest.size_px

    @property
    def threshold(self) -> float:
        """t*, from which on an object is a candidate."""
        return self.manifest.threshold

    @property
    def members(self) -> list[str]:
        """Names of the networks, in the order of `Result.members`."""
        return [str(member) for member in self.manifest.members]

    def describe(self) -> str:
        """The model card, as Markdown: intended use, data, scores with intervals, limits, licence.

        Examples
        --------
        >>> print(stronglens.load("nano.capsule").describe().splitlines()[0])
        # nano
        """
        return self._capsule.read(CARD).decode()

    def predict(
        self,
        images: "Images",
        bands: str | Sequence[str] | None = None,
        *,
        domains: str | Sequence[str] = "unknown",
        batch_size: int | None = None,
    ) -> Result:
        """Give the probability of being a lens for each object, as the workflow would.

        Parameters
        ----------
        images : ndarray or Tensor of numbers, shape (n, n_bands, size_px, size_px)
            Axes (object, band, y, x), on any device, in the counts of the training data. A band that is NaN
            or masked everywhere is missing. One with some pixels that are masked or not finite, with the same
            value everywhere or with absurd values is treated as packing treats it, and flagged.
        bands : str or sequence of str, optional
            The band of each channel, in any order; bands that are not named are missing. `single` alone is an
            image of no stated band. Without it, the capsule's bands.
        domains : str or sequence of str
            Domain of all objects, or of each: matters only where smoothing is `psf`.
        batch_size : int, optional
            Samples that go through a network at once; 512 if not given.

        Returns
        -------
        Result
            In the order of the objects.

        Raises
        ------
        InputError
            The images have another shape, or bands are not those of the capsule; or there is not one domain
            for each, or no sample in a batch.

        Examples
        --------
        >>> finder = stronglens.load("nano.capsule")
        >>> images.shape
        (4, 5, 33, 33)
        >>> result = finder.predict(images, bands="grizy")
        >>> len(result), bool(((result.prob >= 0) & (result.prob <= 1)).all())
        (4, True)
        >>> list(result.table())[:4]
        ['prob', 'prob_std', 'pred', 'prob_raw']

        Without the bands z and y, which are then missing:

        >>> some = finder.predict(images[:, :3], bands="gri")
        >>> bool((some.flags & stronglens.Flag.MISSING_BAND > 0).all())
        True
        """
        try:
            n_objects = len(images)
            images[:0]
        except (TypeError, KeyError, RuntimeError) as error:  # of None, of a number, of a dict
            raise InputError(
                "images: expected an array or a tensor of shape (n, n_bands, y, x), found "
                f"{reprlib.repr(images)}"
            ) from error
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size: expected 1 or more, found {batch_size}")
        if not isinstance(domains, str) and len(domains) != n_objects:
            raise InputError(f"domains: expected one for each of {n_objects} objects, found {len(domains)}")
        results = []
        for start in range(0, max(n_objects, 1), OBJECTS_AT_ONCE):
            chosen = slice(start, start + OBJECTS_AT_ONCE)
            of_some = domains if isinstance(domains, str) else domains[chosen]
            pixels = from_images(
                images[chosen], bands, self.bands, self.size_px, self.manifest.non_finite, of_some
            )
            results.append(self.predict_pixels(pixels, batch_size=batch_size))
        return joined(results)

    def predict_stream(
        self,
        batches: "Iterable[Images]",
        bands: str | Sequence[str] | None = None,
        *,
        domains: str = "unknown",
        batch_size: int | None = None,
    ) -> Iterator[Result]:
        """Give a result for each of some batches of images, one after the other.

        Takes what `predict` takes, and an iterable of images for images: more than fits into memory.

        Examples
        --------
        >>> finder = stronglens.load("nano.capsule")
        >>> [len(result) for result in finder.predict_stream([images[:3], images[3:]], bands="grizy")]
        [3, 1]
        """
        for images in batches:
            yield self.predict(images, bands, domains=domains, batch_size=batch_size)

    def predict_pixels(self, pixels: Pixels, *, batch_size: int | None = None) -> Result:
        """Give the probability of each object from cutouts that are checked, as those of a packed set."""
        n_objects = len(pixels.flags)
        if len(pixels.cutouts):
            found = dict(self._engine.outputs(pixels, batch_size))
        else:
            found = {name: np.full(n_objects, np.nan) for name in self._names()}
            found["members"] = np.full((len(self.manifest.members), n_objects), np.nan)
        prob, sky = found.pop("prob"), found.pop("prob_sky", None)
        return Result(
            prob=prob,
            prob_std=found.pop("prob_std"),
            pred=np.where(np.isnan(prob), -1, prob >= self.threshold).astype(np.int8),
            prob_raw=found.pop("prob_raw"),
            prob_sky=sky,
            members=found.pop("members"),
            lens_parameters=found,
            n_cutouts=self._n_seen(pixels),
            flags=pixels.flags
            | flags_of_bands(
                pixels.objects,
                pixels.bands,
                n_objects,
                self.bands,
                [member.settings.bands for member in self.manifest.members],
            ),
        )

    def _names(self) -> list[str]:
        """What is said of each object."""
        estimated = n_estimating([member.estimated for member in self.manifest.members])
        sky = (self.manifest.combination.get("settings") or {}).get("sky_prevalence")
        return ["prob", "prob_std", "prob_raw", *(["prob_sky"] if sky else []), *columns_of(estimated)]

    def _n_seen(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        """Cutouts of each object that any member looks at."""
        looked_at = [member.settings.bands for member in self.manifest.members]
        if "each" in looked_at:
            seen = np.ones(len(pixels.bands), dtype=bool)
        else:
            seen = np.isin(pixels.bands.astype(str), sorted({band for bands in looked_at for band in bands}))
        return np.bincount(pixels.objects[seen], minlength=len(pixels.flags)).astype(np.int64)


def load(
    path: str | Path, *, device: str = "auto", backend: Literal["auto", "torch", "onnx"] = "auto"
) -> Finder:
    """Open a capsule and make its ensemble ready.

    Every byte is checked, and nothing in the capsule is run.

    Parameters
    ----------
    path : str or Path
        The capsule.
    device : str
        "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", …; for PyTorch.
    backend : {"auto", "torch", "onnx"}
        What computes: PyTorch, or onnxruntime on the CPU, for capsules that hold a graph; auto: PyTorch if it
        is installed.

    Raises
    ------
    InputError
        The file is missing, is no capsule, was changed since it was made, or is of a newer format; or
        there is no such device or backend, or no graph in the capsule.

    Examples
    --------
    >>> finder = stronglens.load("nano.capsule", device="cpu")
    >>> finder.bands, finder.size_px
    (['g', 'r', 'i', 'z', 'y'], 33)
    """
    if backend not in ("auto", "torch", "onnx"):
        raise InputError(f"backend: expected auto, torch or onnx, found {backend!r}")
    capsule = read_capsule(Path(path))
    # Neither library is needed to import stronglens, nor the other one.
    if backend == "onnx" or (backend == "auto" and not _has_torch()):
        from stronglens.finder.onnx_engine import OnnxEngine  # noqa: PLC0415

        return Finder(capsule, OnnxEngine(capsule))
    from stronglens.finder.members import TorchEngine, load_members  # noqa: PLC0415

    members = load_members(str(capsule.path), capsule.manifest, capsule.read, device)
    return Finder(capsule, TorchEngine(str(capsule.path), capsule.manifest, members))


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True
