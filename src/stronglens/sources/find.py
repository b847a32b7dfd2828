"""Finding the cutouts of a data set, always in the same order, whichever way the set is given."""

# os.path is several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH113

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from stronglens.errors import InputError
from stronglens.settings.data import PackSettings, located
from stronglens.sources.links import LinkFollower
from stronglens.sources.listing import Listed, list_files
from stronglens.sources.names import (
    NO_BAND,
    Companion,
    CutoutName,
    NameParser,
    NotACutout,
    UnknownBand,
)

_MOST_EXAMPLES = 10
_NAMES_SHOWN = 3


class FoundFile(NamedTuple):
    """A file that should hold a cutout. Files compare in the order in which they are packed.

    Attributes
    ----------
    bucket : int
        Number of its bucket among the places of the set; 0 in a set without labels.
    object : str
        Key of its object: `slsim_lenses/D1_L_00000000`, or `object_00000` in a set without labels.
    band : int
        Number of its band in `bands_of`.
    path : str
        Where it lies. The same whether it was reached directly or by links that bear its name.
    real_path : str
        Where its bytes lie, all links followed.
    """

    bucket: int
    object: str
    band: int
    path: str
    real_path: str


class Leftover(NamedTuple):
    """A file in a source that is no cutout, and why."""

    path: str
    bucket: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a data set, or a part of it, consists of.

    Attributes
    ----------
    files : list of FoundFile
        Sorted; one for each object and band.
    leftovers : list of Leftover
        Sorted; all of them belong to part 0.
    folders : list of sorted lists of str
        For each of `places_of`, the folders that hold cutouts.
    n_repeated : int
        Paths that led to a file already found.
    """

    files: list[FoundFile]
    leftovers: list[Leftover]
    folders: list[list[str]]
    n_repeated: int


def bands_of(settings: PackSettings) -> list[str]:
    """The bands a file can have, in the order in which they are packed."""
    return [*settings.bands, NO_BAND]


def places_of(settings: PackSettings) -> list[tuple[str, Path]]:
    """Bucket ("" in a set without labels) and source of each place where a data set lies."""
    labelled = settings.labelled is not None
    return [(name if labelled else "", located(place.path)) for name, place in settings.places.items()]


def find_cutouts(settings: PackSettings, part: int = 0, n_parts: int = 1) -> Found:
    """Find the files of a data set that should hold cutouts.

    Parameters
    ----------
    settings : PackSettings
        Where the set lies, and its bands.
    part, n_parts : int
        Which part of the set, and how many there are. The part of an object follows from a hash of its key:
        bands stay together, and neither the order nor the number of the other files matters.

    Raises
    ------
    InputError
        A source is missing or unreadable; a labelled bucket, or the whole set, holds no cutouts; a list file
        names files that are not there or no cutouts; a file has a band that is not configured, or none where
        others have one or its name seems to state one; no file has a configured band; two files claim to be
        the same band of the same object; the same file lies in two labelled buckets.
    """
    parser = NameParser(settings.bands)
    rank = {band: number for number, band in enumerate(bands_of(settings))}
    bands = _BandsFound(settings, parser)
    keys: dict[str, str] = {}  # one text an object, not one a file
    files: list[FoundFile] = []
    leftovers: list[Leftover] = []
    folders: list[list[str]] = []
    n_cutouts = []
    for number, (bucket, source) in enumerate(places_of(settings)):
        links, inside, lines = LinkFollower(), set(), _WrongLines(source)
        n_cutouts.append(0)
        for listed in list_files(source):
            try:
                if listed.name.endswith("/"):
                    raise NotACutout("folder, hidden or too deep")
                name = parser.parse(listed.name)
            except NotACutout as why:
                if listed.line and lines.is_wrong(listed, why):
                    continue
                if isinstance(why, UnknownBand):
                    bands.count_unknown(listed.name)
                leftovers.append(Leftover(f"{listed.folder}/{listed.name}", bucket, str(why)))
                continue
            n_cutouts[-1] += 1
            bands.count(name)
            key = f"{bucket}/{name.object}" if bucket else name.object
            if n_parts > 1 and part_of(key, n_parts) != part:
                continue
            if listed.line and lines.is_wrong(listed):
                continue
            path = real_path = f"{listed.folder}/{listed.name}"
            if listed.is_link:
                path, real_path = links.follow(path)
            inside.add(path.rpartition("/")[0])
            files.append(
                FoundFile(
                    number if bucket else 0, keys.setdefault(key, key), rank[name.band], path, real_path
                )
            )
        lines.report()
        folders.append(sorted(inside))
    bands.refuse_unknown()
    _refuse_empty(settings, n_cutouts, leftovers)
    bands.refuse_missing()
    files.sort()
    once = list(_once(files))
    if settings.labelled is not None:
        _refuse_contradictions(once, list(settings.places))
    leftovers = sorted(set(leftovers)) if part == 0 else []
    return Found(once, leftovers, folders, len(files) - len(once))


def part_of(key: str, n_parts: int) -> int:
    """The part that an object belongs to, from 0 to `n_parts` - 1."""
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n_parts


class _Counted:
    """How many there are of something, and the first of them."""

    def __init__(self) -> None:
        self.n = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        self.n += 1
        if len(self.first) < _MOST_EXAMPLES:
            self.first.append(text)

    def shown(self) -> str:
        return ", ".join(repr(name) for name in self.first[:_NAMES_SHOWN])


class _WrongLines:
    """Lines of a list file that name no file, or one that is no cutout."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._missing, self._others = _Counted(), _Counted()

    def is_wrong(self, listed: Listed, no_cutout: NotACutout | None = None) -> bool:
        """Whether a line is wrong, the name of its file being no cutout's or right; if so, remember it."""
        path = f"{listed.folder}/{listed.name}"
        if not os.path.isfile(path):
            self._missing.add(f"line {listed.line}: {path!r}")
        elif no_cutout is not None and not isinstance(no_cutout, UnknownBand | Companion):
            self._others.add(f"line {listed.line}: {path!r} ({no_cutout})")
        else:
            return False
        return True

    def report(self) -> None:
        for expected, found, lines in (
            ("file", "name none", self._missing),
            ("FITS cutout", "name something else", self._others),
        ):
            if lines.n:
                more = f" and {lines.n - _MOST_EXAMPLES} more" if lines.n > _MOST_EXAMPLES else ""
                raise InputError(
                    f"{self._source}: expected a {expected} in every line, found {lines.n} that {found}: "
                    + "; ".join(lines.first)
                    + more
                )


class _BandsFound:
    """The bands that the names in all places of a set state: too many, too few, or none."""

    def __init__(self, settings: PackSettings, parser: NameParser) -> None:
        self._settings = settings
        self._parser = parser
        self._n_of_band = dict.fromkeys(bands_of(settings), 0)
        self._unknown, self._bare, self._bare_with_band = _Counted(), _Counted(), _Counted()

    def count(self, name: CutoutName) -> None:
        self._n_of_band[name.band] += 1
        if name.band == NO_BAND:
            self._bare.add(name.object)
            if self._parser.bands_within(name.object):
                self._bare_with_band.add(name.object)

    def count_unknown(self, name: str) -> None:
        self._unknown.add(name)

    def refuse_unknown(self) -> None:
        if self._unknown.n:
            raise InputError(
                f"{self._wanted('files of the configured bands alone')}, found {self._unknown.n} of others, "
                f"such as {self._unknown.shown()}; add their band to data.bands, or give a list file or a "
                "folder of links without them"
            )

    def refuse_missing(self) -> None:
        """Refuse a set of several bands in which some files have none, or no file has some of them."""
        n_bare, n = self._bare.n, sum(self._n_of_band.values())
        if n_bare and (n_bare < n or self._bare_with_band.n):
            examples = self._bare_with_band if n_bare == n else self._bare
            raise InputError(
                f"{self._wanted('names that end in a configured band')}, such as "
                f"NAME_{self._settings.bands[0]}.fits, found {n_bare} of {n} that do not, such as "
                f"{examples.shown()}; rename or link the files so, or, if all are in one band, configure "
                "that band alone (data.bands)"
            )
        missing = [band for band in self._settings.bands if not self._n_of_band[band]]
        if missing and not n_bare:
            raise InputError(
                f"{self._wanted('files of each configured band')}, found none of {', '.join(missing)} among "
                f"{n}; add files (NAME_{missing[0]}.fits), or take the band out of data.bands"
            )

    def _wanted(self, what: str) -> str:
        return f"{self._settings.dataset}: expected {what} ({', '.join(self._settings.bands)})"


def _refuse_empty(settings: PackSettings, n_cutouts: list[int], leftovers: list[Leftover]) -> None:
    places = places_of(settings)
    if settings.labelled is None and any(n_cutouts):
        return
    for (bucket, source), n in zip(places, n_cutouts, strict=True):
        if n == 0:
            others = sorted({left.path for left in leftovers if left.bucket == bucket})
            found = f"{len(others)} other files, {others[0]!r} first" if others else "nothing"
            raise InputError(
                f"{source}: expected FITS cutouts (names such as D1_L_00000000_g.fits), found {found}"
            )


def _once(files: Iterable[FoundFile]) -> Iterator[FoundFile]:
    """Of paths that lead to one file only the first; two files for one band of an object are an error."""
    last: FoundFile | None = None
    clashes: list[str] = []
    n_clashes = 0
    for file in files:
        if last is None or file[:3] != last[:3]:
            last = file
            yield file
        elif file.real_path != last.real_path:
            n_clashes += 1
            if n_clashes <= _MOST_EXAMPLES:
                clashes.append(f"{last.path!r} and {file.path!r} (object {file.object})")
    if n_clashes:
        raise InputError(
            f"expected one file for each band of an object, found {n_clashes} more: " + "; ".join(clashes)
        )


def _refuse_contradictions(files: Iterable[FoundFile], buckets: Sequence[str]) -> None:
    by_file = sorted((file.real_path, file.bucket, file.path) for file in files)
    twice = [(a, b) for a, b in pairwise(by_file) if a[0] == b[0] and a[1] != b[1]]
    if twice:
        raise InputError(
            f"expected each file in one bucket, found {len(twice)} in two: "
            + "; ".join(
                f"{a[2]!r} in {buckets[a[1]]} and {b[2]!r} in {buckets[b[1]]}"
                for a, b in twice[:_MOST_EXAMPLES]
            )
        )
