"""The ids of the rows of a table in a submission."""

import pyarrow as pa
from pyarrow import compute

from stronglens.formats.ensemble_table import KEY_COLUMN, Level
from stronglens.sources.names import FITS_ENDING

_FOLDERS_AND_ENDING = rf"(?i)^.*/|{FITS_ENDING}$"


def row_ids(table: pa.Table, level: Level) -> pa.Array:
    """Ids of the rows of a table, in their order: keys of objects, or file names without folders and ending.

    Parameters
    ----------
    table : Table
        With the column `KEY_COLUMN` of the level.
    level : {"object", "file"}
        What a row is.

    Returns
    -------
    Array of large_string, shape (n_rows,)
    """
    ids = table[KEY_COLUMN[level]].combine_chunks()
    if level == "file":
        ids = compute.replace_substring_regex(ids, pattern=_FOLDERS_AND_ENDING, replacement="")
    return ids
