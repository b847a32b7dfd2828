"""What names say: the object and band of a file, the domain and label of a bucket."""

import re
from collections.abc import Sequence
from typing import NamedTuple

NO_BAND = "single"
"""Band of a file whose name has no band suffix, where several bands are configured."""

_FITS_ENDING = re.compile(r"\.(fits|fit|fts)(\.(gz|fz))?\Z", re.IGNORECASE)
_FILTERS = frozenset("ugrizy")


class CutoutName(NamedTuple):
    """What a file name says.

    Attributes
    ----------
    object : str
        Name of the sky object: the file's stem less its band suffix.
    band : str
        One of the configured bands, or `NO_BAND`.
    """

    object: str
    band: str


class NotACutout(Exception):  # noqa: N818 - most folders hold such files: nothing is wrong with them
    """A file that is no cutout of the data set; the text says why."""


class NameParser:
    """Reads object and band from file names.

    Parameters
    ----------
    bands : sequence of str
        The configured bands. A suffix `_{band}` is known in any case of letters, unless two bands differ in
        nothing else.
    """

    def __init__(self, bands: Sequence[str]) -> None:
        folded: dict[str, list[str]] = {}
        for band in bands:
            folded.setdefault(band.lower(), []).append(band)
        self._band_of = {key: same[0] for key, same in folded.items() if len(same) == 1}
        self._band_of |= {band: band for band in bands}
        # With one band there is no doubt which one a bare name means.
        self._bare = bands[0] if len(bands) == 1 else NO_BAND

    def parse(self, name: str) -> CutoutName:
        """Object and band of a file.

        Parameters
        ----------
        name : str
            File name without folders: `D1_L_00000000_g.fits` is object `D1_L_00000000` in band `g`;
            `OBJID_0001.fits` is object `OBJID_0001`, in the configured band if there is only one, else in
            band `NO_BAND`. Endings `.fits`, `.fit` and `.fts`, with or without `.gz` or `.fz`, in any case.

        Raises
        ------
        NotACutout
            A hidden file, a name without such an ending, `parameters.fits`, or a filter (u, g, r, i, z, y)
            that is not among the configured bands: taken for a bare name, it would become an object.
        """
        ending = _FITS_ENDING.search(name)
        if ending is None or name.startswith("."):
            raise NotACutout("no FITS file by its name")
        stem = name[: ending.start()]
        if stem.lower() == "parameters":
            raise NotACutout("table of parameters")
        prefix, _, suffix = stem.rpartition("_")
        if prefix:
            band = self._band_of.get(suffix) or self._band_of.get(suffix.lower())
            if band is not None:
                return CutoutName(prefix, band)
            if suffix.lower() in _FILTERS:
                raise NotACutout(f"band {suffix} is not configured")
        return CutoutName(stem, self._bare)


def domain_of(bucket: str) -> str:
    """Domain of a labelled bucket: `slsim` or `hsc`."""
    return bucket.partition("_")[0]


def label_of(bucket: str) -> int:
    """Label of a labelled bucket: 1 lens, 0 none."""
    return 0 if bucket.endswith("_nonlenses") else 1


def printable(name: str) -> str:
    """A name as text that can be written: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
