"""The files of a member's predictions, written as they come."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from stronglens.formats.artefact import sha256_of, write_aside, write_json, writing
from stronglens.formats.tables import write_names, write_rows

_COLUMNS = ("path", "domain", "label", "prob", "pred", "object", "band")
_ARRAYS = {"labels": ("label", "<i8"), "probs": ("prob", "<f8"), "preds": ("pred", "<i8")}
"""Column and type of each array."""


class PredictionFiles:
    """Files to which predictions are added: a table in CSV, and arrays beside it.

    Parameters
    ----------
    asides : mapping of Path to Path
        Where to write each file meanwhile, by its final name: the table's first, then those of `_ARRAYS`.
    n_samples : int
        How many are going to be added.
    estimates : sequence of str
        Names of the lens parameters that are estimated.
    """

    def __init__(self, asides: Mapping[Path, Path], n_samples: int, estimates: Sequence[str]) -> None:
        self._asides = asides
        self._csv_path, *self._npy_paths = asides
        self.n_samples = 0
        self.n_objects = 0
        self._last_object: str | None = None
        with writing(self._csv_path), asides[self._csv_path].open("wb") as binary:
            write_names(binary, [*_COLUMNS, *estimates])
        for path, (_, kind) in zip(self._npy_paths, _ARRAYS.values(), strict=True):
            header = {"descr": kind, "fortran_order": False, "shape": (n_samples,)}
            with writing(path), asides[path].open("wb") as binary:
                np.lib.format.write_array_header_1_0(binary, header)

    def add(
        self,
        table: pd.DataFrame,
        probs: npt.NDArray[np.float64],
        estimates: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        """Add the predictions of some samples; those of an object come one after the other.

        Parameters
        ----------
        table : DataFrame
            path, domain, label, object, band.
        probs : ndarray of float64, shape (n_samples,)
            Of being a lens.
        estimates : mapping of str to ndarray of float64, shape (n_samples,)
            Lens parameters, by their names.
        """
        rows = table.assign(prob=probs, pred=(probs >= 0.5).astype(np.int64))[list(_COLUMNS)]
        rows = rows.assign(**estimates)
        # Closed each time: what a full disk does not take is told here, with the name of its file.
        aside = self._asides[self._csv_path]
        with writing(self._csv_path), aside.open("ab") as binary:
            write_rows(binary, pa.Table.from_pandas(rows, preserve_index=False))
        for path, (column, kind) in zip(self._npy_paths, _ARRAYS.values(), strict=True):
            with writing(path), self._asides[path].open("ab") as binary:
                binary.write(rows[column].to_numpy(kind).tobytes())
        objects = rows["object"].to_numpy()
        self.n_samples += len(rows)
        self.n_objects += len(np.unique(objects)) - int(self._last_object in objects[:1])
        self._last_object = objects[-1]


@contextmanager
def prediction_files(
    out_dir: Path, which: str, n_samples: int, origin: Mapping[str, Any], estimates: Sequence[str] = ()
) -> Iterator[PredictionFiles]:
    """Give files for the predictions of so many samples; they take their names once all are there.

    Writes `pred_{which}.csv` (path, domain, label, prob, pred, object, band, and a column for each lens
    parameter), the same but for these as `labels_{which}.npy`, `probs_{which}.npy`, `preds_{which}.npy`, and
    `pred_{which}.json`, which describes them, last.

    Parameters
    ----------
    out_dir : Path
        Where they go.
    which : str
        Names them.
    n_samples : int
        How many are going to be added.
    origin : mapping
        What made the predictions, for the JSON.
    estimates : sequence of str
        Names of the lens parameters that are estimated.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    csv_path = out_dir / f"pred_{which}.csv"
    paths = [csv_path, *(out_dir / f"{name}_{which}.npy" for name in _ARRAYS)]
    with ExitStack() as stack:
        asides = {path: stack.enter_context(write_aside(path)) for path in paths}
        files = PredictionFiles(asides, n_samples, estimates)
        yield files
        if files.n_samples != n_samples:
            raise RuntimeError(f"{csv_path}: expected {n_samples} samples, found {files.n_samples}")
    write_json(
        out_dir / f"pred_{which}.json",
        {
            **origin,
            "format": 1,
            "which": which,
            "n_samples": files.n_samples,
            "n_objects": files.n_objects,
            "sha256": {csv_path.name: sha256_of(csv_path)},
        },
    )
