"""What every kind of source gives: a list of its cutouts, and a reader of their pixels.

To add a kind: a module here with a class that is a `Source`, and a line in `stronglens.sources.opened`.
Finding (`stronglens.sources.find`) asks for `entries`, once and in one process. Packing
(`stronglens.packing.blocks`) sends the source itself to processes that read, which ask for `reader` once
each, and then hand it one block of requests after another. What all cutouts must be (size, finite pixels, not
the same everywhere) is checked after that, in one place for all kinds.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stronglens.sources.rejected import Rejected


class Entry(NamedTuple):
    """Something in a source, before its pixels are read: a cutout, or a file that may be one.

    Attributes
    ----------
    path : str
        Its address in tables and messages: the path of a file; for what is inside a file `FILE::MEMBER`. Two
        entries of a source have the same address only if they differ in `band`.
    name : str
        What `stronglens.sources.names.NameParser` reads object and band from: path less the folder of the
        source. "" where the source states the object. A folder that is not looked into ends in a slash.
    object, band : str
        As the source states them, which is then not guessed from a name. An object without a band (a cube, a
        file whose header says it) has one entry for each band, or `name` and `band` as far as known.
    position : int
        Where the reader finds it, for instance an offset in an archive, or a row; 0 for a file.
    label : int
        1 lens, 0 none, -1 where the source does not state it.
    domain : str
        "" where the source does not state it.
    ra, dec : float
        Degrees; NaN where the source does not state them.
    order : int
        Cutouts of a bucket are packed in ascending order of this, then of object and band. The same for all
        bands of an object. For sources that are read fastest in an order of their own (tile by tile).
    part_key : str
        What decides the part of a set that an object belongs to, by its hash; "" for the object's key. The
        same for all bands of an object. For sources of which a job should read few files (a tile's name).
    line : int
        Line of the list file or row of the table that names it, from 1; 0 where none does.
    is_link : bool
        Whether it may be a link to a file.
    """

    path: str
    name: str = ""
    object: str = ""
    band: str = ""
    position: int = 0
    label: int = -1
    domain: str = ""
    ra: float = math.nan
    dec: float = math.nan
    order: int = 0
    part_key: str = ""
    line: int = 0
    is_link: bool = False


class Request(NamedTuple):
    """A cutout to be read: `path`, `position` and `band` of its entry."""

    path: str
    position: int
    band: str


class Reading(NamedTuple):
    """What a source says of a cutout, before it is checked.

    Attributes
    ----------
    pixels : ndarray of float64 or float32, shape (height, width)
        Axes (y, x), of any size and in any byte order; NaN where the source says that a pixel has no value
        (mask, edge, gap). The caller leaves it as it is: it may be part of a file.
    header_id : str
        The object's id, or "".
    ra, dec : float
        Degrees; NaN where unknown.
    unit : str
        Of the pixels, or "".
    zero_point : float
        AB magnitude of one unit; NaN where unknown.
    scale_arcsec : float
        Side of a pixel on the sky; NaN where unknown, or where the source sees to it itself.
    """

    pixels: npt.NDArray[np.floating]
    header_id: str = ""
    ra: float = math.nan
    dec: float = math.nan
    unit: str = ""
    zero_point: float = math.nan
    scale_arcsec: float = math.nan


class SourceReader(Protocol):
    """Reads cutouts of one source, in one process. Lives as long as the process: it may keep files open."""

    def read_block(self, requests: Sequence[Request]) -> Iterator[Reading | Rejected]:
        """Read cutouts.

        Parameters
        ----------
        requests : sequence of Request
            Up to a thousand, sorted as they are packed.

        Yields
        ------
        Reading or Rejected
            For each request, in the same order; `Rejected` (not raised) where one cannot be read.
        """


class Source(Protocol):
    """Where the cutouts of a bucket or of a test set come from.

    It is sent to other processes: it holds settings and paths, nothing large and no open file.
    """

    def check(self) -> None:
        """See whether the source is there and of its kind, in a moment: for every start of the workflow.

        Raises
        ------
        InputError
            It is not.
        """

    def entries(self) -> Iterator[Entry]:
        """List what the source holds, in any order; a million entries are never held at once.

        Raises
        ------
        InputError
            The source as a whole cannot be read.
        """

    def reader(self) -> SourceReader:
        """What reads the cutouts that `entries` named."""
