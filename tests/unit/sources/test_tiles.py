"""Coadd tiles with a catalogue: to the pixel what astropy's `Cutout2D` gives, and every object once."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS
from pydantic import ValidationError

from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings
from stronglens.sources import tile_images
from stronglens.sources.catalogue import read_catalogue
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected
from stronglens.sources.tiles import TilesSource, find_tiles, first_pixels, tiles_of
from tile_files import CENTRE, SHAPE, catalogue, noise, tile_header, write_tiles

SIZE_PX = 21


def settings_of(folder: Path, **others: Any) -> ReadSettings:
    beside = {key: others.pop(key) for key in ReadSettings.model_fields if key in others}
    given = {
        "images": f"{folder}/{{band}}/tile_{{tile}}.fits",
        "id": "id",
        "ra": "ra",
        "dec": "dec",
    }
    return ReadSettings.model_validate({"tiles": given | others} | beside)


def pixel_settings(folder: Path, **others: Any) -> ReadSettings:
    return settings_of(folder, **({"ra": None, "dec": None, "x": "x", "y": "y", "origin": 0} | others))


def source_of(
    place: ReadSettings,
    bands: Sequence[str] = ("g", "r"),
    *,
    catalogue: Path | None = None,
    size_px: int = SIZE_PX,
    **others: Any,
) -> TilesSource:
    first = str(tiles_of(place).pattern(bands[0]))
    beside = Path(first.partition("/g/")[0], "catalogue.csv")  # the folder of the images of band g
    return TilesSource(place, catalogue or beside, bands, size_px, **others)


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.order, entry.object, entry.band))


def read(source: TilesSource, entries: Sequence[Entry]) -> list[Reading | Rejected]:
    return list(source.reader().read_block([Request(one.path, one.position, one.band) for one in entries]))


def tile_of(entry: Entry) -> str:
    return Path(entry.path.partition(".fits[")[0]).name.removeprefix("tile_")


def reference(
    pixels: npt.NDArray[Any], header: fits.Header, position: Any, size_px: int = SIZE_PX
) -> npt.NDArray[np.float64]:
    cutout = Cutout2D(
        pixels.astype(np.float64), position, size_px, wcs=WCS(header), mode="partial", fill_value=np.nan
    )
    image: npt.NDArray[np.float64] = cutout.data
    return image


def write_one(path: Path, *hdus: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


def in_the_middle(n: int = 12, spread_px: float = 40) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    x, y = generator.uniform(-spread_px, spread_px, (2, n)) + np.array([[SHAPE[1] / 2], [SHAPE[0] / 2]])
    return pd.DataFrame({"id": [f"o{number:03d}" for number in range(n)], "x": x, "y": y})


# Which tile, which pixels


def test_the_address_of_a_cutout_is_cfitsios_name_for_its_pixels(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path, n_tiles=1)
    in_the_middle().to_csv(tmp_path / "catalogue.csv")
    source = source_of(pixel_settings(tmp_path))
    for entry, (_, reading) in zip(in_order(list(source.entries())), readings(source), strict=True):
        found = re.fullmatch(r"(.*)\[(\d+):(\d+),(\d+):(\d+)\]::(.*)", entry.path)
        assert found is not None
        x0, x1, y0, y1 = (int(number) for number in found.groups()[1:5])
        assert found[1] == f"{tmp_path}/{entry.band}/tile_t0.fits"
        assert found[6] == entry.object
        pixels = tiles["t0", entry.band][0][y0 - 1 : y1, x0 - 1 : x1]
        np.testing.assert_array_equal(reading.pixels, pixels)


@pytest.mark.parametrize("size_px", [1, 20, 21, 40, 41])
def test_the_first_pixel_is_that_of_cutout2d(size_px: int) -> None:
    positions = np.concatenate([np.arange(60, 70, 0.25), np.random.default_rng(0).uniform(50, 80, 200)])
    image = np.zeros((150, 150))
    found = [Cutout2D(image, (x, 75), size_px).origin_original[0] for x in positions]
    assert first_pixels(positions, size_px).tolist() == found


@pytest.mark.parametrize("size_px", [20, 21])
def test_cutouts_are_those_of_cutout2d_to_the_pixel_on_the_tile_farthest_from_the_edge(
    tmp_path: Path, size_px: int
) -> None:
    tiles = write_tiles(tmp_path)
    objects = catalogue(120)
    objects.write(tmp_path / "catalogue.csv")
    source = source_of(settings_of(tmp_path), size_px=size_px, non_finite="fill")
    entries = in_order(list(source.entries()))
    sky = {row["id"]: SkyCoord(row["ra"], row["dec"], unit="deg") for row in objects}
    # Read once, which takes longer than to ask for a place.
    systems = [(tile, WCS(header)) for (tile, _), (_, header) in tiles.items()]
    n_partial = n_on_several = 0
    for entry, reading in zip(entries, read(source, entries), strict=True):
        edges = {}
        for tile, system in systems:
            x, y = (float(one) for one in system.world_to_pixel(sky[entry.object]))
            edges[tile] = min(x + 0.5, SHAPE[1] - 0.5 - x, y + 0.5, SHAPE[0] - 0.5 - y)
        if max(edges.values()) < 0:
            assert isinstance(reading, Rejected)
            assert str(reading) == "on no tile"
            continue
        best = max(edges, key=lambda tile: edges[tile])
        n_on_several += sum(edge > 0 for edge in edges.values()) > 1
        assert tile_of(entry) == best == entry.part_key
        expected = reference(*tiles[best, entry.band], sky[entry.object], size_px)
        assert isinstance(reading, Reading)
        assert reading.header_id == entry.object
        n_partial += bool(np.isnan(expected).any())
        np.testing.assert_array_equal(reading.pixels, expected)
    assert n_partial > 10
    assert n_on_several > 40


def test_every_object_comes_once_in_every_band(tmp_path: Path) -> None:
    write_tiles(tmp_path)
    objects = catalogue(80)
    objects.write(tmp_path / "catalogue.csv")
    entries = list(source_of(settings_of(tmp_path)).entries())
    pairs = [(entry.object, entry.band) for entry in entries]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == {(name, band) for name in objects["id"] for band in "gr"}
    position = {row["id"]: (row["ra"], row["dec"]) for row in objects}
    assert all((entry.ra, entry.dec) == pytest.approx(position[entry.object], abs=1e-12) for entry in entries)
    assert len({entry.path + entry.band for entry in entries}) == len(entries)


def test_a_tile_with_more_bands_is_preferred(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=2)
    (tmp_path / "r" / "tile_t0.fits").unlink()
    objects = catalogue(150, 2)
    objects.write(tmp_path / "catalogue.csv")
    whole = write_tiles(tmp_path / "whole", n_tiles=2)
    by_object: dict[str, dict[str, str]] = {}
    for entry in source_of(settings_of(tmp_path)).entries():
        if entry.position >= 0:
            by_object.setdefault(entry.object, {})[entry.band] = tile_of(entry)
    for row in objects:
        x, y = WCS(whole["t1", "g"][1]).world_to_pixel(SkyCoord(row["ra"], row["dec"], unit="deg"))
        if -0.5 <= x < SHAPE[1] - 0.5 and -0.5 <= y < SHAPE[0] - 0.5:
            assert by_object[row["id"]] == {"g": "t1", "r": "t1"}
        elif row["id"] in by_object:
            assert by_object[row["id"]] == {"g": "t0"}
    assert {tuple(found.values()) for found in by_object.values()} == {("t1", "t1"), ("t0",)}


def test_bands_may_have_grids_of_their_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    tiles = {}
    for band, turned_deg in (("g", 0), ("r", 30)):
        header, pixels = tile_header(*CENTRE, turned_deg=turned_deg), noise(generator)
        write_one(tmp_path / band / "tile_a.fits", fits.ImageHDU(pixels, header))
        tiles[band] = (pixels, header)
    objects = catalogue(20, 1, margin_px=50)
    objects.write(tmp_path / "catalogue.csv")
    source = source_of(settings_of(tmp_path))
    entries = list(source.entries())
    sky = {row["id"]: SkyCoord(row["ra"], row["dec"], unit="deg") for row in objects}
    for entry, reading in zip(entries, read(source, entries), strict=True):
        assert isinstance(reading, Reading)
        np.testing.assert_array_equal(reading.pixels, reference(*tiles[entry.band], sky[entry.object]))


@pytest.mark.parametrize(
    ("factors", "other"),
    [
        ({"g/tile_a": 1, "r/tile_a": 1.005, "g/tile_b": 0.995}, None),
        ({"g/tile_a": 1, "r/tile_a": 3}, "r/tile_a.fits (0.504)"),
        ({"g/tile_a": 1, "r/tile_a": 1, "g/tile_b": 0.95, "r/tile_b": 0.95}, "g/tile_b.fits (0.1596)"),
    ],
)
def test_tiles_of_another_pixel_scale_are_refused(
    factors: dict[str, float], other: str | None, tmp_path: Path
) -> None:
    for name, factor in factors.items():
        header = tile_header(*CENTRE)
        header["CDELT1"], header["CDELT2"] = header["CDELT1"] * factor, header["CDELT2"] * factor
        pixels = noise(np.random.default_rng(3))
        write_one(tmp_path / f"{name}.fits", fits.ImageHDU(pixels, header))
    catalogue(3, 1).write(tmp_path / "catalogue.csv")
    source = source_of(settings_of(tmp_path))
    if other is None:
        assert list(source.entries())
        return
    expected = f"one size, 0.168 arcsec as in {tmp_path}/g/tile_a.fits, found"
    with pytest.raises(InputError, match=f"{re.escape(expected)} .*{re.escape(f'{tmp_path}/{other}')}"):
        list(source.entries())


@pytest.mark.parametrize("frame", ["FK5", "galactic", "SIP"])
def test_other_frames_and_distortions_are_those_of_astropy(tmp_path: Path, frame: str) -> None:
    header, pixels = tile_header(*CENTRE), noise(np.random.default_rng(3))
    if frame == "FK5":
        there = SkyCoord(*CENTRE, unit="deg").transform_to(FK5(equinox="J1975"))
        header["RADESYS"], header["EQUINOX"] = "FK5", 1975.0
        header["CRVAL1"], header["CRVAL2"] = there.ra.deg, there.dec.deg
    elif frame == "galactic":
        there = SkyCoord(*CENTRE, unit="deg").galactic
        header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
        header["CRVAL1"], header["CRVAL2"] = there.l.deg, there.b.deg
    else:
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
        header.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-4, "B_0_2": -1e-4, "A_1_1": 1e-4})
    write_one(tmp_path / "g" / "tile_a.fits", fits.ImageHDU(pixels, header))
    objects = catalogue(60, 1)
    objects.write(tmp_path / "catalogue.csv")
    source = source_of(settings_of(tmp_path), ["g"], non_finite="fill")
    entries = list(source.entries())
    n_found = 0
    for row, entry, reading in zip(objects, entries, read(source, entries), strict=True):
        position = SkyCoord(row["ra"], row["dec"], unit="deg")
        x, y = WCS(header).world_to_pixel(position)
        assert isinstance(reading, Reading) == (-0.5 <= x < SHAPE[1] - 0.5 and -0.5 <= y < SHAPE[0] - 0.5)
        if isinstance(reading, Reading):
            n_found += 1
            np.testing.assert_array_equal(reading.pixels, reference(pixels, header, position))
        assert entry.object == row["id"]
    assert n_found > 20


def test_objects_around_the_meridian_and_the_pole_are_found(tmp_path: Path) -> None:
    for number, (ra, dec) in enumerate([(0.0, 0.0), (30.0, 89.999), (359.999, -40.0)]):
        write_one(
            tmp_path / "g" / f"tile_{number}.fits",
            fits.ImageHDU(noise(np.random.default_rng(number)), tile_header(ra, dec)),
        )
    objects = {"a": (0.001, 0.001), "b": (359.9995, -0.001), "c": (200.0, 89.9995), "d": (0.0005, -40.0)}
    pd.DataFrame([(name, *at) for name, at in objects.items()], columns=["id", "ra", "dec"]).to_csv(
        tmp_path / "catalogue.csv", index=False
    )
    entries = list(source_of(settings_of(tmp_path), ["g"]).entries())
    assert {entry.object: tile_of(entry) for entry in entries} == {"a": "0", "b": "0", "c": "1", "d": "2"}


# Positions in pixels


@pytest.mark.parametrize("origin", [0, 1])
def test_pixel_positions_count_from_the_origin_that_is_given(tmp_path: Path, origin: int) -> None:
    tiles = write_tiles(tmp_path, n_tiles=1)
    objects = in_the_middle()
    objects.assign(x=objects["x"] + origin, y=objects["y"] + origin).to_csv(tmp_path / "catalogue.csv")
    source = source_of(pixel_settings(tmp_path, origin=origin))
    entries = list(source.entries())
    at = objects.set_index("id")
    for entry, reading in zip(entries, read(source, entries), strict=True):
        position = tuple(at.loc[entry.object, ["x", "y"]])
        pixels, header = tiles["t0", entry.band]
        assert isinstance(reading, Reading)
        np.testing.assert_array_equal(reading.pixels, reference(pixels, header, position))
        sky = WCS(header).pixel_to_world(*position)
        assert (entry.ra, entry.dec) == pytest.approx((sky.ra.deg, sky.dec.deg), abs=1e-9)


def test_the_same_object_listed_on_two_tiles_is_cut_where_it_is_farthest_from_the_edge(
    tmp_path: Path,
) -> None:
    write_tiles(tmp_path, n_tiles=2)
    pd.DataFrame(
        [
            ("a", "t0", 20, 75),
            ("a", "t1", 60, 75),
            ("b", "t1", 15, 75),
            ("b", "t0", 14, 75),
            ("c", "t0", 3, 3),
        ],
        columns=["id", "tile", "x", "y"],
    ).to_csv(tmp_path / "catalogue.csv", index=False)
    entries = list(source_of(pixel_settings(tmp_path, tile="tile")).entries())
    assert {(entry.object, tile_of(entry)) for entry in entries} == {("a", "t1"), ("b", "t1"), ("c", "t0")}
    assert len(entries) == 6


def test_images_without_a_wcs_do_for_pixel_positions(tmp_path: Path) -> None:
    write_one(tmp_path / "g" / "tile_a.fits", fits.ImageHDU(noise(np.random.default_rng(0))))
    in_the_middle(3).to_csv(tmp_path / "catalogue.csv")
    entries = list(source_of(pixel_settings(tmp_path), ["g"]).entries())
    assert len(entries) == 3
    assert all(np.isnan(entry.ra) for entry in entries)
    with pytest.raises(InputError, match=r"tile_a.fits: no WCS"):
        list(source_of(settings_of(tmp_path, id="id", ra="x", dec="y"), ["g"]).entries())


# Pixels of all kinds


@pytest.mark.parametrize("dtype", [">f4", ">f8", "u1", ">i2", ">i4", ">i8", ">u2"])
def test_every_type_of_pixels_is_read_as_astropy_reads_it(tmp_path: Path, dtype: str) -> None:
    generator = np.random.default_rng(2)
    pixels = generator.uniform(0, 200, SHAPE).astype(dtype)
    write_one(tmp_path / "g" / "tile_a.fits", fits.ImageHDU(pixels, tile_header(*CENTRE)))
    compare_with_astropy(tmp_path)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_scaled_integers_and_blanks_are_what_the_header_says(tmp_path: Path, compressed: bool) -> None:
    stored = np.random.default_rng(2).integers(-1000, 1000, SHAPE).astype(np.int16)
    stored[60:80, 70:90] = -1001
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    hdu = kind(stored, tile_header(*CENTRE))
    write_one(tmp_path / "g" / "tile_a.fits", hdu)
    with fits.open(tmp_path / "g" / "tile_a.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[1].header.update({"BSCALE": 0.25, "BZERO": 7.0, "BLANK": -1001})
    in_the_middle().to_csv(tmp_path / "catalogue.csv")
    values = np.where(stored == -1001, np.nan, stored * 0.25 + 7.0)
    n_blank = 0
    for at, reading in readings(source_of(pixel_settings(tmp_path), ["g"])):
        np.testing.assert_array_equal(reading.pixels, reference(values, tile_header(*CENTRE), at))
        n_blank += int(np.isnan(reading.pixels).sum())
    assert n_blank


def readings(source: TilesSource) -> list[tuple[tuple[float, float], Reading]]:
    at = in_the_middle().set_index("id")
    entries = in_order(list(source.entries()))
    found = []
    for entry, reading in zip(entries, read(source, entries), strict=True):
        assert isinstance(reading, Reading), reading
        found.append((tuple(at.loc[entry.object, ["x", "y"]]), reading))
    return found


def compare_with_astropy(folder: Path, size_px: int = SIZE_PX) -> None:
    in_the_middle().to_csv(folder / "catalogue.csv")
    path = folder / "g" / "tile_a.fits"
    with fits.open(path) as hdus:
        pixels, header = np.array(hdus[1].data), hdus[1].header
    for at, reading in readings(source_of(pixel_settings(folder), ["g"], size_px=size_px, non_finite="fill")):
        np.testing.assert_array_equal(reading.pixels, reference(pixels, header, at, size_px))


@pytest.mark.parametrize("size_px", [SIZE_PX, 141])
@pytest.mark.parametrize(
    ("compression", "tile_shape"),
    [
        ("RICE_1", (1, SHAPE[1])),
        ("RICE_1", (48, 64)),
        ("GZIP_2", (1, SHAPE[1])),
        ("HCOMPRESS_1", (48, 64)),
        ("HCOMPRESS_1", SHAPE),
    ],
)
def test_compressed_tiles_are_read_as_astropy_reads_them_and_unpacked_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
    tile_shape: tuple[int, int],
    size_px: int,
) -> None:
    pixels = noise(np.random.default_rng(0))
    hdu = fits.CompImageHDU(
        pixels, tile_header(*CENTRE), compression_type=compression, tile_shape=tile_shape, quantize_level=16
    )
    write_one(tmp_path / "g" / "tile_a.fits", hdu)
    unpacked: list[int] = []
    real = tile_images._Stripes._unpack

    def counted(self: Any, number: int) -> Any:
        unpacked.append(number)
        return real(self, number)

    monkeypatch.setattr(tile_images._Stripes, "_unpack", counted)
    compare_with_astropy(tmp_path, size_px)
    assert len(unpacked) == len(set(unpacked)) > 0


def test_pixels_with_a_bit_of_the_mask_have_no_value(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    pixels, header = noise(generator), tile_header(*CENTRE)
    mask = generator.choice([0, 1, 2, 4, 6], SHAPE).astype(np.uint16)
    write_one(
        tmp_path / "g" / "tile_a.fits",
        fits.ImageHDU(pixels, header, name="IMAGE"),
        fits.ImageHDU(mask, name="MASK"),
        fits.ImageHDU(pixels, name="VARIANCE"),
    )
    in_the_middle().to_csv(tmp_path / "catalogue.csv")
    for bits, marks in (([2, 0], [1, 4, 6]), (None, [1, 2, 4, 6])):
        settings = pixel_settings(tmp_path, mask_hdu="MASK", mask_bits=bits)
        expected = np.where(np.isin(mask, marks), np.nan, pixels)
        for at, reading in readings(source_of(settings, ["g"], non_finite="fill")):
            np.testing.assert_array_equal(reading.pixels, reference(expected, header, at))
    settings = pixel_settings(tmp_path, mask_hdu="VARIANCE")
    with pytest.raises(InputError, match=r"tile_a.fits: mask without bits \(expected integers"):
        list(source_of(settings, ["g"]).entries())


def test_a_file_may_hold_all_bands_of_a_tile(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    images = {"g": noise(generator), "r": noise(generator)}
    header = tile_header(*CENTRE)
    write_one(tmp_path / "tile_a.fits", *(fits.ImageHDU(images[band], header, name=band) for band in "gr"))
    in_the_middle().to_csv(tmp_path / "catalogue.csv")
    settings = pixel_settings(tmp_path, images=f"{tmp_path}/tile_{{tile}}.fits", hdu={"g": "G", "r": 2})
    source = source_of(settings, catalogue=tmp_path / "catalogue.csv")
    with pytest.raises(InputError, match=r"expected a pattern with {band} or one for each band"):
        find_tiles(pixel_settings(tmp_path, images=f"{tmp_path}/tile_{{tile}}.fits"), "gr")
    at = in_the_middle().set_index("id")
    entries = in_order(list(source.entries()))
    assert [entry.band for entry in entries] == ["g", "r"] * len(at)
    for entry, reading in zip(entries, read(source, entries), strict=True):
        assert isinstance(reading, Reading)
        position = tuple(at.loc[entry.object, ["x", "y"]])
        np.testing.assert_array_equal(reading.pixels, reference(images[entry.band], header, position))


def test_what_is_beyond_the_edge_is_rejected_or_left_without_a_value(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=1)
    objects = [("inside", 80, 80), ("edge", 2, 80), ("corner", 0, 0), ("far", 500, 80), ("nan", np.nan, 1)]
    pd.DataFrame(objects, columns=["id", "x", "y"]).to_csv(tmp_path / "catalogue.csv", index=False)
    source = source_of(pixel_settings(tmp_path), ["g"])
    entries = list(source.entries())
    inside, *rejected = read(source, entries)
    assert isinstance(inside, Reading)
    n_beyond = [8 * 21, 21 * 21 - 11 * 11]
    assert [str(one) for one in rejected] == [
        f"beyond the edge of its tile ({n_beyond[0]} of 441 pixels)",
        f"beyond the edge of its tile ({n_beyond[1]} of 441 pixels)",
        "on no tile",
        "no position in the catalogue",
    ]
    source = source_of(pixel_settings(tmp_path), ["g"], non_finite="fill")
    _, edge, corner, *_ = read(source, list(source.entries()))
    for reading, n in zip((edge, corner), n_beyond, strict=True):
        assert isinstance(reading, Reading)
        assert np.isnan(reading.pixels).sum() == n


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    pixels = noise(np.random.default_rng(0))
    pixels[70:80] = np.nan
    write_one(tmp_path / "g" / "tile_a.fits", fits.ImageHDU(pixels, tile_header(*CENTRE)))
    compare_with_astropy(tmp_path)


# Catalogues


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "csv.gz", "fits.gz", "vot"])
def test_catalogues_of_all_kinds_say_the_same(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stronglens.sources.catalogue.BATCH_ROWS", 7)  # several batches
    write_tiles(tmp_path)
    objects = catalogue(40)
    objects.write(tmp_path / "catalogue.csv")
    expected = list(source_of(settings_of(tmp_path)).entries())
    path = tmp_path / f"other.{ending}"
    if ending in ("fits", "fits.gz", "vot"):
        objects["ra"].unit = "deg"
        objects["dec"] = np.radians(objects["dec"])
        objects["dec"].unit = "rad"
        objects.write(path, format="votable" if ending == "vot" else "fits")
    elif ending == "parquet":
        objects.to_pandas().to_parquet(path)
    else:
        objects.to_pandas().to_csv(path)
    found = list(source_of(settings_of(tmp_path), catalogue=path).entries())
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        # Radians and back may move the last digit.
        assert one._replace(path="", ra=0, dec=0) == other._replace(path="", ra=0, dec=0)
        assert (one.ra, one.dec) == pytest.approx((other.ra, other.dec), abs=1e-12)


def test_a_large_catalogue_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stronglens.sources.catalogue.BATCH_ROWS", 10)
    for ending in ("parquet", "fits", "csv"):
        path = tmp_path / f"catalogue.{ending}"
        Table({"id": np.arange(35), "other": np.zeros(35)}).write(path)
        sizes = [len(table) for table in read_catalogue(path, ["id"])]
        assert sizes == [10, 10, 10, 5]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a", 150, 2), ("a", 150.001, 2)],
            r"expected each object in one row \(column id\), found 1 in several, such as a",
        ),
        ([("a", 150, 2), ("", 150.001, 2)], r"row 2: expected a name in column id, found none"),
        ([("a", 150, 2), ("b", 150.001, 92)], r"row 2: expected ra and dec in degrees, found 150.001 and 92"),
        ([("a", "10:01:02", "2")], r"rows 1 to 1: expected numbers in column ra"),
        ([], "found no rows"),
    ],
)
def test_wrong_rows_are_refused_by_name(tmp_path: Path, rows: list[Any], message: str) -> None:
    write_tiles(tmp_path, n_tiles=1)
    pd.DataFrame(rows, columns=["id", "ra", "dec"]).to_csv(tmp_path / "catalogue.csv", index=False)
    with pytest.raises(InputError, match=message):
        list(source_of(settings_of(tmp_path)).entries())


def test_one_object_twice_on_one_tile_is_refused(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=2)
    rows = [("a", "t0", 80, 75), ("a", "t1", 60, 75), ("a", "t0", 50, 75)]
    pd.DataFrame(rows, columns=["id", "tile", "x", "y"]).to_csv(tmp_path / "catalogue.csv")
    with pytest.raises(InputError, match="such as a on tile t0"):
        list(source_of(pixel_settings(tmp_path, tile="tile")).entries())


def test_numbers_that_are_no_names_are_refused(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=1)
    Table({"id": [1.5, 2.0], "ra": [150.0, 150.0], "dec": [2.0, 2.0]}).write(tmp_path / "catalogue.parquet")
    source = source_of(settings_of(tmp_path), catalogue=tmp_path / "catalogue.parquet")
    with pytest.raises(InputError, match="expected text or integers in column id, found double"):
        list(source.entries())


# What is given


def test_tiles_are_named_by_what_stands_in_braces(tmp_path: Path) -> None:
    for tract in (8, 9):
        for band in "gr":
            write_one(tmp_path / f"HSC-{band.upper()}" / f"{tract}" / f"calexp-{tract}-4,4-v{tract}.fits")
    images = {
        band: f"{tmp_path}/HSC-{band.upper()}/{{tract}}/calexp-{{tract}}-{{patch}}-v*.fits" for band in "gr"
    }
    found = find_tiles(settings_of(tmp_path, images=images), "gr")
    assert list(found) == ["8-4,4", "9-4,4"]
    assert found["8-4,4"]["g"] == f"{tmp_path}/HSC-G/8/calexp-8-4,4-v8.fits"
    with pytest.raises(InputError, match="expected one image of each tile and band"):
        images = {band: f"{tmp_path}/HSC-{band.upper()}/*/calexp-*-{{patch}}-v*.fits" for band in "gr"}
        find_tiles(settings_of(tmp_path, images=images), "gr")
    with pytest.raises(InputError, match="expected a pattern for each band"):
        find_tiles(settings_of(tmp_path, images=images), "gri")
    with pytest.raises(InputError, match="expected images of tiles in band i, found no file"):
        find_tiles(settings_of(tmp_path, images=f"{tmp_path}/{{band}}/{{tile}}.fits"), "i")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dec": None}, "give ra and dec, or x, y and origin"),
        ({"x": "x", "y": "y", "origin": 1}, "give ra and dec, or x, y and origin"),
        ({"ra": None, "dec": None, "x": "x", "y": "y"}, "0 or 1"),
        ({"images": "/data/{band}/{a b}.fits"}, "must be words"),
        ({"images": {"g": "/g/{tile}.fits", "r": "/r/{patch}.fits"}}, "name tiles in the same way"),
    ],
)
def test_settings_that_could_mean_two_things_are_refused(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        settings_of(tmp_path, **given)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:40_000]), "truncated"),
        (lambda path: path.write_bytes(b"<html></html>"), "no FITS file"),
        (
            lambda path: path.write_bytes(b"\x1f\x8b" + bytes(100)),
            "unpack a file that is compressed as a whole",
        ),
    ],
)
def test_a_broken_tile_stops_packing_and_is_named(tmp_path: Path, spoil: Any, message: str) -> None:
    write_tiles(tmp_path)
    catalogue(5).write(tmp_path / "catalogue.csv")
    spoil(tmp_path / "r" / "tile_t1.fits")
    with pytest.raises(InputError, match=rf"found 1 that are none: .*tile_t1.fits: .*{message}"):
        list(source_of(settings_of(tmp_path)).entries())


def test_of_several_images_none_is_guessed(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = [noise(generator), noise(generator)]
    header = tile_header(*CENTRE)
    write_one(
        tmp_path / "g" / "tile_a.fits",
        fits.ImageHDU(images[0], header, name="COADD"),
        fits.ImageHDU(images[1], header, name="ERROR"),
    )
    in_the_middle().to_csv(tmp_path / "catalogue.csv")
    with pytest.raises(InputError, match=r"several images \(HDU 1 COADD, HDU 2 ERROR; give"):
        list(source_of(pixel_settings(tmp_path), ["g"]).entries())
    for hdu in (1, "COADD"):
        for at, reading in readings(source_of(pixel_settings(tmp_path, hdu=hdu), ["g"])):
            np.testing.assert_array_equal(reading.pixels, reference(images[0], header, at))


def test_what_is_there_is_checked_in_a_moment(tmp_path: Path) -> None:
    write_tiles(tmp_path)
    source = source_of(settings_of(tmp_path))
    with pytest.raises(InputError, match=r"catalogue.csv: expected a catalogue, found no file"):
        source.check()
    catalogue(3).write(tmp_path / "catalogue.csv")
    source.check()
    with pytest.raises(InputError, match="found none named RA among id, ra, dec"):
        source_of(settings_of(tmp_path, ra="RA")).check()
    assert len(pickle.dumps(source)) < 2000


def test_a_name_of_tiles_that_differs_from_band_to_band_is_refused(tmp_path: Path) -> None:
    """DES has the number of a run there: each image would be a tile of one band."""
    for tile in ("a", "b"):
        for band, run in (("g", "r1"), ("r", "r2")):
            write_one(tmp_path / f"{tile}_{run}_{band}.fits", fits.ImageHDU(np.zeros((3, 3))))
    place = settings_of(tmp_path, images=f"{tmp_path}/{{tile}}_{{run}}_{{band}}.fits")
    with pytest.raises(InputError, match=r"found 4 with one each, such as a-r1, b-r1, .*; write \* in place"):
        find_tiles(place, ["g", "r"])
    found = find_tiles(settings_of(tmp_path, images=f"{tmp_path}/{{tile}}_*_{{band}}.fits"), ["g", "r"])
    assert {tile: [*of_band] for tile, of_band in found.items()} == {"a": ["g", "r"], "b": ["g", "r"]}
