"""The contact sheet of an inspection: read as it was written, with its own cutouts."""

from pathlib import Path

import numpy as np
import pytest

from stronglens.formats.inspection_files import ContactSheet, SheetDescription, read_sheet, write_sheet
from stronglens.running.errors import InputError

CUTOUTS = np.random.default_rng(1).normal(0, 1, (3, 5, 5)).astype(np.float32)
SHEET = ContactSheet(
    dataset="labelled",
    n_cutouts=70,
    n_objects=40,
    n_most=6,
    bands=["r", "g"],
    objects={"z_lenses": ["z/2", "z/1"], "a_lenses": [], "": ["x"]},
    cutout_keys=[("z/2", "g"), ("z/1", "r"), ("x", "g")],
    cutouts=CUTOUTS,
)


def test_a_sheet_comes_back_in_its_order(tmp_path: Path) -> None:
    write_sheet(tmp_path, SHEET)
    found = read_sheet(tmp_path)
    np.testing.assert_array_equal(found.cutouts, CUTOUTS)
    assert found.cutouts.dtype == np.float32
    assert list(found.objects.items()) == list(SHEET.objects.items())  # not by name
    assert list(found.bands) == ["r", "g"]
    assert [tuple(key) for key in found.cutout_keys] == SHEET.cutout_keys
    assert (found.dataset, found.n_cutouts, found.n_objects, found.n_most) == ("labelled", 70, 40, 6)


def test_other_cutouts_are_refused(tmp_path: Path) -> None:
    write_sheet(tmp_path, SHEET)
    np.save(tmp_path / "contact_sheet.npy", CUTOUTS + 1)
    with pytest.raises(InputError, match=r"contact_sheet\.npy: expected sha256 .*contact_sheet\.json"):
        read_sheet(tmp_path)
    (tmp_path / "contact_sheet.npy").unlink()
    with pytest.raises(InputError, match=r"contact_sheet\.npy: expected the file that"):
        read_sheet(tmp_path)


def test_a_description_names_its_cutouts(tmp_path: Path) -> None:
    write_sheet(tmp_path, SHEET)
    described = SheetDescription.read(tmp_path / "contact_sheet.json").model_dump()
    with pytest.raises(ValueError, match=r"expected the sha256 of contact_sheet\.npy, found none"):
        SheetDescription.model_validate(described | {"sha256": {"other.npy": "s"}})
