"""Finding the cutouts of a data set, always in the same order, whichever way the set is given."""

# os.path is several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH113

import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stronglens.running.collection import no_search_for_cycles
from stronglens.running.errors import InputError
from stronglens.settings.data import LABELS, BucketSettings, PackSettings, located
from stronglens.settings.domains import UNKNOWN
from stronglens.sources.archive import BETWEEN
from stronglens.sources.bands_found import MOST_EXAMPLES, BandsFound, Counted, bands_of, line_for
from stronglens.sources.fits_layout import card_of
from stronglens.sources.links import LinkFollower
from stronglens.sources.names import (
    FITS_NAME,
    Companion,
    CutoutName,
    NameParser,
    NotACutout,
    NotUnderstood,
    UnknownBand,
)
from stronglens.sources.opened import open_source
from stronglens.sources.protocol import Entry, Source
from stronglens.sources.rejected import Rejected
from stronglens.sources.sky import NOWHERE, Sky

_MOST_SEEN = 1000


class FoundFile(NamedTuple):
    """A cutout that a source should hold. They compare in the order in which they are packed.

    Attributes
    ----------
    bucket : int
        Number of its bucket in `Found.buckets`.
    order : int
        See `stronglens.sources.protocol.Entry`.
    object : str
        Key of its object: `slsim_lenses/D1_L_00000000`, or `object_00000` in a set without labels.
    band : int
        Number of its band in `bands_of`.
    path : str
        Its address. Of a file the same whether it was reached directly or by links that bear its name.
    real_path : str
        Where its bytes are, all links followed.
    position : int
        Where the reader finds it.
    source : int
        Number of its source in `Found.sources`.
    sky : tuple of float
        Right ascension and declination in degrees, as the source states them; NaN where it does not.
    same : str
        Name by which it is the same sky object as another; "" if only what is in the file says so.
    """

    bucket: int
    order: int
    object: str
    band: int
    path: str
    real_path: str
    position: int = 0
    source: int = 0
    sky: Sky = NOWHERE
    same: str = ""


class FoundBucket(NamedTuple):
    """A bucket, and what its objects are: label 1 lens, 0 none, -1 unknown.

    `configured` is its name in the config; several come from one there, where rows say what objects are.
    """

    name: str
    label: int
    domain: str
    configured: str


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
        For each of `sources_of`, the folders that hold cutouts.
    n_repeated : int
        Paths that led to a file already found.
    buckets : list of FoundBucket
        In the order in which they are packed.
    sources : list of Source
        What reads the cutouts.
    """

    files: list[FoundFile]
    leftovers: list[Leftover]
    folders: list[list[str]]
    n_repeated: int
    buckets: list[FoundBucket]
    sources: list[Source]


def sources_of(settings: PackSettings) -> list[tuple[str, Path]]:
    """Bucket ("" in a set without labels) and source of each part of a data set."""
    labelled = settings.labelled is not None
    return [(name if labelled else "", located(one.path)) for name, one in settings.sources.items()]


def find_cutouts(
    settings: PackSettings, part: int = 0, n_parts: int = 1, scratch: Path | None = None
) -> Found:
    """Find the cutouts of a data set.

    Parameters
    ----------
    settings : PackSettings
        Where the set lies, and its bands.
    part, n_parts : int
        Which part of the set, and how many there are. The part of an object follows from a hash of its key:
        bands stay together, and neither the order nor the number of the other files matters.
    scratch : Path, optional
        Folder for compressed archives, unpacked; needed if what is found will be read.

    Raises
    ------
    InputError
        A source is missing or unreadable; a labelled bucket, or the whole set, holds no cutouts; a list file
        names files that are not there or no cutouts; a file has a name that is not understood, or a band that
        is not configured, or none where others have one or its name seems to state one; no file has a
        configured band; two files claim to be the same band of the same object; the same file lies in two
        labelled buckets.
    """
    with no_search_for_cycles():
        return _find(settings, part, n_parts, scratch)


def _find(settings: PackSettings, part: int, n_parts: int, scratch: Path | None) -> Found:
    bands = BandsFound(settings)
    buckets = _Buckets(settings)
    chosen = _Chosen(settings, buckets, part, n_parts)
    leftovers: list[Leftover] = []
    n_cutouts = []
    for (bucket, path), read_as in zip(sources_of(settings), settings.sources.values(), strict=True):
        source = open_source(read_as, settings.size_px, settings.bands, scratch, settings.non_finite)
        parser = NameParser(settings.bands, read_as)
        reading = _HeaderBands(source, read_as, parser)
        chosen.begin(source)
        lines, apart = _WrongLines(path), _BandsApart(path, settings.bands)
        n_cutouts.append(0)
        for entry in source.entries():
            try:
                names = _names_of(entry, parser, reading)
            except NotACutout as why:
                if entry.line and lines.is_wrong(entry, why):
                    continue
                if isinstance(why, UnknownBand | NotUnderstood):
                    bands.count_unknown(entry.name or entry.path, why)
                if entry.name.endswith("/") and read_as.max_depth is None:
                    _refuse_deep(entry.path)
                leftovers.append(Leftover(entry.path, bucket, str(why)))
                continue
            n_cutouts[-1] += len(names)
            for name in names:
                bands.count(name, entry, is_meant=read_as.name_pattern is not None)
                if not entry.object and (entry.band or read_as.band_keyword) and not read_as.name_pattern:
                    apart.add(name)
                chosen.take(entry, name, lines)
        lines.report()
        apart.refuse()
    bands.refuse_unknown()
    _refuse_empty(settings, n_cutouts, leftovers)
    bands.refuse_missing()
    files = buckets.in_order(chosen.files)
    files.sort()
    once = list(_once(files, settings.bands))
    if settings.labelled is not None:
        _refuse_contradictions(once, buckets.found)
    leftovers = sorted(set(leftovers)) if part == 0 else []
    folders = [sorted(inside) for inside in chosen.folders]
    return Found(once, leftovers, folders, len(files) - len(once), buckets.found, chosen.sources)


class _Chosen:
    """The cutouts of a part of a set, as they are found."""

    def __init__(self, settings: PackSettings, buckets: "_Buckets", part: int, n_parts: int) -> None:
        self._rank = {band: number for number, band in enumerate(bands_of(settings))}
        self._buckets, self._part, self._n_parts = buckets, part, n_parts
        self._keys: dict[str, str] = {}  # one text an object, not one a file
        self._links = LinkFollower()
        self._bucket_of: dict[int, int] = {}
        self._stated: tuple[Any, ...] = ()
        self._bucket, self._key, self._is_of_part = 0, "", False
        self._sky = NOWHERE
        self.sources: list[Source] = []
        self.folders: list[set[str]] = []
        self.files: list[FoundFile] = []

    def begin(self, source: Source) -> None:
        """What follows is of this source."""
        self.sources.append(source)
        self.folders.append(set())
        self._links = LinkFollower()
        self._bucket_of = {}
        self._stated = ()

    def take(self, entry: Entry, name: CutoutName, lines: "_WrongLines") -> None:
        """Take a cutout if it is of the part; a wrong line is left to `lines`."""
        path, _, _, _, position, label, domain, ra, dec, order, part_key, line, is_link = entry
        object_name, band, survey, _ = name
        stated = object_name, survey, label, domain, part_key
        if stated != self._stated:  # most are of the object of the one before
            self._begin_object(entry, name)
            self._stated = stated
        if not self._is_of_part or (line and lines.is_wrong(entry)):
            return
        real_path = path
        if is_link:
            path, real_path = self._links.follow(path)
        self.folders[-1].add(path.rpartition("/")[0])
        if (ra, dec) != self._sky:  # one pair an object, not one a file
            self._sky = NOWHERE if math.isnan(ra) else (ra, dec)
        same = object_name if survey else ""
        of_object = (self._bucket, order, self._key, self._rank[band], path, real_path, position)
        # `FoundFile(...)` takes three times as long.
        file = tuple.__new__(FoundFile, (*of_object, len(self.sources) - 1, self._sky, same))
        self.files.append(file)

    def _begin_object(self, entry: Entry, name: CutoutName) -> None:
        """What follows is of this object."""
        self._bucket = self._buckets.of(len(self.sources) - 1, entry)
        if entry.label >= 0 or entry.domain:
            self._refuse_another_bucket(entry, name)
        key = self._buckets.key(self._bucket, name)
        self._is_of_part = self._n_parts == 1 or part_of(entry.part_key or key, self._n_parts) == self._part
        if self._is_of_part:
            self._key = self._keys.setdefault(key, key)

    def _refuse_another_bucket(self, entry: Entry, name: CutoutName) -> None:
        other = self._bucket_of.setdefault(hash((name.object, name.survey)), self._bucket)
        if other != self._bucket:
            both = [
                f"label {one.label} in domain {one.domain}"
                for one in (self._buckets.found[number] for number in (other, self._bucket))
            ]
            raise InputError(
                f"{entry.path}: expected one label and domain in all rows of an object, found "
                f"{' and '.join(both)} for {name.object!r}; correct the rows, or give "
                "the objects different ids"
            )


def _names_of(entry: Entry, parser: NameParser, reading: "_HeaderBands") -> list[CutoutName]:
    """Object and band of each cutout that an entry stands for."""
    if entry.object and entry.band and not entry.name:
        return [tuple.__new__(CutoutName, (entry.object, parser.band_named(entry.band), "", False))]
    if entry.name.endswith("/"):
        raise NotACutout("folder, hidden or too deep")
    name = parser.parse(entry.name) if entry.name else CutoutName(entry.object, "")
    if entry.object:
        name = name._replace(object=entry.object)
    if entry.band:
        return [name._replace(band=parser.band_named(entry.band))]
    if entry.name and parser.band_is_elsewhere:
        return [name._replace(band=band) for band in reading.of(entry)]
    return [name]


class _HeaderBands:
    """The bands of files whose names do not say them."""

    def __init__(self, source: Source, read_as: BucketSettings, parser: NameParser) -> None:
        self._source, self._read_as, self._parser = source, read_as, parser

    def of(self, entry: Entry) -> list[str]:
        read_as = self._read_as
        if isinstance(read_as.hdu, dict):
            return [band for band in self._parser.bands if band in read_as.hdu]
        if read_as.band_axis is not None:
            along = read_as.axis_bands or self._parser.bands
            return [band for band in self._parser.bands if band in along]
        return [self._parser.band_named(self._in_header(entry, str(read_as.band_keyword)))]

    def _in_header(self, entry: Entry, keyword: str) -> str:
        try:
            content = self._source.fetch(entry.path, entry.position)  # type: ignore[attr-defined]
        except Rejected as why:
            raise UnknownBand(f"no {keyword} that can be read: {why}") from why
        found = card_of(content, keyword)
        if found is None:
            raise UnknownBand(f"no {keyword} in its header")
        return found


class _Buckets:
    """The buckets of a set, where rows of tables may say what objects are."""

    def __init__(self, settings: PackSettings) -> None:
        self._labelled = settings.labelled is not None
        self._sources = list(settings.sources.items())
        self._numbers: dict[tuple[int, int, str], int] = {}
        self.found: list[FoundBucket] = []

    def of(self, source: int, entry: Entry) -> int:
        """Number of an entry's bucket, in the order in which buckets were met."""
        if not self._labelled:
            key = (0, -1, UNKNOWN)
        else:
            stated = self._sources[source][1]
            self._refuse_contradiction(source, entry)
            label = entry.label if stated.label is None else LABELS[stated.label]
            domain = entry.domain if stated.domain is None else stated.domain
            if label < 0 or not domain:
                lacking = "label" if label < 0 else "domain"
                raise InputError(
                    f"{entry.path}: expected a label and a domain, found no {lacking}; give it to bucket "
                    f"{self._sources[source][0]}, or name its column (columns: {{{lacking}: NAME}})"
                )
            key = (source, -label, domain)
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            label = -key[1] if self._labelled else -1
            self.found.append(FoundBucket(self._name(*key), label, key[2], self._sources[source][0]))
        return self._numbers[key]

    def _refuse_contradiction(self, source: int, entry: Entry) -> None:
        """Refuse rows that say something else of an object than the config does of their bucket."""
        bucket, stated = self._sources[source]
        found = {1: "lens", 0: "nonlens"}.get(entry.label, "")
        for key, of_bucket, of_row in (
            ("label", stated.label, found),
            ("domain", stated.domain, entry.domain),
        ):
            if of_bucket and of_row and of_bucket != of_row:
                raise InputError(
                    f"{entry.path}: expected {key} {of_bucket}, as bucket {bucket} has it, found {of_row} in "
                    f"its row; take {key} from the bucket, and rows count, or the column from the table"
                )

    def key(self, number: int, name: CutoutName) -> str:
        """Key of an object. Another survey's image of it is another object, of the same group."""
        in_set = f"{name.object}_{name.survey}" if name.survey else name.object
        bucket = self.found[number].name
        return f"{bucket}/{in_set}" if bucket else in_set

    def _name(self, source: int, negative_label: int, domain: str) -> str:
        """Name of a bucket: of the config, with what the rows say besides."""
        if not self._labelled:
            return ""
        name, stated = self._sources[source]
        said = [domain] if stated.domain is None else []
        said += [{1: "lenses", 0: "nonlenses"}[-negative_label]] if stated.label is None else []
        return "_".join([name, *said])

    def in_order(self, files: list[FoundFile]) -> list[FoundFile]:
        """Number buckets by source, label and domain, in whatever order they were met."""
        order = sorted(self._numbers)
        new = {self._numbers[key]: number for number, key in enumerate(order)}
        if all(old == number for old, number in new.items()):
            return files
        self.found = [self.found[self._numbers[key]] for key in order]
        return [file._replace(bucket=new[file.bucket]) for file in files]


def part_of(key: str, n_parts: int) -> int:
    """The part that an object belongs to, from 0 to `n_parts` - 1."""
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n_parts


class _WrongLines:
    """Lines of a list file that name no file, or one that is no cutout."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._missing, self._others = Counted(), Counted()

    def is_wrong(self, entry: Entry, no_cutout: NotACutout | None = None) -> bool:
        """Whether a line is wrong, the name of its file being no cutout's or right; if so, remember it."""
        if not os.path.isfile(entry.path):
            self._missing.add(f"line {entry.line}: {entry.path!r}")
        elif no_cutout is not None and not isinstance(no_cutout, UnknownBand | Companion | NotUnderstood):
            self._others.add(f"line {entry.line}: {entry.path!r} ({no_cutout})")
        else:
            return False
        return True

    def report(self) -> None:
        for expected, found, lines in (
            ("file", "name none", self._missing),
            ("FITS cutout", "name something else", self._others),
        ):
            if lines.n:
                more = f" and {lines.n - MOST_EXAMPLES} more" if lines.n > MOST_EXAMPLES else ""
                raise InputError(
                    f"{self._source}: expected a {expected} in every line, found {lines.n} that {found}: "
                    + "; ".join(lines.first)
                    + more
                )


class _BandsApart:
    """Files whose band their header or row states, and whose name alone says of which object they are."""

    def __init__(self, source: Path, bands: Sequence[str]) -> None:
        self._source, self._bands = source, bands
        self._objects, self._of_band = array("q"), set[str]()
        self._names = Counted()

    def add(self, name: CutoutName) -> None:
        self._objects.append(hash(name.object))
        self._of_band.add(name.band)
        self._names.add(name.object)

    def refuse(self) -> None:
        """Refuse files of several bands of which no two are of one object: each would be one of its own."""
        n_files = len(self._objects)
        if len(self._of_band) > 1 and np.unique(self._objects).size == n_files:
            raise InputError(
                f"{self._source}: expected the bands of an object ({', '.join(self._bands)}) in files whose "
                f"names say so, found {n_files} files of as many objects, such as {self._names.shown()}; "
                "write which part of the name is the object, for example name_pattern: "
                "'(?P<object>.+)_[^_]+', or give a table the column id; if each file is an object of its "
                "own, name_pattern: '(?P<object>.+)'"
            )


def _refuse_deep(folder: str) -> None:
    """Refuse a folder that is too deep to be looked into, if cutouts lie in it.

    Raises
    ------
    InputError
        They do; whether they are meant is for the config to say.
    """
    path = Path(folder)
    # A link to a folder that it lies in leads to nothing new.
    if path.name.startswith(".") or path.parent.resolve().is_relative_to(path.resolve()):
        return
    try:
        with os.scandir(folder) as entries:
            found = next(
                (one.name for one in islice(entries, _MOST_SEEN) if FITS_NAME.search(one.name)), None
            )
    except OSError:
        return
    if found is not None:
        raise InputError(
            f"{folder}: expected FITS files at most one folder deep, found {found!r}; write "
            "max_depth: 2 (or more) to look into such folders, or max_depth: 1 to leave them out"
        )


def _refuse_empty(settings: PackSettings, n_cutouts: list[int], leftovers: list[Leftover]) -> None:
    sources = sources_of(settings)
    if settings.labelled is None and any(n_cutouts):
        return
    for (bucket, source), n in zip(sources, n_cutouts, strict=True):
        if n == 0:
            others = sorted({left.path for left in leftovers if left.bucket == bucket})
            found = f"{len(others)} other files, {others[0]!r} first" if others else "nothing"
            deep = next((path for path in others if path.endswith("/") and "/." not in path), None)
            found += f"; to look into folders such as {deep!r} as well, max_depth: 2" if deep else ""
            raise InputError(
                f"{source}: expected FITS cutouts (names such as D1_L_00000000_g.fits), found {found}"
            )


def _once(files: Iterable[FoundFile], bands: Sequence[str]) -> Iterator[FoundFile]:
    """Of paths that lead to one file only the first; two files for one band of an object are an error."""
    last: FoundFile | None = None
    clashes: list[str] = []
    n_clashes, hint = 0, ""
    for file in files:
        if last is None or (file.bucket, file.object, file.band) != (last.bucket, last.object, last.band):
            last = file
            yield file
        elif (file.real_path, file.position) != (last.real_path, last.position):
            n_clashes += 1
            if last.path.rpartition("/")[0] != file.path.rpartition("/")[0]:
                line = line_for([one.path.rpartition(BETWEEN)[2] for one in (last, file)], bands)
                hint = "; if their folders say the object or the band, " + (
                    line
                    or "write name_pattern: folder_per_object (OBJECT/BAND) or folder_per_object_and_survey "
                    "(OBJECT/SURVEY_BAND)"
                )
            elif file.band == len(bands):
                hint = "; what says their bands? a column band, or band_keyword: FILTER if headers do"
            if n_clashes <= MOST_EXAMPLES:
                clashes.append(f"{last.path!r} and {file.path!r} (object {file.object})")
    if n_clashes:
        raise InputError(
            f"expected one file for each band of an object, found {n_clashes} more: "
            + "; ".join(clashes)
            + hint
        )


def _refuse_contradictions(files: Iterable[FoundFile], buckets: Sequence[FoundBucket]) -> None:
    by_file = sorted(((file.real_path, file.position), file.bucket, file.path) for file in files)
    twice = [(a, b) for a, b in pairwise(by_file) if a[0] == b[0] and a[1] != b[1]]
    if twice:
        raise InputError(
            f"expected each file in one bucket, found {len(twice)} in two: "
            + "; ".join(
                f"{a[2]!r} in {buckets[a[1]].name} and {b[2]!r} in {buckets[b[1]].name}"
                for a, b in twice[:MOST_EXAMPLES]
            )
        )
