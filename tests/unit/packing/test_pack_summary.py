"""What a packed set holds, counted on tables that are made up."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stronglens.packing.pack import SCHEMA
from stronglens.packing.pack_summary import RejectedFile, log_summary, object_bands, summarise
from stronglens.settings.data import PackSettings
from stronglens.sources.bands_found import bands_of
from stronglens.sources.find import FoundFile, Leftover

SETTINGS = PackSettings(path="/data", bands=["g", "r"])
ROWS = [
    # object, band, label, id in the header, hash of the pixels
    ("a", "g", 1, "one", "h1"),
    ("a", "r", 1, "one", "h2"),
    ("b", "g", 0, "one", "h3"),
    ("c", "g", 1, "two", "h1"),
    ("c", "r", 1, "", "h4"),
    ("d", "single", 0, "", "h5"),
]


def found(*names: tuple[str, str]) -> list[FoundFile]:
    bands = bands_of(SETTINGS)
    paths = [f"/data/{key}_{band}.fits" for key, band in names]
    return [
        FoundFile(0, 0, key, bands.index(band), path, path)
        for (key, band), path in zip(names, paths, strict=True)
    ]


def index() -> pa.Table:
    columns = {
        "object": [row[0] for row in ROWS],
        "band": [row[1] for row in ROWS],
        "path": [f"/data/{row[0]}_{row[1]}.fits" for row in ROWS],
        "bucket": [""] * len(ROWS),
        "domain": ["hsc"] * 4 + ["slsim"] * 2,
        "label": [row[2] for row in ROWS],
        "header_id": [row[3] for row in ROWS],
        "pixel_hash": [row[4] for row in ROWS],
        "ra": [np.nan] * len(ROWS),
        "dec": [np.nan] * len(ROWS),
        "unit": [""] * len(ROWS),
        "zero_point": [np.nan] * len(ROWS),
    }
    return pa.table(columns, SCHEMA)


def summary(**changed: Any) -> dict[str, Any]:
    """Of `ROWS`, three files that could not be read, and an object of which nothing could."""
    files = found(
        *[(row[0], row[1]) for row in ROWS[:3]], ("b", "r"), *[(row[0], row[1]) for row in ROWS[3:]]
    )
    files += found(("e", "g"), ("f", "r"))
    rejected = {
        number: RejectedFile(files[number].path, "", files[number].object, "g", reason)
        for number, reason in ((3, "constant image (0 everywhere)"), (7, "constant image (1 everywhere)"))
    }
    rejected[8] = RejectedFile(files[8].path, "", "f", "g", "non-finite pixels (3)")
    objects = object_bands(files, rejected, SETTINGS)
    leftovers = [Leftover("/data/readme", "", "no FITS file"), Leftover("/data/x", "", "no FITS file")]
    return summarise(SETTINGS, objects, index(), rejected, leftovers) | changed


def test_objects_have_the_bands_of_their_files() -> None:
    files = found(("a", "g"), ("a", "r"), ("b", "r"), ("c", "single"))
    objects = object_bands(files, [1, 2], SETTINGS)
    assert objects.names == ["a", "b", "c"]
    assert objects.on_disk.tolist() == [[True, True], [False, True], [True, True]]
    assert objects.packed.tolist() == [[True, False], [False, False], [True, True]]


def test_what_is_there_is_counted() -> None:
    found = summary()
    assert (found["n_files"], found["n_cutouts"], found["n_rejected"]) == (9, 6, 3)
    assert (found["n_objects"], found["n_objects_incomplete"]) == (4, 1)  # b has no readable r
    assert found["unreadable_objects"] == ["e", "f"]
    assert found["counts"]["label"] == {"0": 2, "1": 4}
    assert found["counts"]["domain"] == {"hsc": 4, "slsim": 2}
    assert found["counts"]["band"] == {"g": 3, "r": 2, "single": 1}
    assert found["rejected"] == {"constant image": 2, "non-finite pixels": 1}
    assert found["leftovers"] == {"no FITS file": 2}
    assert found["missing_bands"] == {
        "g": {"n_objects": 1, "first": ["f"]},
        "r": {"n_objects": 1, "first": ["e"]},
    }
    assert found["labelled"] is False


def test_what_objects_share_is_named() -> None:
    """An id of a lens and of a non-lens; an image of two lenses."""
    found = summary()
    assert found["shared_header_ids"] == {"n": 1, "n_members": 2, "n_both_labels": 1, "first": [["a", "b"]]}
    assert found["identical_cutouts"] == {
        "n": 1,
        "n_members": 2,
        "n_both_labels": 0,
        "first": [["/data/a_g.fits", "/data/c_g.fits"]],
    }


def test_nothing_shared_is_nothing_named() -> None:
    table = index()
    alone = table.set_column(
        7, "pixel_hash", pa.array([str(row) for row in range(6)], table["pixel_hash"].type)
    )
    alone = alone.set_column(6, "header_id", pa.array([""] * 6, table["header_id"].type))
    objects = object_bands(found(*[(row[0], row[1]) for row in ROWS]), [], SETTINGS)
    summed = summarise(SETTINGS, objects, alone, {}, [])
    nothing: dict[str, Any] = {"n": 0, "n_members": 0, "n_both_labels": 0, "first": []}
    assert summed["shared_header_ids"] == summed["identical_cutouts"] == nothing


def test_oddities_are_warnings_with_examples(caplog: pytest.LogCaptureFixture) -> None:
    files = {number: RejectedFile(f"/data/{number}.fits", "", "", "", "truncated") for number in range(103)}
    filled = {"n_pixels": 5, "n_cutouts": 2, "first": ["/data/a_g.fits"]}
    with caplog.at_level(logging.INFO, "stronglens"):
        log_summary(summary(filled=filled), files, [Leftover("/data/readme", "", "no FITS file")])
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings[:2] == ["rejected: '/data/0.fits': truncated", "rejected: '/data/1.fits': truncated"]
    assert warnings[99:] == [
        "rejected: '/data/99.fits': truncated",
        "3 more files rejected: see rejected.csv",
        "1 objects have no file in band g: 'f'",
        "1 objects have no file in band r: 'e'",
        "5 pixels of 2 cutouts were not finite and are filled with the median of the others: "
        "'/data/a_g.fits'",
        "2 objects without any readable cutout: 'e', 'f'",
        "1 ids in the files belong to 2 objects: 'a', 'b'",
        "1 ids in the files belong to lenses and to non-lenses",
        "1 images belong to 2 cutouts: '/data/a_g.fits', '/data/c_g.fits'",
    ]
    assert "labelled: 6 cutouts of 4 objects packed" in caplog.messages
    assert "2 not cutouts, no FITS file: '/data/readme'" in caplog.messages


def test_a_set_without_oddities_gives_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    table = index().slice(5)
    objects = object_bands(found(("d", "single")), [], SETTINGS)
    nothing = {"filled": {"n_pixels": 0, "n_cutouts": 0, "first": []}}
    with caplog.at_level(logging.WARNING, "stronglens"):
        log_summary(summarise(SETTINGS, objects, table, {}, []) | nothing, {}, [])
    assert caplog.messages == []
