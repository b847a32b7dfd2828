"""Which bands the names of a set state: too many, too few, none, or in a way that is not understood."""

import re
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings
from stronglens.settings.reading import PRESETS, ReadSettings
from stronglens.sources.names import FILTERS, FITS_NAME, NO_BAND, CutoutName, NameParser, NotACutout
from stronglens.sources.protocol import Entry

MOST_EXAMPLES = 10
_NAMES_SHOWN = 3
_SHARE_ALIKE = 0.1
_MOST_ALIKE = 1000
_FOLDER_PER_BAND = "(?P<band>[^/]+)/(?P<object>[^/]+)"


def bands_of(settings: PackSettings) -> list[str]:
    """The bands a file can have, in the order in which they are packed."""
    return [*settings.bands, NO_BAND]


class Counted:
    """How many there are of something, and the first of them."""

    def __init__(self) -> None:
        self.n = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        self.n += 1
        if len(self.first) < MOST_EXAMPLES:
            self.first.append(text)

    def shown(self) -> str:
        return ", ".join(repr(name) for name in self.first[:_NAMES_SHOWN])


class BandsFound:
    """The bands that the names in all places of a set state."""

    def __init__(self, settings: PackSettings) -> None:
        self._settings = settings
        self._parser = NameParser(settings.bands)
        self._n_of_band = dict.fromkeys(bands_of(settings), 0)
        self._unknown, self._bare, self._bare_with_band = Counted(), Counted(), Counted()
        self._glued = _GluedBands(settings.bands)
        self._paths_of_bare: list[str] = []
        self._paths_of_unknown: list[str] = []
        self._understood = ""
        self._folders: set[str] = set()  # bands that folders of bare names are called

    def count(self, name: CutoutName, entry: Entry, *, is_meant: bool) -> None:
        """Count a cutout.

        Parameters
        ----------
        name : CutoutName
            What was understood.
        entry : Entry
            Of what.
        is_meant : bool
            Whether the config says how names are to be read: then one without a band has none.
        """
        self._n_of_band[name.band] += 1
        if name.is_bare and not is_meant:
            self._glued.add(_stem(entry.name) or name.object, entry.name)
        if name.band == NO_BAND:
            self._bare.add(name.object)
            _remember(self._paths_of_bare, entry.name)
            if not is_meant and (band := self._band_of_folder(entry.name)):
                self._folders.add(band)
            if not is_meant and self._parser.bands_within(_stem(entry.name) or name.object):
                self._bare_with_band.add(name.object)

    def _band_of_folder(self, name: str) -> str:
        try:
            return self._parser.band_named(name.rpartition("/")[0].rpartition("/")[2])
        except NotACutout:
            return ""

    def count_unknown(self, name: str, why: NotACutout) -> None:
        """Count a file that is a cutout, to all appearances, of a band that is not configured."""
        self._unknown.add(name.rpartition("/")[2])
        _remember(self._paths_of_unknown, name)
        self._understood = self._understood or str(why)

    def refuse_unknown(self) -> None:
        """Refuse files of other bands than the configured ones.

        Raises
        ------
        InputError
            There are some.
        """
        if self._unknown.n:
            raise InputError(
                f"{self._wanted('files of the configured bands alone')}, found {self._unknown.n} of others, "
                f"such as {self._unknown.shown()} ({self._understood}); {self._hint(self._paths_of_unknown)}"
            )

    def refuse_missing(self) -> None:
        """Refuse a set of several bands in which some files have none, or no file has some of them.

        Raises
        ------
        InputError
            It is so; or the names have no band, but letters that seem to mean one.
        """
        n_bare, n = self._bare.n, sum(self._n_of_band.values())
        if n_bare == n and len(self._folders) > 1:
            raise InputError(
                f"{self._wanted('names that end in a configured band')}, found none, but folders named after "
                f"bands ({', '.join(sorted(self._folders))}), with {self._bare.shown()} in them; write "
                f"name_pattern: '{_FOLDER_PER_BAND}'; if each file is an object of its own, name_pattern: "
                "'(?P<object>.+)'"
            )
        if n_bare and (n_bare < n or self._bare_with_band.n):
            examples = self._bare_with_band if n_bare == n else self._bare
            raise InputError(
                f"{self._wanted('names that end in a configured band')}, such as "
                f"NAME_{self._settings.bands[0]}.fits, found {n_bare} of {n} that do not, such as "
                f"{examples.shown()} (the whole name was taken for the object); "
                f"{self._hint(self._paths_of_bare)}"
            )
        if self._glued.are_there():
            shown = ", ".join(repr(_stem(name)) for name in self._glued.examples)
            raise InputError(
                f"{self._wanted('names that end in a configured band')}, such as "
                f"NAME_{self._settings.bands[0]}.fits, found {self._glued.n} that do not, such as "
                f"{shown}, in which a letter seems to be the band; "
                f"{self._hint(self._glued.examples, self._glued.patterns())}; if each is an object of its "
                "own, name_pattern: '(?P<object>.+)'"
            )
        missing = [band for band in self._settings.bands if not self._n_of_band[band]]
        if missing and not n_bare:
            raise InputError(
                f"{self._wanted('files of each configured band')}, found none of {', '.join(missing)} among "
                f"{n}; add files (NAME_{missing[0]}.fits), or take the band out of data.bands"
            )

    def _hint(self, names: list[str], patterns: Sequence[str] = ()) -> str:
        """The line to write, for names that are not understood."""
        return line_for(names, self._settings.bands, patterns) or (
            "write how names state both (name_pattern); or, if headers say the band, band_keyword: FILTER; "
            "if these files are not wanted, ignore_pattern; if their band is, add it to data.bands; if all "
            "are in one band, configure that band alone (data.bands)"
        )

    def _wanted(self, what: str) -> str:
        return f"{self._settings.dataset}: expected {what} ({', '.join(self._settings.bands)})"


def line_for(names: Sequence[str], bands: Sequence[str], patterns: Sequence[str] = ()) -> str:
    """The line to write so that names state object and band, and each another pair; "" if none is found.

    Parameters
    ----------
    names : sequence of str
        Some names, with their folders.
    bands : sequence of str
        The configured bands.
    patterns : sequence of str
        Patterns to try before the usual ones.
    """
    # Patterns with folders last: they read the band in almost any name.
    presets = sorted(PRESETS, key=lambda name: "folder" in name)
    found = _patterns_of(names[:1], bands)
    either = "|".join(map(re.escape, bands))
    in_folder = rf"(?P<object>[^/]+)/(?:[^/]*[-_.])?(?P<band>(?i:{either}))(?:[-_.][^/]*)?"
    for pattern in [*patterns, *presets[:-2], *found, *presets[-2:], in_folder, _FOLDER_PER_BAND]:
        parser = NameParser(bands, ReadSettings(name_pattern=pattern))
        try:
            read = [parser.parse(name) for name in names]
        except NotACutout:
            continue
        if read and len({*read}) == len(read) and pattern != "challenge":
            line = pattern if pattern in PRESETS else f"'{pattern}'"
            return f"write name_pattern: {line}, which reads {read[0].object} in band {read[0].band}"
    return ""


class _GluedBands:
    """Names in which a letter may be the band, though it is no word: `obj1g`, `D1234i`, `cutoutr_12`.

    One such name means nothing. But names that are the same but for that letter (`obj1g`, `obj1r`) are the
    bands of one object, and names that all have a band after their last digit state it.
    """

    def __init__(self, bands: Sequence[str]) -> None:
        one = bands[0].lower() if len(bands) == 1 else None
        # One band alone is that of all names, unless these state another.
        self._bands = [band.lower() for band in bands] if one is None else sorted({one, *FILTERS})
        self._may_follow = set(self._bands) if one is None else FILTERS - {one} if one in FILTERS else set()
        either = "|".join(sorted(map(re.escape, self._bands), key=len, reverse=True))
        self._either = either
        self._places = re.compile(f"(?=({either}))", re.IGNORECASE)
        self._after_digit = re.compile(rf"[0-9]({either})(?![A-Za-z0-9])", re.IGNORECASE)
        self._rest, self._band = array("q"), array("b")
        self.n = self._n_after_digit = 0
        self.examples: list[str] = []
        self._alike: set[int] = set()

    def add(self, stem: str, name: str) -> None:
        self.n += 1
        _remember(self.examples, name or stem)
        follows = self._after_digit.search(stem)
        self._n_after_digit += follows is not None and follows[1].lower() in self._may_follow
        for match in self._places.finditer(stem):
            self._rest.append(hash((stem[: match.start()], stem[match.end(1) :])))
            self._band.append(self._bands.index(match[1].lower()))

    def are_there(self) -> bool:
        """Whether names state bands in this way. Of names at random a few may be alike, by chance."""
        if not self.n or not len(self._rest):
            return False
        if self._n_after_digit == self.n:
            return True
        rest, band = np.frombuffer(self._rest, np.int64), np.frombuffer(self._band, np.int8)
        order = np.lexsort((band, rest))
        rest, band = rest[order], band[order]
        same = rest[1:] == rest[:-1]
        differs = same & (band[1:] != band[:-1])
        self._alike = set(rest[1:][differs][:_MOST_ALIKE].tolist())
        return int(differs.sum()) + 1 > _SHARE_ALIKE * self.n and bool(differs.any())

    def patterns(self) -> list[str]:
        """Patterns that may read these names."""
        one = f"(?P<band>(?i:{self._either}))"
        found = [rf"(?P<object>.*[0-9]){one}"]
        stem = _stem(self.examples[0])
        for match in self._places.finditer(stem):
            before, after = stem[: match.start()], stem[match.end(1) :]
            if after and hash((before, after)) in self._alike:
                found.append(f"{re.escape(before)}{one}(?P<object>{re.escape(after[0])}.+)")
                found.append(f"(?P<object>.+){one}{re.escape(after)}")
        return [*found, f"(?P<object>.+){one}"]


def _stem(name: str) -> str:
    last = name.rpartition("/")[2]
    ending = FITS_NAME.search(last)
    return last[: ending.start()] if ending else last


def _patterns_of(names: Sequence[str], bands: Sequence[str]) -> Iterator[str]:
    """Patterns that read a name as an object, and as band one of the words around it."""
    for name in names:
        stem = _stem(name)
        for band in bands:
            for match in re.finditer(
                rf"(?<![A-Za-z0-9]){re.escape(band)}(?![A-Za-z0-9])", stem, re.IGNORECASE
            ):
                before, after = stem[: match.start()], re.escape(stem[match.end() :])
                if before:
                    yield rf"(?P<object>.+){re.escape(before[-1])}(?P<band>[A-Za-z0-9]+){after}"
                elif len(stem) > match.end():
                    yield rf"(?P<band>[A-Za-z0-9]+){re.escape(stem[match.end()])}(?P<object>.+)"


def _remember(names: list[str], name: str) -> None:
    if name and len(names) < _NAMES_SHOWN:
        names.append(name)
