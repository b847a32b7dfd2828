"""What is known of the physical parameters of lenses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyarrow import parquet

from stronglens.formats.artefact import check_stated
from stronglens.formats.packed import PARAMETERS, SUMMARY, PackSummary
from stronglens.running.errors import InputError


def read_lens_values(packed: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Read parameters of the objects of packed data sets.

    Parameters
    ----------
    packed : sequence of Path
        Folders of packed data sets.
    names : sequence of str
        Columns of the parameters.

    Returns
    -------
    DataFrame
        By object key, a column for each name, in the units of `parameters.fits`; NaN where a value was not
        measured, is not finite, or a data set has no such column. Objects of which nothing is known may be
        absent.

    Raises
    ------
    InputError
        A file is missing, or was changed since it was made; a column holds text.
    """
    tables = []
    for folder in packed:
        path = folder / PARAMETERS
        check_stated(path, PackSummary.read(folder / SUMMARY).sha256, folder / SUMMARY)
        known = [name for name in names if name in parquet.read_schema(path).names]
        table = pd.read_parquet(path, columns=["object", *known]).set_index("object")
        for name in known:
            if not pd.api.types.is_numeric_dtype(table[name]):
                raise InputError(
                    f"{path}: column {name}: expected numbers, found {table[name].iloc[0]!r}; "
                    "correct parameters.fits, and pack again"
                )
        tables.append(table.reindex(columns=list(names)).astype(np.float64))
    together = pd.concat(tables)
    return together.where(np.isfinite(together))


def values_of_lenses(
    known: pd.DataFrame, objects: Sequence[str] | pd.Series, labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The parameters of samples.

    Parameters
    ----------
    known : DataFrame
        See `read_lens_values`.
    objects : sequence of str, shape (n_samples,)
        Key of each sample's object.
    labels : ndarray of int64, shape (n_samples,)
        1 lens, 0 none.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_parameters)
        NaN where nothing is known, and for all that is no lens: the files give a magnitude and a redshift of
        galaxies that are none too, but not those of a deflector.
    """
    values = known.reindex(pd.Index(objects)).to_numpy(np.float64, copy=True)
    values[labels != 1] = np.nan
    return values
