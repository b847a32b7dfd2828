"""Labels and probabilities to be evaluated, from any file that holds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.formats.artefact import check_sha256, read_json
from stronglens.formats.ensemble_table import description_of
from stronglens.formats.tables import INTEGER, REAL, TEXT, line_of, probabilities, read_header, read_table
from stronglens.running.errors import InputError


@dataclass(frozen=True)
class Scored:
    """Samples, objects or cutouts, with a label and a probability.

    Attributes
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_objects,)
        From 0 to 1.
    domains : ndarray of str or None, shape (n_objects,)
        None where the file says nothing of domains.
    unit : str
        What they are, for captions: "objects" where each is known to be another object.
    objects : ndarray of int64 or None, shape (n_objects,)
        Number of each sample's object; None where the file says nothing of objects, or each is another.
    names : ndarray of str or None, shape (n_objects,)
        Key of each sample's object, where the file has it.
    raw_probs : ndarray of float64 or None, shape (n_objects,)
        Before calibration, where the file has it.
    """

    labels: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    domains: npt.NDArray[np.object_] | None
    unit: str = "samples"
    objects: npt.NDArray[np.int64] | None = None
    names: npt.NDArray[np.object_] | None = None
    raw_probs: npt.NDArray[np.float64] | None = None


def read_scored_csv(path: Path) -> Scored:
    """Read a table of predictions or of an ensemble: columns label and prob, and domain, object and prob_raw
    if they are there.

    Raises
    ------
    InputError
        The file is missing, malformed, has no rows, or was changed since it was made; a label is not 0 or 1;
        a probability is not from 0 to 1.
    """
    header = read_header(path)
    _check_if_described(path)
    types = {"label": INTEGER, "prob": REAL}
    if "domain" in header:
        types["domain"] = TEXT
    if "object" in header:
        types["object"] = TEXT
    if "prob_raw" in header:
        types["prob_raw"] = REAL
    table = read_table(path, types)
    labels: npt.NDArray[np.int64] = table["label"].to_numpy()
    _check_labels(path, labels, "line", line_of(0))
    domains = table["domain"].to_numpy() if "domain" in types else None
    one_each = "object" in types and compute.count_distinct(table["object"]).as_py() == len(table)
    objects = number_objects(table["object"]) if "object" in types and not one_each else None
    return Scored(
        labels,
        probabilities(path, table),
        domains,
        "objects" if one_each else "samples",
        objects,
        table["object"].to_numpy() if "object" in types else None,
        probabilities(path, table, "prob_raw") if "prob_raw" in types else None,
    )


def number_objects(names: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Number the objects of a column, from 0 in the order in which they first appear."""
    numbers: npt.NDArray[np.int64] = (
        compute.dictionary_encode(names).combine_chunks().indices.to_numpy().astype(np.int64)
    )
    return numbers


def read_scored_npy(labels_path: Path, probs_path: Path) -> Scored:
    """Read labels and probabilities from two NPY files.

    Raises
    ------
    InputError
        A file is missing, is no NPY file of numbers, or is empty; shapes differ; a label is not 0 or 1; a
        probability is not from 0 to 1.
    """
    labels, probs = _load(labels_path), _load(probs_path)
    if labels.shape != probs.shape or labels.ndim != 1:
        raise InputError(
            f"{probs_path}: expected one probability for each label of {labels_path}, "
            f"found shapes {probs.shape} and {labels.shape}"
        )
    _check_labels(labels_path, labels, "element", 0)
    outside = ~((probs >= 0) & (probs <= 1))
    if outside.any():
        index = int(np.argmax(outside))
        raise InputError(
            f"{probs_path}: element {index}: expected a probability from 0 to 1, found {probs[index]}"
        )
    return Scored(labels.astype(np.int64), probs, None)


def _check_if_described(path: Path) -> None:
    """Refuse a table that is not the one that the file beside it describes; there need not be one."""
    for description in {path.with_suffix(".json"), description_of(path)}:
        if description.is_file():
            expected = read_json(description).get("sha256", {})
            if path.name in expected:
                check_sha256(path, expected[path.name], description)


def _load(path: Path) -> npt.NDArray[np.float64]:
    try:
        values: object = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected an NPY file, found none") from error
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path}: expected an NPY file of numbers, found something else ({error})"
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected an NPY file of numbers, found another kind of content")
    return values.astype(np.float64)


def _check_labels(
    path: Path, labels: npt.NDArray[np.float64] | npt.NDArray[np.int64], unit: str, first: int
) -> None:
    if not len(labels):
        raise InputError(f"{path}: expected labelled objects, found none")
    wrong = ~np.isin(labels, (0, 1))
    if wrong.any():
        index = int(np.argmax(wrong))
        raise InputError(
            f"{path}: {unit} {first + index}: expected label 1, a lens, or 0, found {labels[index]}; "
            "only labelled objects can be evaluated"
        )
