"""FITS files as a source: in a folder, or named by the lines of a list file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stronglens.settings.reading import ReadSettings
from stronglens.sources.fits_image import FitsReader, read_bytes
from stronglens.sources.listing import list_files
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected

Fetch = Callable[[str, int], bytes]
"""The content of a FITS file, unpacked, from the path and the position of its entry. Raises `Rejected`."""


@dataclass(frozen=True)
class FileSource:
    """A folder, or a list file.

    Attributes
    ----------
    path : Path
        Of the folder or list file.
    size_px : int
        Side of a cutout in pixels.
    settings : ReadSettings
        How it is read.
    """

    path: Path
    size_px: int
    settings: ReadSettings

    def check(self) -> None:
        next(self.entries(), None)

    def entries(self) -> Iterator[Entry]:
        depth = self.settings.max_depth
        for folder, name, line, is_link in list_files(self.path, 1 if depth is None else depth):
            path = f"{folder}/{name}"
            yield Entry(path, path, line=line, is_link=is_link)

    def fetch(self, path: str, _: int) -> bytes:
        return read_bytes(path)

    def reader(self) -> "FileReader":
        return FileReader(self.fetch, self.size_px, self.settings)


class FileReader:
    """Reads FITS files, wherever their bytes come from.

    Parameters
    ----------
    fetch : callable
        Gives the bytes.
    size_px : int
        Side of a cutout in pixels.
    settings : ReadSettings
        Where the image is in a file.
    """

    def __init__(self, fetch: Fetch, size_px: int, settings: ReadSettings) -> None:
        self._fetch = fetch
        self._fits = FitsReader(size_px, settings)
        self._last: tuple[tuple[str, int], bytes] = ("", 0), b""
        self._holds_bands = isinstance(settings.hdu, dict) or settings.band_axis is not None

    def read_block(self, requests: Sequence[Request]) -> Iterator[Reading | Rejected]:
        for path, position, band in requests:
            try:
                yield self._fits.read(self._content(path, position), band)
            except Rejected as why:
                yield why

    def _content(self, path: str, position: int) -> bytes:
        if not self._holds_bands:
            return self._fetch(path, position)
        if self._last[0] != (path, position):  # the bands of a file come one after the other
            self._last = (path, position), self._fetch(path, position)
        return self._last[1]
