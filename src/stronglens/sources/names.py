"""What names say: the object and band of a file."""

import re
from collections.abc import Sequence
from typing import NamedTuple

NO_BAND = "single"
"""Band of a file whose name has no band suffix, where several bands are configured."""

FITS_ENDING = r"\.((fits|fit|fts)(\.(gz|fz|bz2|xz|z|zip|zst))?|fz)"
"""Pattern, for any case of letters, of the end of a FITS file's name. Some of these the reader cannot unpack:
such a file is a cutout that is rejected, not one that is never seen."""

_FITS_ENDING = re.compile(rf"{FITS_ENDING}\Z", re.IGNORECASE)
_FILTERS = frozenset("ugrizy")
_WORD = re.compile(r"[^\W_]+")
_FILTER_WORD = re.compile(r"(band)?[ugrizyjhk](band)?|ks|vis|w[1-4]|f[0-9]{3,4}(w|m|n|lp)")


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


class Companion(NotACutout):
    """A file that lies beside cutouts, so that a list of all files of a folder names it: no error there."""


class UnknownBand(NotACutout):
    """A cutout, to all appearances, but in a band that is not configured."""


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
        self._folded = frozenset(folded)
        # With one band there is no doubt which one a bare name means.
        self._bare = bands[0] if len(bands) == 1 else NO_BAND

    def parse(self, name: str) -> CutoutName:
        """Object and band of a file.

        Parameters
        ----------
        name : str
            File name without folders: `D1_L_00000000_g.fits` is object `D1_L_00000000` in band `g`;
            `OBJID_0001.fits` is object `OBJID_0001`, in the configured band if there is only one, else in
            band `NO_BAND`. Endings `.fits`, `.fit` and `.fts`, alone or followed by that of a compression
            (`.gz`, `.fz`, `.bz2`, `.xz`, `.Z`, `.zip`, `.zst`), and `.fz`; in any case.

        Raises
        ------
        UnknownBand
            A suffix is a filter (u, g, r, i, z, y) that is not among the configured bands, or the name has
            another filter in it than the only configured band: taken for a bare name, it would become an
            object.
        Companion
            A hidden file, or `parameters.fits`.
        NotACutout
            A name without such an ending.
        """
        ending = _FITS_ENDING.search(name)
        if name.startswith("."):
            raise Companion("no FITS file by its name")
        if ending is None:
            raise NotACutout("no FITS file by its name")
        stem = name[: ending.start()]
        if stem.lower() == "parameters":
            raise Companion("table of parameters")
        prefix, _, suffix = stem.rpartition("_")
        if prefix:
            band = self._band_of.get(suffix) or self._band_of.get(suffix.lower())
            if band is not None:
                return CutoutName(prefix, band)
            if suffix.lower() in _FILTERS:
                raise UnknownBand(f"band {suffix} is not configured")
        if self._bare != NO_BAND:
            named = self.bands_within(stem)
            if named and not named & self._folded:
                raise UnknownBand(f"band {min(named)} is not configured")
        return CutoutName(stem, self._bare)

    def bands_within(self, stem: str) -> set[str]:
        """Words of a name, in lower case, that are configured bands or filters of well-known surveys.

        `obj1_g_sci` has the word `g`, `image.stk.r.unconv` the word `r`: names that state a band, though not
        where it is looked for.
        """
        words = {word.lower() for word in _WORD.findall(stem)}
        return {word for word in words if word in self._folded or _FILTER_WORD.fullmatch(word)}


def printable(name: str) -> str:
    """A name as text that can be written: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
