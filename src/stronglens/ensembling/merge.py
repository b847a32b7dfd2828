"""Joining sorted tables into one sorted stream, in bounded memory."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, ipc

from stronglens.formats.artefact import writing
from stronglens.running.errors import InputError

ROWS_IN_MEMORY = 262_144
"""Rows of all tables together that are held at once, if there are fewer tables than that."""


@contextmanager
def sorted_stream(tables: Iterable[pa.Table], key: str, scratch: Path) -> Iterator[Iterator[pa.Table]]:
    """Merge tables, each sorted by a column, into one stream sorted by it.

    Parameters
    ----------
    tables : iterable of Table
        All of one schema, each in ascending order of `key` and consumed one at a time.
    key : str
        The column.
    scratch : Path
        A folder to keep the tables in until the block ends; emptied before and removed after.

    Yields
    ------
    iterator of Table
        The rows of all tables in ascending order of `key`, a few at a time. How the rows were spread over
        the tables changes nothing but the places where the stream is cut.

    Raises
    ------
    InputError
        A table cannot be kept in the folder; or, while the stream is consumed: two rows have the same key.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with writing(scratch):
            scratch.mkdir(parents=True)
        runs = []
        for number, table in enumerate(tables):
            runs.append(scratch / f"{number}.arrow")
            with writing(runs[-1]), ipc.new_file(runs[-1], table.schema) as writer:
                # Many small batches, so that reading one from each of many tables still takes little memory.
                writer.write_table(table, max_chunksize=BATCH_ROWS)
        yield _merge([_Run(path, max(1, ROWS_IN_MEMORY // BATCH_ROWS // len(runs))) for path in runs], key)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


BATCH_ROWS = 4096


class _Run:
    """One sorted table on disk and the rows of it that are in memory."""

    def __init__(self, path: Path, n_batches: int) -> None:
        self._path = path
        self._n_batches = n_batches
        self._next = 0
        self.rows: pa.Table
        self.exhausted = False
        self.refill()

    def refill(self) -> None:
        # The file is opened anew each time: a thousand parts must not need a thousand open files.
        with pa.OSFile(str(self._path)) as file, ipc.open_file(file) as reader:
            end = min(self._next + self._n_batches, reader.num_record_batches)
            batches = [reader.get_batch(number) for number in range(self._next, end)]
            self.rows = pa.Table.from_batches(batches, reader.schema)
            self._next = end
            self.exhausted = end == reader.num_record_batches


def _merge(runs: list[_Run], key: str) -> Iterator[pa.Table]:
    while runs:
        # All rows up to the first of the keys at which a table continues on disk are in memory.
        bounds = [run.rows[key][-1].as_py() for run in runs if not run.exhausted]
        bound = min(bounds, default=None)
        ready = []
        for run in runs:
            n_ready = len(run.rows) if bound is None else _count_up_to(run.rows[key], bound)
            ready.append(run.rows.slice(0, n_ready))
            run.rows = run.rows.slice(n_ready)
            if not len(run.rows) and not run.exhausted:
                run.refill()
        runs = [run for run in runs if len(run.rows)]
        merged = pa.concat_tables(ready)
        merged = merged.take(compute.sort_indices(merged[key]))
        _check_differ(merged, key)
        yield merged


def _count_up_to(keys: pa.ChunkedArray, bound: str) -> int:
    return int(np.count_nonzero(compute.less_equal(keys, bound).to_numpy()))


def _check_differ(merged: pa.Table, key: str) -> None:
    keys = merged[key].combine_chunks()
    repeated = compute.equal(keys.slice(1), keys.slice(0, max(len(keys) - 1, 0))).to_numpy(
        zero_copy_only=False
    )
    if repeated.any():
        name = keys[int(np.argmax(repeated))].as_py()
        raise InputError(f"{name}: expected every {key} in one part of the data only, found it in two")
