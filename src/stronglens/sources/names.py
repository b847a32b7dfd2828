"""What names say: the object and band of a file."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from stronglens.settings.reading import ReadSettings

NO_BAND = "single"
"""Band of a file whose name has no band suffix, where several bands are configured."""

FITS_ENDING = r"\.((fits|fit|fts)(\.(gz|fz|bz2|xz|z|zip|zst))?|fz)"
"""Pattern, for any case of letters, of the end of a FITS file's name. Some of these the reader cannot unpack:
such a file is a cutout that is rejected, not one that is never seen."""

FITS_NAME = re.compile(rf"{FITS_ENDING}\Z", re.IGNORECASE)
FILTERS = frozenset("ugrizy")
"""Bands that are known in names even where they are not configured."""

_WORD = re.compile(r"[^\W_]+")
_FILTER_WORD = re.compile(r"(band)?[ugrizyjhk](band)?|ks|vis|w[1-4]|f[0-9]{3,4}(w|m|n|lp)")
_SET_OF_LETTERS = re.compile(r"\[\^?[^\]]*\]")  # in which a slash stands for no folder
_AS_THE_CHALLENGE = ReadSettings()


class CutoutName(NamedTuple):
    """What a file name says.

    Attributes
    ----------
    object : str
        Name of the sky object: the file's stem less its band suffix.
    band : str
        One of the configured bands, or `NO_BAND`; "" where names do not say it.
    survey : str
        Which survey's image it is, where names say it, else "".
    is_bare : bool
        Whether the name states no band.
    """

    object: str
    band: str
    survey: str = ""
    is_bare: bool = False


class NotACutout(Exception):  # noqa: N818 - most folders hold such files: nothing is wrong with them
    """A file that is no cutout of the data set; the text says why."""


class Companion(NotACutout):
    """A file that lies beside cutouts, so that a list of all files of a folder names it: no error there."""


class UnknownBand(NotACutout):
    """A cutout, to all appearances, but in a band that is not configured."""


class NotUnderstood(NotACutout):
    """A FITS file whose name is not as `name_pattern` says: an error, or it would be lost."""


class NameParser:
    """Reads object and band from file names.

    Parameters
    ----------
    bands : sequence of str
        The configured bands. A suffix `_{band}` is known in any case of letters, unless two bands differ in
        nothing else.
    settings : ReadSettings
        `name_pattern` and `ignore_pattern`, and whether something else than names says the band.
    """

    def __init__(self, bands: Sequence[str], settings: ReadSettings = _AS_THE_CHALLENGE) -> None:
        folded: dict[str, list[str]] = {}
        for band in bands:
            folded.setdefault(band.lower(), []).append(band)
        self._band_of = {key: same[0] for key, same in folded.items() if len(same) == 1}
        self._band_of |= {band: band for band in bands}
        self._folded = frozenset(folded)
        # With one band there is no doubt which one a bare name means.
        self._bare = bands[0] if len(bands) == 1 else NO_BAND
        self.bands = bands
        self.band_is_elsewhere = settings.band_is_elsewhere
        self._pattern = settings.pattern if settings.name_pattern is not None else None
        self._ignored = re.compile(settings.ignore_pattern) if settings.ignore_pattern else None

    def parse(self, name: str) -> CutoutName:
        """Object and band of a file.

        Parameters
        ----------
        name : str
            Path of a file, of which the name alone counts but for a `name_pattern` with folders:
            `D1_L_00000000_g.fits` is object `D1_L_00000000` in band `g`;
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
        path, name = name, name.rpartition("/")[2]
        ending = FITS_NAME.search(name)
        if name.startswith("."):
            raise Companion("no FITS file by its name")
        if ending is None:
            raise NotACutout("no FITS file by its name")
        stem = name[: ending.start()]
        if stem.lower() == "parameters":
            raise Companion("table of parameters")
        if self._ignored is not None and _match(self._ignored, path, len(name) - ending.start()):
            raise Companion("ignored, as ignore_pattern says")
        if self._pattern is not None:
            return self._by_pattern(self._pattern, path, len(name) - ending.start())
        if self.band_is_elsewhere:
            return CutoutName(stem, "")
        prefix, _, suffix = stem.rpartition("_")
        if prefix:
            band = self._band_of.get(suffix) or self._band_of.get(suffix.lower())
            if band is not None:
                return CutoutName(prefix, band)
            if suffix.lower() in FILTERS:
                raise UnknownBand(f"band {suffix} is not configured")
        if self._bare != NO_BAND:
            named = self.bands_within(stem)
            if named and not named & self._folded:
                raise UnknownBand(f"band {min(named)} is not configured")
        return CutoutName(stem, self._bare, is_bare=True)

    def _by_pattern(self, pattern: re.Pattern[str], path: str, n_ending: int) -> CutoutName:
        match = _match(pattern, path, n_ending)
        if match is None:
            raise NotUnderstood("its name is not as name_pattern says")
        groups = match.groupdict("")
        if not groups["object"]:
            raise NotUnderstood("no object, as name_pattern reads its name")
        if self.band_is_elsewhere or "band" not in groups:
            band = "" if self.band_is_elsewhere else self._bare
        else:
            band = self.band_named(groups["band"])
        return CutoutName(groups["object"], band, groups.get("survey", ""))

    def band_named(self, text: str) -> str:
        """The configured band that a text means: all of it, or one of its words, in any case of letters.

        Raises
        ------
        UnknownBand
            It means none, or several.
        """
        whole = self._band_of.get(text) or self._band_of.get(text.lower())
        if whole is not None:
            return whole
        words = _WORD.findall(text)
        named = {self._band_of.get(word) or self._band_of.get(word.lower()) for word in words} - {None}
        if len(named) != 1:
            raise UnknownBand(f"band {text} is not configured" if text else "no band")
        return str(named.pop())

    def bands_within(self, stem: str) -> set[str]:
        """Words of a name, in lower case, that are configured bands or filters of well-known surveys.

        `obj1_g_sci` has the word `g`, `image.stk.r.unconv` the word `r`: names that state a band, though not
        where it is looked for.
        """
        words = {word.lower() for word in _WORD.findall(stem)}
        return {word for word in words if word in self._folded or _FILTER_WORD.fullmatch(word)}


def _match(pattern: re.Pattern[str], path: str, n_ending: int) -> re.Match[str] | None:
    """Match the last parts of a path, as many as the pattern has, with its ending or without."""
    depth = _SET_OF_LETTERS.sub("", pattern.pattern).count("/")
    last = "/".join(path.split("/")[-1 - depth :])
    return pattern.fullmatch(last[: len(last) - n_ending]) or pattern.fullmatch(last)


def printable(name: str) -> str:
    """A name as text that can be written: bytes that are no UTF-8 are written as escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")
