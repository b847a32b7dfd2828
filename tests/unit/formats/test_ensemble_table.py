"""The table of an ensemble and what describes it."""

from pathlib import Path

import pytest

from sidecar_examples import EXAMPLES, put
from stronglens.formats.artefact import sha256_of
from stronglens.formats.ensemble_table import (
    EnsembleDescription,
    csv_name,
    description_of,
    json_name,
    open_ensemble,
)
from stronglens.formats.tables import REAL
from stronglens.running.errors import InputError


def write(folder: Path, name: str = "test_ens.csv") -> Path:
    path = folder / name
    path.write_text("object,prob\na,0.5\n")
    put(folder / "test_ens.json", EXAMPLES[EnsembleDescription] | {"sha256": {name: sha256_of(path)}})
    return path


def test_names_belong_together() -> None:
    assert (csv_name("val"), json_name("val")) == ("val_ens.csv", "val_ens.json")
    assert csv_name("test", labelled=True) == "test_ens_labeled.csv"
    for labelled in (True, False):
        assert description_of(Path("/d") / csv_name("test", labelled=labelled)) == Path("/d/test_ens.json")


@pytest.mark.parametrize("name", ["test_ens.csv", "test_ens_labeled.csv"])
def test_a_table_is_opened_with_its_description(tmp_path: Path, name: str) -> None:
    table = open_ensemble(write(tmp_path, name))
    assert table.level == "object"
    assert [str(member) for member in table.description.members] == ["nano seed 42", "nano seed 43"]
    assert table.description.members[1].test_time_augmentation
    assert table.read({"prob": REAL})["prob"].to_pylist() == [0.5]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("object,prob\na,0.6\n")
    with pytest.raises(InputError, match=r"test_ens\.csv: expected sha256 .*test_ens\.json"):
        open_ensemble(path)
    with pytest.raises(InputError, match=r"expected the sha256 of test_ens_labeled\.csv, found none"):
        open_ensemble(tmp_path / "test_ens_labeled.csv")
