"""Finding the cutouts of a data set, always in the same order, whichever way the set is given."""

# os.path is several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH113

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from stronglens.errors import InputError
from stronglens.packing.links import LinkFollower
from stronglens.packing.listing import Listed, list_files
from stronglens.packing.names import NO_BAND, NameParser, NotACutout
from stronglens.settings.data import BUCKETS, PackSettings, located

_MOST_EXAMPLES = 10


class FoundFile(NamedTuple):
    """A file that should hold a cutout. Files compare in the order in which they are packed.

    Attributes
    ----------
    bucket : int
        Number of its bucket in `BUCKETS`; 0 in a set without labels.
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
    buckets = BUCKETS if settings.labelled is not None else [""] * len(settings.paths)
    return [(bucket, located(path)) for bucket, path in zip(buckets, settings.paths, strict=True)]


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
        names files that are not there; two files claim to be the same band of the same object; the same
        file lies in two labelled buckets.
    """
    parser = NameParser(settings.bands)
    rank = {band: number for number, band in enumerate(bands_of(settings))}
    keys: dict[str, str] = {}  # one text an object, not one a file
    files: list[FoundFile] = []
    leftovers: list[Leftover] = []
    folders: list[list[str]] = []
    n_cutouts = []
    for number, (bucket, source) in enumerate(places_of(settings)):
        links, inside, missing = LinkFollower(), set(), _MissingLines(source)
        n_cutouts.append(0)
        for listed in list_files(source):
            try:
                if listed.name.endswith("/"):
                    raise NotACutout("folder, hidden or too deep")
                name = parser.parse(listed.name)
            except NotACutout as why:
                leftovers.append(Leftover(f"{listed.folder}/{listed.name}", bucket, str(why)))
                continue
            n_cutouts[-1] += 1
            key = f"{bucket}/{name.object}" if bucket else name.object
            if n_parts > 1 and part_of(key, n_parts) != part:
                continue
            if listed.line and missing.check(listed):
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
        missing.report()
        folders.append(sorted(inside))
    _refuse_empty(settings, n_cutouts, leftovers)
    files.sort()
    once = list(_once(files))
    if settings.labelled is not None:
        _refuse_contradictions(once)
    leftovers = sorted(set(leftovers)) if part == 0 else []
    return Found(once, leftovers, folders, len(files) - len(once))


def part_of(key: str, n_parts: int) -> int:
    """The part that an object belongs to, from 0 to `n_parts` - 1."""
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n_parts


class _MissingLines:
    """Lines of a list file that name no file."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._examples: list[str] = []
        self._n = 0

    def check(self, listed: Listed) -> bool:
        """Whether a line names no file; if so, remember it."""
        path = f"{listed.folder}/{listed.name}"
        if os.path.isfile(path):
            return False
        self._n += 1
        if len(self._examples) < _MOST_EXAMPLES:
            self._examples.append(f"line {listed.line}: {path!r}")
        return True

    def report(self) -> None:
        if self._n:
            more = f" and {self._n - len(self._examples)} more" if self._n > len(self._examples) else ""
            raise InputError(
                f"{self._source}: expected a file in every line, found {self._n} that name none: "
                + "; ".join(self._examples)
                + more
            )


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


def _refuse_contradictions(files: Iterable[FoundFile]) -> None:
    by_file = sorted((file.real_path, file.bucket, file.path) for file in files)
    twice = [(a, b) for a, b in pairwise(by_file) if a[0] == b[0] and a[1] != b[1]]
    if twice:
        raise InputError(
            f"expected each file in one bucket, found {len(twice)} in two: "
            + "; ".join(
                f"{a[2]!r} in {BUCKETS[a[1]]} and {b[2]!r} in {BUCKETS[b[1]]}"
                for a, b in twice[:_MOST_EXAMPLES]
            )
        )
