"""Packing coadd tiles: from images and a catalogue to `cutouts.npy`, by the step that the workflow calls."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

import build_buckets as step
from fits_files import primary_bytes
from stronglens.formats.packed import open_packed
from stronglens.settings.data import DataSettings, PackSettings, TestSetSettings
from tile_files import catalogue, write_tiles

SIZE_PX = 21
BANDS = ["g", "r"]


def tiles_of(folder: Path) -> dict[str, Any]:
    return {"images": f"{folder}/{{band}}/tile_{{tile}}.fits", "id": "id", "ra": "ra", "dec": "dec"}


def pack(settings: dict[str, Any], out_dir: Path, *options: str) -> Path:
    checked = PackSettings.model_validate(
        {"size_px": SIZE_PX, "bands": BANDS} | settings | {"max_rejected": 0.9}
    )
    arguments = ["--settings", checked.model_dump_json(), "--out-dir", str(out_dir), *options]
    assert step.main([*arguments, "--processes", "1"] if "--processes" not in options else arguments) == 0
    return out_dir


def rejected(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejected.csv").open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("non_finite", ["reject", "fill"])
def test_tiles_and_a_catalogue_are_packed_as_cutout2d_cuts_them(tmp_path: Path, non_finite: str) -> None:
    tiles = write_tiles(tmp_path)
    objects = catalogue(60)
    objects.write(tmp_path / "catalogue.csv")
    settings = {"path": f"{tmp_path}/catalogue.csv", "tiles": tiles_of(tmp_path), "non_finite": non_finite}
    packed = open_packed(pack(settings, tmp_path / "packed"))
    sky = {row["id"]: SkyCoord(row["ra"], row["dec"], unit="deg") for row in objects}
    n_filled = 0
    for row, cutout in zip(packed.index.itertuples(), packed.cutouts, strict=True):
        assert (row.ra, row.dec) == pytest.approx(
            (sky[row.object].ra.deg, sky[row.object].dec.deg), abs=1e-12
        )
        assert row.header_id == row.object
        pixels, header = tiles[row.path.partition(".fits[")[0].rpartition("tile_")[2], row.band]
        expected = Cutout2D(
            pixels, sky[row.object], SIZE_PX, wcs=WCS(header), mode="partial", fill_value=np.nan
        ).data
        n_filled += int(np.isnan(expected).sum())
        np.testing.assert_array_equal(
            cutout, np.where(np.isnan(expected), np.float32(np.nanmedian(expected)), expected)
        )
    lost = rejected(tmp_path / "packed")
    reasons = {row["reason"].partition(" (")[0] for row in lost}
    assert {(row.object, row.band) for row in packed.index.itertuples()} | {
        (row["object"], row["band"]) for row in lost
    } == {(name, band) for name in objects["id"] for band in BANDS}
    assert len(packed.index) + len(lost) == 2 * len(objects)
    if non_finite == "reject":
        assert reasons == {"on no tile", "beyond the edge of its tile"}
        assert n_filled == 0
    else:
        assert summary(tmp_path / "packed")["filled"]["n_pixels"] == n_filled > 0


def test_units_and_zero_points_are_those_of_the_headers(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=1)
    for path in tmp_path.glob("*/*.fits"):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["MAGZERO"] = 27.0 if path.parent.name == "g" else 28.5
            hdus[1].header["BUNIT"] = "nJy"
    catalogue(10, 1, margin_px=40).write(tmp_path / "catalogue.csv")
    settings = {"path": f"{tmp_path}/catalogue.csv", "tiles": tiles_of(tmp_path), "zero_point": "MAGZERO"}
    index = open_packed(pack(settings, tmp_path / "packed")).index
    assert set(index["unit"]) == {"nJy"}
    assert index.groupby("band")["zero_point"].unique().map(list).to_dict() == {"g": [27.0], "r": [28.5]}


def test_labelled_buckets_share_the_tiles_of_the_data(tmp_path: Path) -> None:
    write_tiles(tmp_path)
    for seed, name in enumerate(("lenses", "galaxies")):
        catalogue(20, seed=seed, margin_px=30).write(tmp_path / f"{name}.csv")
    data = DataSettings.model_validate(
        {
            "labelled": {
                "lenses": {"path": f"{tmp_path}/lenses.csv", "label": "lens", "domain": "hsc"},
                "galaxies": {
                    "tiles": tiles_of(tmp_path) | {"catalogue": f"{tmp_path}/galaxies.csv"},
                    "label": "nonlens",
                    "domain": "hsc",
                },
            },
            "tiles": tiles_of(tmp_path),
            "size_px": SIZE_PX,
            "bands": BANDS,
        }
    )
    settings = PackSettings.of_labelled(data).model_dump()
    index = open_packed(pack(settings, tmp_path / "packed")).index
    counts = index.groupby(["bucket", "label", "domain"]).size().to_dict()
    assert counts == {("galaxies", 0, "hsc"): 40, ("lenses", 1, "hsc"): 40}
    assert index["object"].str.startswith(("galaxies/o", "lenses/o")).all()


def test_parts_follow_the_tiles_and_hold_every_object_once(tmp_path: Path) -> None:
    write_tiles(tmp_path, n_tiles=5)
    catalogue(60, 5).write(tmp_path / "catalogue.csv")
    testset = TestSetSettings.model_validate(
        {"tiles": tiles_of(tmp_path) | {"catalogue": f"{tmp_path}/catalogue.csv"}, "parts": 3}
    )
    data = PackSettings(path="x", size_px=SIZE_PX, bands=BANDS)
    settings = PackSettings.of_testset("field", testset, data).model_dump()
    whole = open_packed(pack(settings, tmp_path / "whole"))
    parts = [
        open_packed(pack(settings, tmp_path / f"part_{part}", "--part", str(part), "--parts", "3"))
        for part in range(3)
    ]
    tiles = [set(part.index["path"].str.extract(r"tile_(\w+)\.fits")[0]) for part in parts]
    assert sum(map(len, tiles)) == len(set.union(*tiles)) == 5
    assert sum(bool(found) for found in tiles) > 1
    cutouts = {
        (row.object, row.band): cutout
        for part in parts
        for row, cutout in zip(part.index.itertuples(), part.cutouts, strict=True)
    }
    assert len(cutouts) == sum(len(part.index) for part in parts) == len(whole.index) > 50
    lost = [row["path"] for part in range(3) for row in rejected(tmp_path / f"part_{part}")]
    assert sorted(lost) == sorted(row["path"] for row in rejected(tmp_path / "whole"))
    for row, cutout in zip(whole.index.itertuples(), whole.cutouts, strict=True):
        np.testing.assert_array_equal(cutouts[row.object, row.band], cutout)


def test_the_same_bytes_for_any_number_of_processes_and_as_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = write_tiles(tmp_path, n_tiles=1)
    # All in one stripe of rows: what comes from there is in the order of names, as files are.
    rows = [(f"o{number:02d}", 30 + number * 3.3, 77 + number % 7) for number in range(30)]
    pd.DataFrame(rows, columns=["id", "x", "y"]).to_csv(tmp_path / "catalogue.csv", index=False)
    where = {"images": f"{tmp_path}/{{band}}/tile_t0.fits", "id": "id", "x": "x", "y": "y", "origin": 0}
    (tmp_path / "files").mkdir()
    for name, x, y in rows:
        for band in BANDS:
            image = Cutout2D(tiles["t0", band][0], (x, y), SIZE_PX).data
            (tmp_path / "files" / f"{name}_{band}.fits").write_bytes(primary_bytes(image))
    for module in ("blocks", "pack"):
        monkeypatch.setattr(f"stronglens.packing.{module}.BLOCK_FILES", 16)
    settings = {"path": f"{tmp_path}/catalogue.csv", "tiles": where}
    one = pack(settings, tmp_path / "one")
    two = pack(settings, tmp_path / "two", "--processes", "2")
    files = pack({"path": f"{tmp_path}/files"}, tmp_path / "from_files")
    assert (one / "cutouts.npy").read_bytes() == (files / "cutouts.npy").read_bytes()
    for name in ("cutouts.npy", "index.parquet", "rejected.csv", "summary.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_compressed_tiles_give_what_plain_ones_give(tmp_path: Path) -> None:
    write_tiles(tmp_path / "plain")
    for path in (tmp_path / "plain").glob("*/*.fits"):
        other = tmp_path / "packed" / path.relative_to(tmp_path / "plain")
        other.parent.mkdir(parents=True, exist_ok=True)
        with fits.open(path) as hdus:
            hdu = fits.CompImageHDU(hdus[1].data, hdus[1].header, compression_type="GZIP_2", quantize_level=0)
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(other)
    catalogue(40).write(tmp_path / "catalogue.csv")
    found = [
        open_packed(
            pack(
                {"path": f"{tmp_path}/catalogue.csv", "tiles": tiles_of(tmp_path / kind)},
                tmp_path / f"out_{kind}",
            )
        )
        for kind in ("plain", "packed")
    ]
    np.testing.assert_array_equal(found[0].cutouts, found[1].cutouts)
    assert len(found[0].cutouts) > 40
