"""Sorted tables of any size become one sorted stream."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stronglens.ensembling import merge
from stronglens.ensembling.merge import sorted_stream
from stronglens.formats.tables import TEXT
from stronglens.running.errors import InputError


@pytest.mark.parametrize("seed", range(20))
def test_merge_of_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch_rows, rows_in_memory, n_tables = rng.integers(1, 9), rng.integers(1, 40), rng.integers(1, 9)
    monkeypatch.setattr(merge, "BATCH_ROWS", int(batch_rows))
    monkeypatch.setattr(merge, "ROWS_IN_MEMORY", int(rows_in_memory))
    keys = rng.choice(10_000, rng.integers(0, 120), replace=False)
    # Runs of neighbours in one table are the hard case: the others wait.
    table_of = (keys // 500 + rng.integers(0, 2, len(keys))) % n_tables
    tables = []
    for number in range(n_tables):
        of_table = sorted(str(key) for key in keys[table_of == number])
        tables.append(pa.table({"key": pa.array(of_table, TEXT), "value": [int(key) for key in of_table]}))
    with sorted_stream(tables, "key", tmp_path / "scratch") as stream:
        merged = [row for table in stream for row in table.to_pylist()]
    assert merged == [{"key": key, "value": int(key)} for key in sorted(str(key) for key in keys)]
    assert not (tmp_path / "scratch").exists()


def test_merge_finds_repeated_keys(tmp_path: Path) -> None:
    tables = [pa.table({"key": pa.array(keys, TEXT)}) for keys in (["a", "c"], ["b", "c"])]
    with (
        pytest.raises(InputError, match="c: expected every key in one part"),
        sorted_stream(tables, "key", tmp_path / "scratch") as stream,
    ):
        list(stream)
    assert not (tmp_path / "scratch").exists()


def test_tables_that_cannot_be_kept_are_an_error_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    table = pa.table({"key": pa.array(["a"], TEXT)})
    with (
        pytest.raises(InputError, match="scratch: expected a file that can be written"),
        sorted_stream([table], "key", tmp_path / "file" / "scratch"),
    ):
        pass


def test_what_an_earlier_try_left_is_not_merged(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/0.arrow").write_text("half a table")
    tables = [pa.table({"key": pa.array(keys, TEXT)}) for keys in (["b"], ["a", "c"], [])]
    with sorted_stream(tables, "key", tmp_path / "scratch") as stream:
        assert [key for table in stream for key in table["key"].to_pylist()] == ["a", "b", "c"]
