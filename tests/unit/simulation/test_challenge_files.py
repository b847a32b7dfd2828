"""Files in the format of the challenge, read by astropy."""

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from stronglens.simulation.challenge_files import BLOCK_BYTES, blind_bytes, labelled_bytes, write_parameters

IMAGE = np.random.default_rng(1).normal(0, 3, (7, 7))


@pytest.mark.parametrize("column", ["Lens ID", "Object ID"])
@pytest.mark.parametrize("header_id", ["x", "lens_0001"])
def test_a_labelled_file_holds_its_id_and_its_image(column: str, header_id: str) -> None:
    content = labelled_bytes(IMAGE, "r", header_id, column, 9)
    assert len(content) % BLOCK_BYTES == 0
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[0].data is None
        (row,) = hdus[1].data
        assert hdus[1].columns.names == [column, "band_r"]
        assert row[column] == header_id
        np.testing.assert_array_equal(row["band_r"], IMAGE)


def test_a_blind_file_holds_its_image_alone() -> None:
    content = blind_bytes(IMAGE)
    with fits.open(io.BytesIO(content)) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 1
        np.testing.assert_array_equal(hdus[0].data, IMAGE)
    assert blind_bytes(IMAGE + 1) != content == blind_bytes(IMAGE)


def test_parameters_are_a_row_an_object(tmp_path: Path) -> None:
    write_parameters(
        tmp_path / "parameters.fits", [{"Lens ID": "a", "Rein": 0.5}, {"Lens ID": "b", "Rein": 1}]
    )
    with fits.open(tmp_path / "parameters.fits") as hdus:
        assert hdus[1].data["Lens ID"].tolist() == ["a", "b"]
        assert hdus[1].data["Rein"].tolist() == [0.5, 1.0]
