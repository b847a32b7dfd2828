"""The table of known lenses: read as it was written, and the nearest lens of each object."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sidecar_examples import EXAMPLES
from stronglens.formats.known_lenses import COLUMNS, KnownLenses, known_by_object, read_known, write_known
from stronglens.running.errors import InputError

NAN = np.nan
TABLE = pd.DataFrame(
    [
        ["mine", "Cross", 1.0, 2.0, "recovered", "007", 1.5, 0.1 + 0.2, 0.01],
        ["mine", "NA", 1.0, 2.0, "unreadable", "a,b", 0.5, NAN, NAN],
        ["mine", "Ring", 1.0, 2.0, "recovered", "a,b", 0.25, 0.5, 0.01],
        ["other", "1", 3.0, 4.0, "outside", "", NAN, NAN, NAN],
    ],
    columns=list(COLUMNS),
)


def write(folder: Path) -> Path:
    described: dict[str, Any] = {
        key: value for key, value in EXAMPLES[KnownLenses].items() if key != "sha256"
    }
    write_known(folder, TABLE, **described)
    return folder / "known_lenses.csv"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    table, description = read_known(write(tmp_path))
    pd.testing.assert_frame_equal(table, TABLE, check_dtype=False)
    assert table["name"].tolist() == ["Cross", "NA", "Ring", "1"]  # text, whatever it looks like
    assert description.tables["mine"].outside == 2


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace("Cross", "Other"))
    with pytest.raises(InputError, match=r"known_lenses\.csv: expected sha256"):
        read_known(path)


def test_each_object_goes_by_its_nearest_lens() -> None:
    assert known_by_object(TABLE) == {"007": "Cross", "a,b": "Ring"}
    assert known_by_object(TABLE.iloc[3:]) == {}
