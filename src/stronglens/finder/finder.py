"""An ensemble from a capsule, applied to pixels in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from stronglens.ensembling.combination import Combination, MemberScores
from stronglens.ensembling.lens_estimates import combine_estimates
from stronglens.finder.pixels import Pixels, from_images
from stronglens.finder.result import Flag, Result, joined
from stronglens.formats.capsule import CARD, Capsule, CapsuleMember, Manifest, read_capsule
from stronglens.running.errors import InputError
from stronglens.sources.names import NO_BAND

if TYPE_CHECKING:
    from stronglens.finder.pixels import Images

OBJECTS_AT_ONCE = 4096
"""Objects whose pixels are checked, prepared and predicted before the next: memory does not grow."""

Floats = npt.NDArray[np.float64]


class ScoringMember(Protocol):
    """A network of whatever library."""

    @property
    def stated(self) -> CapsuleMember:
        """What it is."""

    def scores(
        self, pixels: Pixels, bands: list[str], batch_size: int | None, *, each_band: bool
    ) -> tuple[MemberScores, Mapping[str, Floats]]:
        """See `stronglens.finder.members.TorchMember.scores`."""


class Finder:
    """An ensemble that is ready to be applied; `load` makes one.

    Parameters
    ----------
    capsule : Capsule
        Where it comes from.
    members : sequence of ScoringMember
        Its networks, in the order of the capsule.
    """

    def __init__(self, capsule: Capsule, members: Sequence[ScoringMember]) -> None:
        self._capsule = capsule
        self._members = members
        try:
            self._combination = Combination.model_validate(capsule.manifest.combination)
        except ValidationError as error:
            raise InputError(
                f"{capsule.path}: manifest.json: combination: {error.errors()[0]['msg']}"
            ) from error

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
        return [str(member.stated) for member in self._members]

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
            everywhere is missing. One with some pixels that are not finite, with the same value everywhere or
            with absurd values is treated as packing treats it, and flagged.
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
            The images have another shape, or bands are not those of the capsule.

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
        results = []
        for start in range(0, max(len(images), 1), OBJECTS_AT_ONCE):
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
        present = np.unique(pixels.objects)
        flags = pixels.flags | self._flags(pixels)
        each_band = self._combination.settings.combine_bands != "mean"
        # Of nothing, one object stands in: libraries of networks refuse empty batches.
        found = [
            member.scores(pixels, self.bands, batch_size, each_band=each_band)
            if len(present)
            else (MemberScores(np.empty(0), (), np.empty((0, 0))), _no_estimates(member.stated))
            for member in self._members
        ]
        scores = [of_member for of_member, _ in found]

        def at_all(values: Floats) -> Floats:
            """With NaN for objects without a cutout."""
            whole = np.full((*values.shape[:-1], n_objects), np.nan)
            whole[..., present] = values
            return whole

        of_members = np.full((len(scores), len(present)), np.nan)
        combined = None
        if len(present):
            of_members = self._combination.of_members(scores)
            combined = self._combination.apply(scores)
        nothing = np.empty(0)
        prob = at_all(combined.prob if combined else nothing)
        raw = None if combined is None else combined.prob_raw
        has_sky = self._combination.settings.sky_prevalence is not None
        sky = None if combined is None else combined.prob_sky
        lens = combine_estimates([estimates for _, estimates in found])
        return Result(
            prob=prob,
            prob_std=at_all(combined.prob_std if combined else nothing),
            pred=np.where(np.isnan(prob), -1, prob >= self.threshold).astype(np.int8),
            prob_raw=prob if raw is None else at_all(raw),
            prob_sky=at_all(nothing if sky is None else sky) if has_sky else None,
            members=at_all(of_members),
            lens_parameters={name: at_all(values) for name, values in lens.items()},
            n_cutouts=self._n_seen(pixels),
            flags=flags,
        )

    def _n_seen(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        """Cutouts of each object that any member looks at."""
        looked_at = [member.stated.settings.bands for member in self._members]
        if "each" in looked_at:
            seen = np.ones(len(pixels.bands), dtype=bool)
        else:
            seen = np.isin(pixels.bands.astype(str), sorted({band for bands in looked_at for band in bands}))
        return np.bincount(pixels.objects[seen], minlength=len(pixels.flags)).astype(np.int64)

    def _flags(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        n_objects = len(pixels.flags)
        n_bands = np.bincount(pixels.objects, minlength=n_objects)
        # An image of no stated band is all that such an object has.
        alone = np.bincount(pixels.objects[pixels.bands == NO_BAND], minlength=n_objects) > 0
        flags = np.where(n_bands == 0, int(Flag.NO_CUTOUT), 0)
        flags |= np.where((n_bands < len(self.bands)) & ~alone, int(Flag.MISSING_BAND), 0)
        for member in self._members:
            bands = member.stated.settings.bands
            if bands != "each":
                seen = np.isin(pixels.bands.astype(str), list(bands))
                blind = np.bincount(pixels.objects[seen], minlength=n_objects) == 0
                flags |= np.where(blind & (n_bands > 0), int(Flag.UNSEEN), 0)
        return flags.astype(np.int64)


def load(path: str | Path, *, device: str = "auto") -> Finder:
    """Open a capsule and make its ensemble ready.

    Every byte is checked, and nothing in the capsule is run.

    Parameters
    ----------
    path : str or Path
        The capsule.
    device : str
        "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", ….

    Raises
    ------
    InputError
        The file is missing, is no capsule, was changed since it was made, or is of a newer format; or
        there is no such device.

    Examples
    --------
    >>> finder = stronglens.load("nano.capsule", device="cpu")
    >>> finder.bands, finder.size_px
    (['g', 'r', 'i', 'z', 'y'], 33)
    """
    capsule = read_capsule(Path(path))
    from stronglens.finder.members import load_members  # noqa: PLC0415 - `import stronglens` need not wait for PyTorch

    return Finder(capsule, load_members(capsule, device))


def _no_estimates(member: CapsuleMember) -> dict[str, Floats]:
    names = member.lens_scaling.names if member.lens_scaling else ()
    return {name: np.empty(0) for name in names}
