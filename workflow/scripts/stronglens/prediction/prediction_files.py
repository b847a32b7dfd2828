"""The files of a member's predictions, written as they come."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from stronglens.artefact import sha256_of, write_aside, write_json, writing
from stronglens.tables import write_names, write_rows

_COLUMNS = ("path", "domain", "label", "prob", "pred", "object", "band")
_ARRAYS = {"labels": "<i8", "probs": "<f8", "preds": "<i8"}


class PredictionFiles:
    """Files to which predictions are added: `pred_{which}.csv` and the arrays beside it.

    Parameters
    ----------
    csv_path : Path
        Its final name, for errors.
    text : text file
        Where the table goes.
    arrays : mapping of str to binary file
        Where `labels`, `probs` and `preds` go.
    """

    def __init__(self, csv_path: Path, text: TextIO, arrays: Mapping[str, BinaryIO]) -> None:
        self._csv_path = csv_path
        self._text = text
        self._arrays = arrays
        self.n_samples = 0
        self.n_objects = 0
        self._last_object: str | None = None

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
        with writing(self._csv_path):
            write_rows(self._text, pa.Table.from_pandas(rows, preserve_index=False))
            for name, column in (("labels", "label"), ("probs", "prob"), ("preds", "pred")):
                self._arrays[name].write(rows[column].to_numpy(_ARRAYS[name]).tobytes())
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
    """
    csv_path = out_dir / f"pred_{which}.csv"
    with ExitStack() as stack:
        aside = stack.enter_context(write_aside(csv_path))
        text = stack.enter_context(aside.open("w", encoding="utf-8", newline=""))
        write_names(text, [*_COLUMNS, *estimates])
        arrays: dict[str, BinaryIO] = {}
        for name, kind in _ARRAYS.items():
            aside = stack.enter_context(write_aside(out_dir / f"{name}_{which}.npy"))
            arrays[name] = stack.enter_context(aside.open("wb"))
            header = {"descr": kind, "fortran_order": False, "shape": (n_samples,)}
            np.lib.format.write_array_header_1_0(arrays[name], header)
        files = PredictionFiles(csv_path, text, arrays)
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
