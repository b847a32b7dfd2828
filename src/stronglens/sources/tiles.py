"""Coadd tiles with a catalogue: which tile an object is cut from, which pixels, and the pixels themselves.

An object that is on several tiles is cut from one, in all its bands: the tile that has the most bands there;
of several such tiles the one on which the object is farthest from the edge; then the first by name. Which
pixels are cut follows `astropy.nddata.Cutout2D`: of an object at x, those from ceil(x - size / 2) on, with
pixel centres at whole numbers.
"""

import glob
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stronglens.running.errors import InputError
from stronglens.settings.data import located
from stronglens.settings.reading import ReadSettings
from stronglens.settings.tiles import TilesSettings, tile_fields
from stronglens.sources.catalogue import names_in, numbers_in, read_catalogue
from stronglens.sources.checked import NonFinite
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected
from stronglens.sources.sky import MOST_UNEVEN
from stronglens.sources.tile_grid import Frame, TileGrid, unit_vectors
from stronglens.sources.tile_images import STRIPE_PX, TileImage

SEPARATOR = "::"
"""In the address of a cutout, `IMAGE[X0:X1,Y0:Y1]::OBJECT`: before the name of the object. What is before it
is CFITSIO's name for these pixels, counted from 1; it tells apart objects of one name in two catalogues."""

_MOST_OPEN = 64
_ROWS_LISTED = 4096
_MOST_EXAMPLES = 10
_BITS = 24
_SPAN = 2**_BITS  # of pixels along an axis, of which the first quarter is negative
_NEGATIVE = _SPAN // 4
_NOWHERE = {
    -1: Rejected("on no tile"),
    -2: Rejected("no position in the catalogue"),
    -3: Rejected("its tile has no image"),
}
"""Why there is nothing to be cut out, by the position of an entry."""


class Cuts(NamedTuple):
    """Where objects are cut out.

    Attributes
    ----------
    tile : ndarray of int64, shape (n_objects,)
        Number of the tile; negative if there is none, and why (see `_NOWHERE`).
    edge_px : ndarray of float64, shape (n_objects,)
        Distance from the tile's edge: the smallest among its bands.
    corner : ndarray of int64, shape (n_objects, n_bands, 2)
        First row and column of each cutout, counted from 0.
    has_band : ndarray of bool, shape (n_objects, n_bands)
        Whether the tile has an image of this band there.
    """

    tile: npt.NDArray[np.int64]
    edge_px: npt.NDArray[np.float64]
    corner: npt.NDArray[np.int64]
    has_band: npt.NDArray[np.bool_]

    @classmethod
    def nowhere(cls, n_objects: int, n_bands: int) -> "Cuts":
        """No object on any tile yet."""
        return cls(
            np.full(n_objects, -1),
            np.full(n_objects, -np.inf),
            np.zeros((n_objects, n_bands, 2), dtype=np.int64),
            np.zeros((n_objects, n_bands), dtype=bool),
        )

    def offer(
        self, rows: npt.NDArray[np.int64], tile: int, x: Any, y: Any, shapes: Any, size_px: int
    ) -> None:
        """Let a tile have the objects that it holds better than those before it.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            The objects.
        tile : int
            Number of the tile.
        x, y : ndarray of float64, shape (n, n_bands)
            Positions in pixels, 0 at the centre of the first; NaN where a band has no image.
        shapes : ndarray of int64, shape (n_bands, 2)
            Height and width of each band's image.
        size_px : int
            Side of a cutout.
        """
        distances = np.stack([x + 0.5, shapes[:, 1] - 0.5 - x, y + 0.5, shapes[:, 0] - 0.5 - y]).min(axis=0)
        inside = distances >= 0  # false for NaN
        edge_px = np.where(inside, distances, np.inf).min(axis=1)
        n_bands, n_before = inside.sum(axis=1), self.has_band[rows].sum(axis=1)
        better = (n_bands > n_before) | ((n_bands == n_before) & (edge_px > self.edge_px[rows]))
        better &= n_bands > 0
        rows, inside = rows[better], inside[better]
        self.tile[rows], self.edge_px[rows], self.has_band[rows] = tile, edge_px[better], inside
        position = np.stack([y[better], x[better]], axis=-1)
        self.corner[rows] = np.where(inside[..., None], first_pixels(position, size_px), 0)


def first_pixels(position: npt.NDArray[np.float64], size_px: int) -> npt.NDArray[np.int64]:
    """The first row or column of a cutout around a position: as in `astropy.nddata.Cutout2D`."""
    with np.errstate(invalid="ignore"):  # NaN where a band has no image
        first: npt.NDArray[np.int64] = np.ceil(position - size_px / 2.0).astype(np.int64)
    return first


def tiles_of(bucket: ReadSettings) -> TilesSettings:
    """The tiles of a source that has some."""
    if bucket.tiles is None:
        raise ValueError("expected settings with tiles")
    return bucket.tiles


def find_tiles(bucket: ReadSettings, bands: Sequence[str]) -> dict[str, dict[str, str]]:
    """The image of each tile and band.

    Returns
    -------
    dict of str to dict of str to str
        By name of the tile (sorted), then by band: the path of its image.

    Raises
    ------
    InputError
        A band has no pattern or no images, or a pattern is of no configured band, or two files match as one
        band of one tile.
    """
    settings = tiles_of(bucket)
    if (
        isinstance(settings.images, str)
        and "{band}" not in settings.images
        and not isinstance(bucket.hdu, dict)
    ):
        raise InputError(
            f"tiles.images: expected a pattern with {{band}} or one for each band, found {settings.images}; "
            "for example {g: /data/g/{tile}.fits, r: /data/r/{tile}.fits}, or, for files with all bands, "
            "hdu: {g: 1, r: 2} beside tiles"
        )
    if isinstance(settings.images, Mapping):
        wrong = sorted(set(settings.images) ^ set(bands))
        if wrong:
            raise InputError(
                f"tiles.images: expected a pattern for each band ({', '.join(bands)}) and no other, "
                f"found {', '.join(settings.images)}"
            )
    fields = tile_fields(str(settings.pattern(bands[0])))
    tiles: dict[str, dict[str, str]] = {}
    for band in bands:
        pattern = str(located(str(settings.pattern(band))).absolute())
        expression = _expression(pattern)
        n_found = 0
        for path in sorted(glob.iglob(_globbed(pattern))):  # noqa: PTH207 - patterns may be absolute
            match = expression.fullmatch(path)
            if match is None:  # a name in braces that stands twice, for different texts
                continue
            n_found += 1
            name = "-".join(match[field] for field in fields)
            other = tiles.setdefault(name, {}).setdefault(band, path)
            if other != path:
                raise InputError(
                    f"{pattern}: expected one image of each tile and band, found {other} and {path}; "
                    "name the part that differs, for example {tile} in place of *"
                )
        if not n_found:
            raise InputError(
                f"{pattern}: expected images of tiles in band {band}, found no file of such a name; correct "
                "the pattern, or take the band out of data.bands"
            )
    if len(bands) > 1 and len(tiles) > 1 and all(len(of_band) == 1 for of_band in tiles.values()):
        raise InputError(
            f"{pattern}: expected tiles with images in several bands, found {len(tiles)} with one each, "
            f"such as {', '.join(list(tiles)[:_MOST_EXAMPLES])}; write * in place of a name in braces that "
            "differs from band to band, for example a date"
        )
    return {name: tiles[name] for name in sorted(tiles)}


_TOKEN = re.compile(r"(\*|\{[^{}]*\})")


def _globbed(pattern: str) -> str:
    return "".join("*" if _TOKEN.fullmatch(text) else glob.escape(text) for text in _TOKEN.split(pattern))


def _expression(pattern: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    for text in _TOKEN.split(pattern):
        name = text[1:-1]
        if text == "*":
            parts.append("[^/]*")
        elif not _TOKEN.fullmatch(text):
            parts.append(re.escape(text))
        elif name in seen:
            parts.append(f"(?P={name})")
        else:
            seen.add(name)
            parts.append(f"(?P<{name}>[^/]+)")
    return re.compile("".join(parts), re.DOTALL)


class TilesSource:
    """Tiles with a catalogue, as a source of cutouts.

    Parameters
    ----------
    bucket : ReadSettings
        Its `tiles` say where the images are and what the columns are called; which HDU is read, and what its
        pixels mean, as for other files.
    catalogue : Path
        The table of objects.
    bands : sequence of str
        The bands of the data set, in its order.
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        What becomes of cutouts that reach beyond the edge of their tile, or hold pixels without a value.
    """

    def __init__(
        self,
        bucket: ReadSettings,
        catalogue: Path,
        bands: Sequence[str],
        size_px: int,
        non_finite: NonFinite = "reject",
    ) -> None:
        self._bucket = bucket
        self._catalogue = catalogue
        self._bands = list(bands)
        self._size_px = size_px
        self._non_finite = non_finite

    def check(self) -> None:
        """See whether there are images of every band, and a catalogue with the columns.

        Raises
        ------
        InputError
            As `find_tiles`, or there is no such catalogue.
        """
        find_tiles(self._bucket, self._bands)
        next(read_catalogue(self._catalogue, list(dict.fromkeys(self._columns))), None)

    def entries(self) -> Iterator[Entry]:
        """List the objects of the catalogue, in each band in which their tile has an image.

        Objects on no tile or without a position are listed in every band; their cutouts are rejected. In
        order of the catalogue; `order` sorts them by tile and row of pixels.

        Raises
        ------
        InputError
            As `find_tiles`; an image or the catalogue cannot be read; two rows have the same name (and tile).
        """
        return chain.from_iterable(self._listed())

    def _listed(self) -> Iterator[Iterator[Entry]]:
        tiles = _Tiles.open(self._bucket, self._bands)
        lost = self._on_worse_tiles(tiles)
        seen: list[npt.NDArray[np.int64]] = []
        for batch in self._batches(tiles):
            keep = ~np.isin(batch.rows, lost) if len(lost) else np.ones(len(batch.rows), dtype=bool)
            seen.append(_hashes(batch.names)[keep])
            yield from self._entries_of(batch, keep, tiles)
        hashes = np.concatenate(seen)
        self._refuse_repeated(hashes[_repeats(hashes)])

    def reader(self) -> "TilesReader":
        """What reads the cutouts."""
        return TilesReader(self._bucket, self._size_px, self._non_finite)

    @property
    def _settings(self) -> TilesSettings:
        return tiles_of(self._bucket)

    @property
    def _columns(self) -> list[str]:
        settings = self._settings
        wanted = [settings.id, settings.ra, settings.dec, settings.x, settings.y, settings.tile]
        return [name for name in wanted if name is not None]

    def _batches(self, tiles: "_Tiles") -> Iterator["_Batch"]:
        first_row = 0
        for table in read_catalogue(self._catalogue, list(dict.fromkeys(self._columns))):
            names = names_in(self._catalogue, self._settings.id, table, first_row)
            rows = np.arange(first_row, first_row + len(table))
            located = self._on_sky if self._settings.ra else self._on_pixels
            yield _Batch(names, rows, *located(table, first_row, tiles))
            first_row += len(table)
        if not first_row:
            raise InputError(f"{self._catalogue}: expected a catalogue of objects, found no rows")

    def _on_sky(self, table: pa.Table, first_row: int, tiles: "_Tiles") -> tuple[Cuts, Any, Any]:
        """Objects with sky positions: the tiles they are on, and these positions."""
        ra = self._numbers(self._settings.ra, table, first_row)
        dec = self._numbers(self._settings.dec, table, first_row)
        if (np.abs(dec) > 90).any() or (np.abs(ra) > 360).any():
            row = int(np.argmax((np.abs(dec) > 90) | (np.abs(ra) > 360)))
            raise InputError(
                f"{self._catalogue}: row {first_row + row + 1}: expected ra and dec in degrees, found "
                f"{ra[row]:g} and {dec[row]:g}"
            )
        cuts = Cuts.nowhere(len(table), len(self._bands))
        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        cuts.tile[:] = -2
        cuts.tile[known] = -1
        frame = Frame(ra[known], dec[known])
        for tile, near in tiles.near(unit_vectors(ra[known], dec[known])):
            x, y = tiles.positions(tile, frame, near)
            cuts.offer(known[near], tile, x, y, tiles.shapes[tile], self._size_px)
        return cuts, ra, dec

    def _on_pixels(self, table: pa.Table, first_row: int, tiles: "_Tiles") -> tuple[Cuts, Any, Any]:
        """Objects with positions on given tiles: where they are cut out, and the sky there, if known."""
        x = self._numbers(self._settings.x, table, first_row) - float(self._settings.origin or 0)
        y = self._numbers(self._settings.y, table, first_row) - float(self._settings.origin or 0)
        numbers = self._tiles_of(table, first_row, tiles)
        cuts = Cuts.nowhere(len(table), len(self._bands))
        cuts.tile[numbers < 0] = -3
        cuts.tile[~(np.isfinite(x) & np.isfinite(y))] = -2
        ra, dec = np.full((2, len(table)), np.nan)
        for tile in np.unique(numbers[cuts.tile == -1]):
            rows = np.flatnonzero((numbers == tile) & (cuts.tile == -1))
            missing = np.array([0.0 if grid is not None else np.nan for grid in tiles.grids[tile]])
            cuts.offer(
                rows,
                int(tile),
                x[rows, None] + missing,
                y[rows, None] + missing,
                tiles.shapes[tile],
                self._size_px,
            )
            ra[rows], dec[rows] = tiles.sky(int(tile), x[rows], y[rows])
        return cuts, ra, dec

    def _tiles_of(self, table: pa.Table, first_row: int, tiles: "_Tiles") -> npt.NDArray[np.int64]:
        """Number of each row's tile, -1 where it has no image."""
        if self._settings.tile is None:
            if len(tiles.names) > 1:
                raise InputError(
                    f"{self._catalogue}: expected the column of the tile that x and y are on (tile: COLUMN), "
                    f"since there are {len(tiles.names)} tiles, found none given"
                )
            return np.zeros(len(table), dtype=np.int64)
        number_of = {name: number for number, name in enumerate(tiles.names)}
        names = names_in(self._catalogue, self._settings.tile, table, first_row)
        return np.array([number_of.get(name, -1) for name in names], dtype=np.int64)

    def _numbers(self, column: str | None, table: pa.Table, first_row: int) -> npt.NDArray[np.float64]:
        return numbers_in(self._catalogue, str(column), table, first_row)

    def _on_worse_tiles(self, tiles: "_Tiles") -> npt.NDArray[np.int64]:
        """Rows whose object is better cut out where another row says: the same name, on another tile."""
        if self._settings.tile is None:
            return np.empty(0, dtype=np.int64)
        columns: list[list[npt.NDArray[Any]]] = [[], [], [], [], []]
        for batch in self._batches(tiles):
            # 128 bits: an object that is taken for another would be lost.
            again = _hashes([f"{name}\0" for name in batch.names])
            n_bands = batch.cuts.has_band.sum(axis=1)
            values = (_hashes(batch.names), again, batch.cuts.tile, batch.cuts.edge_px, n_bands)
            for column, of_batch in zip(columns, values, strict=True):
                column.append(of_batch)
        first, second, tile, edge_px, n_bands = (np.concatenate(column) for column in columns)
        self._refuse_repeated(first[_repeats(first, second, tile)])
        best_first = np.lexsort((tile, -edge_px, -n_bands, second, first))
        return np.sort(best_first[_repeats(first[best_first], second[best_first])])

    def _entries_of(
        self, batch: "_Batch", keep: npt.NDArray[np.bool_], tiles: "_Tiles"
    ) -> Iterator[Iterator[Entry]]:
        cuts = batch.cuts
        first_band = np.argmax(cuts.has_band, axis=1)
        stripe = cuts.corner[np.arange(len(first_band)), first_band, 0] // STRIPE_PX
        order = np.where(cuts.tile >= 0, cuts.tile * _SPAN + stripe + _NEGATIVE, -1)
        columns = (cuts.tile, order, cuts.corner, cuts.has_band, batch.ra, batch.dec)
        kept = np.flatnonzero(keep)
        for first in range(0, len(kept), _ROWS_LISTED):
            rows = kept[first : first + _ROWS_LISTED]
            names = [batch.names[row] for row in rows.tolist()]
            yield self._entries_from(names, [column[rows].tolist() for column in columns], tiles)

    def _entries_from(self, names: list[str], lists: list[list[Any]], tiles: "_Tiles") -> Iterator[Entry]:
        size_px = self._size_px
        new = tuple.__new__  # `Entry(...)` takes three times as long, and there may be 10^8
        for name, tile, sorted_by, corners, has_band, ra, dec in zip(names, *lists, strict=True):
            if tile < 0:
                path = f"{self._catalogue}{SEPARATOR}{name}"
                for band in self._bands:
                    yield Entry(path, "", name, band, tile, -1, "", ra, dec, sorted_by)
                continue
            part_key, paths = tiles.names[tile], tiles.paths[tile]
            last, position, box = None, 0, ""
            for number, band in enumerate(self._bands):
                if has_band[number]:
                    if corners[number] != last:  # most bands have the same grid
                        last = y, x = corners[number]
                        position = (y + _NEGATIVE) * _SPAN + x + _NEGATIVE
                        box = f"[{x + 1}:{x + size_px},{y + 1}:{y + size_px}]{SEPARATOR}{name}"
                    of_cutout = (paths[number] + box, "", name, band, position, -1, "", ra, dec)
                    yield new(Entry, (*of_cutout, sorted_by, part_key, 0, False))

    def _refuse_repeated(self, suspects: npt.NDArray[np.int64]) -> None:
        """Refuse a catalogue in which one of the names with these hashes stands twice (on one tile)."""
        if not len(suspects):
            return
        rows: Counter[tuple[str, ...]] = Counter()
        key = [self._settings.id, *([self._settings.tile] if self._settings.tile else [])]
        for table in read_catalogue(self._catalogue, key):
            texts = [names_in(self._catalogue, column, table, 0) for column in key]
            for number in np.flatnonzero(np.isin(_hashes(texts[0]), suspects)):
                rows[tuple(column[number] for column in texts)] += 1
        repeated = [" on tile ".join(names) for names, n in rows.items() if n > 1]
        if repeated:
            raise InputError(
                f"{self._catalogue}: expected each object in one row (column {self._settings.id}), found "
                f"{len(repeated)} in several, such as {', '.join(repeated[:_MOST_EXAMPLES])}; give a column "
                "whose values differ, or remove the repeated rows"
            )


class _Batch(NamedTuple):
    """Some rows of the catalogue: names, numbers of the rows, cutouts, positions in degrees."""

    names: list[str]
    rows: npt.NDArray[np.int64]
    cuts: Cuts
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]


def _repeats(*columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows whose values stand in a row before them; of equal rows, all but the first."""
    order = np.lexsort(columns)
    same = np.ones(max(0, len(order) - 1), dtype=bool)
    for column in columns:
        same &= column[order][1:] == column[order][:-1]
    return order[1:][same]


def _hashes(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))


class _Tiles(NamedTuple):
    """The grids of all tiles.

    Attributes
    ----------
    names : list of str
        Sorted.
    paths : list of lists of str
        For each tile and band, the image; "" where there is none.
    grids : list of lists of TileGrid or None
        Likewise. Bands that share a grid share an object.
    shapes : list of ndarray of int64, shape (n_bands, 2)
        Height and width of each image.
    """

    names: list[str]
    paths: list[list[str]]
    grids: list[list[TileGrid | None]]
    shapes: list[npt.NDArray[np.int64]]

    @classmethod
    def open(cls, bucket: ReadSettings, bands: Sequence[str]) -> "_Tiles":
        """Read the headers of all images.

        Raises
        ------
        InputError
            As `find_tiles`; or images are broken, or have no WCS where sky positions are given.
        """
        found = find_tiles(bucket, bands)
        tiles = cls(list(found), [], [], [])
        broken: list[str] = []
        for of_band in found.values():
            paths = [of_band.get(band, "") for band in bands]
            grids: list[TileGrid | None] = []
            for path, band in zip(paths, bands, strict=True):
                grid = None
                try:
                    grid = _grid_of(path, bucket, band, grids) if path else None
                except Rejected as why:
                    broken.append(f"{path}: {why}")
                grids.append(grid)
            tiles.paths.append(paths)
            tiles.grids.append(grids)
            tiles.shapes.append(np.array([grid.shape if grid else (0, 0) for grid in grids], dtype=np.int64))
        if broken:
            raise InputError(
                f"{tiles_of(bucket).images}: expected images of tiles, found {len(broken)} that are none: "
                + "; ".join(broken[:_MOST_EXAMPLES])
            )
        tiles._refuse_other_scales()
        return tiles

    def _refuse_other_scales(self) -> None:
        """Refuse tiles whose cutouts would show other areas of the sky than those of the first.

        Raises
        ------
        InputError
            Pixels of an image are larger or smaller than those of the first, in any band, by more than 1 %.
        """
        scales = [
            (path, grid.scale_arcsec)
            for paths, grids in zip(self.paths, self.grids, strict=True)
            for path, grid in zip(paths, grids, strict=True)
            if grid is not None and np.isfinite(grid.scale_arcsec)  # none is known without a WCS
        ]
        others = [
            f"{path} ({scale:.4g})"
            for path, scale in scales
            if not 1 / MOST_UNEVEN <= scale / scales[0][1] <= MOST_UNEVEN
        ]
        if others:
            raise InputError(
                f"expected tiles with pixels of one size, {scales[0][1]:.4g} arcsec as in {scales[0][0]}, "
                f"found {len(others)} images of another: {', '.join(others[:_MOST_EXAMPLES])}; cutouts of "
                "as many pixels would show other areas of the sky: resample them to one size, or give each "
                "a set of its own (other bands, other patterns of images)"
            )

    def near(self, objects: npt.NDArray[np.float64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """For each tile that may hold some of the objects: its number, and theirs, ascending.

        Parameters
        ----------
        objects : ndarray of float64, shape (n_objects, 3)
            Unit vectors.
        """
        from scipy.spatial import KDTree  # noqa: PLC0415 - takes long to load, and few data sets are tiles

        if not len(objects):
            return
        tree = KDTree(objects)
        for tile, grids in enumerate(self.grids):
            distinct = {id(grid): grid for grid in grids if grid is not None}.values()
            near = [tree.query_ball_point(grid.centre, grid.radius) for grid in distinct]
            rows = np.unique(np.concatenate([np.array(found, dtype=np.int64) for found in near]))
            if len(rows):
                yield tile, rows

    def positions(self, tile: int, frame: Frame, rows: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Pixel positions in each band of a tile, shape (n, n_bands), NaN where there is no image."""
        x, y = np.full((2, len(rows), len(self.grids[tile])), np.nan)
        done: dict[int, tuple[Any, Any]] = {}
        for band, grid in enumerate(self.grids[tile]):
            if grid is not None:
                if id(grid) not in done:
                    done[id(grid)] = grid.pixels(*frame.positions(grid, rows))
                x[:, band], y[:, band] = done[id(grid)]
        return x, y

    def sky(self, tile: int, x: Any, y: Any) -> tuple[Any, Any]:
        """Right ascension and declination (ICRS) of pixels, in degrees; NaN where the WCS does not say."""
        grid = next(grid for grid in self.grids[tile] if grid is not None)
        return grid.sky(x, y)


def _grid_of(path: str, bucket: ReadSettings, band: str, others: Sequence[TileGrid | None]) -> TileGrid:
    if SEPARATOR in path:
        raise Rejected("no name for a tile", f"it contains {SEPARATOR}")
    image = TileImage(path, bucket, band)
    try:
        grid = TileGrid(image.header, image.shape, needs_sky=tiles_of(bucket).ra is not None)
    finally:
        image.close()
    return next((other for other in others if other is not None and other.key == grid.key), grid)


class TilesReader:
    """Reads cutouts from tiles; keeps the last ones open.

    Parameters
    ----------
    bucket : ReadSettings
        Which HDUs hold image and mask, and what the pixels mean.
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        See `TilesSource`.
    """

    def __init__(self, bucket: ReadSettings, size_px: int, non_finite: NonFinite) -> None:
        self._bucket = bucket
        self._size_px = size_px
        self._non_finite = non_finite
        self._images: dict[tuple[str, str], TileImage | Rejected] = {}
        self._last: dict[str, _Opened] = {}

    def read_block(self, requests: Sequence[Request]) -> Iterator[Reading | Rejected]:
        """Cut out objects, in the order in which they are asked for."""
        size_px, after, nan, new = self._size_px, len(SEPARATOR), math.nan, tuple.__new__
        for address, position, band in requests:
            last = self._last.get(band)
            if last is None or not address.startswith(last[0]):  # most are on the tile of the one before
                if position < 0:
                    yield _NOWHERE[position]
                    continue
                last = self._opened(address, band)
            _, image, pixels, last_y, last_x, unit, zero_point = last
            y, x = (position >> _BITS) - _NEGATIVE, (position & _SPAN - 1) - _NEGATIVE
            if pixels is not None and 0 <= y <= last_y and 0 <= x <= last_x:
                name = address[address.index(SEPARATOR) + after :]
                cutout = pixels[y : y + size_px, x : x + size_px]
                # `Reading(...)` takes three times as long.
                yield new(Reading, (cutout, name, nan, nan, unit, zero_point, nan))
            else:
                yield self._read_unusual(image, address, y, x)

    def _read_unusual(self, image: TileImage | Rejected, address: str, y: int, x: int) -> Reading | Rejected:
        """A cutout that is not part of a file as it is."""
        size_px = self._size_px
        if isinstance(image, Rejected):
            return image
        try:
            pixels, n_outside = image.cut(y, x, size_px)
        except Rejected as why:
            return why
        if n_outside and self._non_finite == "reject":
            return Rejected("beyond the edge of its tile", f"{n_outside} of {size_px**2} pixels")
        name = address.partition(SEPARATOR)[2]
        return Reading(pixels, name, math.nan, math.nan, image.unit, image.zero_point)

    def _opened(self, address: str, band: str) -> "_Opened":
        """The image of a cutout."""
        path = address[: address.rindex("[", 0, address.index(SEPARATOR))]
        image = self._images.get((path, band))
        if image is None:
            image = self._images[path, band] = self._open(path, band)
        if isinstance(image, Rejected):
            self._last[band] = f"{path}[", image, None, 0, 0, "", math.nan
        else:
            height, width = (length - self._size_px for length in image.shape)
            said = image.unit, image.zero_point
            self._last[band] = f"{path}[", image, image.plain, height, width, *said
        return self._last[band]

    def _open(self, path: str, band: str) -> TileImage | Rejected:
        while len(self._images) >= _MOST_OPEN:
            self._last.clear()
            oldest = self._images.pop(next(iter(self._images)))
            if isinstance(oldest, TileImage):
                oldest.close()
        try:
            return TileImage(path, self._bucket, band)
        except Rejected as why:
            return why


_Opened = tuple[str, TileImage | Rejected, npt.NDArray[np.floating] | None, int, int, str, float]
"""The last image of a band: how addresses of its cutouts begin; the image; its pixels if these are stored as
they are; the last row and column at which a cutout begins; unit and zero point of its pixels."""
