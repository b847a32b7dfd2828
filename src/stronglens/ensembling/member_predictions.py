"""Predictions of members: which member made them, from which cutouts, and the probability of each object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.formats.artefact import check_sha256
from stronglens.formats.ensemble_table import KEY_COLUMN, Level
from stronglens.formats.prediction_files import Member, Prediction
from stronglens.formats.tables import INTEGER, REAL, TEXT, finite, line_of, probabilities, read_table
from stronglens.networks.mixture import mixture_by_group
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import columns_of, std_column


@dataclass(frozen=True)
class RowsByKey:
    """The rows of a table by their keys.

    Attributes
    ----------
    names : ChunkedArray of large_string, shape (n_rows,)
        Key of each row.
    keys : Array of large_string, shape (n_keys,)
        In ascending order of their characters' code points, each once.
    order : ndarray of int64, shape (n_rows,)
        The rows in ascending order of their keys, those of a key as they were.
    starts, n_rows : ndarray of int64, shape (n_keys,)
        Where in that order the rows of each key begin, and how many there are.
    """

    names: pa.ChunkedArray
    keys: pa.Array
    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    n_rows: npt.NDArray[np.int64]

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over the rows of each key."""
        return np.add.reduceat(values[self.order], self.starts)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """Index of each row's key, shape (n_rows,)."""
        groups = np.empty(len(self.order), dtype=np.int64)
        groups[self.order] = np.repeat(np.arange(len(self.keys)), self.n_rows)
        return groups


def rows_by_key(names: pa.ChunkedArray, known: Sequence[RowsByKey] = ()) -> RowsByKey:
    """Sort rows by their keys; `known` may hold the answer, for members' tables are mostly alike.

    Rows of a key mostly lie together, too: runs of them are sorted instead of rows.
    """
    for rows in known:
        if rows.names.equals(names):
            return rows
    texts = names.combine_chunks()
    starts = starts_of_runs(texts)
    runs = texts.take(starts)
    rank = compute.sort_indices(runs).to_numpy()  # stable
    runs, lengths = runs.take(rank), np.diff(starts, append=len(texts))[rank]
    ends = np.cumsum(lengths)
    order = np.repeat(starts[rank] - ends + lengths, lengths) + np.arange(len(texts))
    of_keys = starts_of_runs(runs)
    starts = (ends - lengths)[of_keys]
    return RowsByKey(names, runs.take(of_keys), order, starts, np.diff(starts, append=len(texts)))


@dataclass(frozen=True)
class ObjectProbs:
    """Probabilities of one member, one per object (or per file).

    Attributes
    ----------
    rows : RowsByKey
        The rows of the table by object key (or path): all else is in the order of its `keys`.
    probs : ndarray of float64, shape (n_objects,)
        From 0 to 1; the mean over the object's cutouts.
    labels : ndarray of int64, shape (n_objects,)
        As the table states them; meaningless where labels are unknown.
    bands : frozenset of str
        What the samples state as their band.
    band_names : tuple of str
        The bands in order of their names, where they were asked for one by one; else none.
    band_probs : ndarray of float64, shape (n_objects, n_bands)
        Probability of each of these bands; NaN for a missing one.
    estimates : mapping of str to ndarray of float64, shape (n_objects,)
        Lens parameters; the mean over the object's cutouts. With widths, columns `{name}_std`, the mixture
        of its cutouts' Gaussians.
    """

    rows: RowsByKey
    probs: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    bands: frozenset[str]
    band_names: tuple[str, ...]
    band_probs: npt.NDArray[np.float64]
    estimates: Mapping[str, npt.NDArray[np.float64]]

    @property
    def keys(self) -> pa.Array:
        """Object keys (or paths), each once."""
        return self.rows.keys


def members_of(predictions: Sequence[Prediction]) -> list[Member]:
    """The members whose predictions these are, in order of model and seed.

    Raises
    ------
    InputError
        There are none, or two folders of one member come from different weights, or one with test-time
        augmentation and one without; or some members give widths of lens parameters and others none.
    """
    if not predictions:
        raise InputError("predictions: expected at least one folder, found none")
    members: dict[tuple[str, int], Prediction] = {}
    for prediction in predictions:
        member = prediction.member
        known = members.setdefault((member.model, member.seed), prediction)
        if known.member.test_time_augmentation != member.test_time_augmentation:
            raise InputError(
                f"{prediction.stated_in}: expected {member} with test-time augmentation in all parts or in "
                f"none, found otherwise in {known.stated_in}"
            )
        if (known.estimated, known.uncertain) != (prediction.estimated, prediction.uncertain):
            raise InputError(
                f"{prediction.stated_in}: expected {member} with the lens parameters of {known.stated_in}, "
                f"found others ({_told(prediction)}; {_told(known)})"
            )
        if known.member != member:
            raise InputError(
                f"{prediction.stated_in}: expected {member} with the weights of {known.stated_in}, "
                f"found others ({member.weights_sha256[:12]}…, {known.member.weights_sha256[:12]}…)"
            )
    _check_widths(list(members.values()))
    return sorted(prediction.member for prediction in members.values())


def _check_widths(predictions: Sequence[Prediction]) -> None:
    """Refuse to mix members that give widths with those that do not: what would `{name}_std` be?"""
    estimating = [prediction for prediction in predictions if prediction.estimated]
    uncertain = [prediction for prediction in estimating if prediction.uncertain]
    plain = [prediction for prediction in estimating if not prediction.uncertain]
    if uncertain and plain:
        raise InputError(
            f"{plain[0].stated_in}: expected {plain[0].member} to give uncertainties of lens parameters, as "
            f"{uncertain[0].member} in {uncertain[0].stated_in}, found none; set "
            "lens_parameters.uncertainties in all models of the ensemble that estimate any, or in none"
        )


def _told(prediction: Prediction) -> str:
    names = ", ".join(prediction.estimated)
    return f"{names} with uncertainties" if prediction.uncertain else names


def read_object_probs(
    prediction: Prediction, level: Level, *, each_band: bool = False, known: Sequence[RowsByKey] = ()
) -> ObjectProbs:
    """Average a member's probabilities over the cutouts of each object.

    Parameters
    ----------
    prediction : Prediction
        What to read.
    level : "object" or "file"
        At level "file" nothing is averaged: each path is a row of its own.
    each_band : bool
        Give the bands one by one too.
    known : sequence of RowsByKey
        Of tables that may have the same rows: see `rows_by_key`.

    Returns
    -------
    ObjectProbs
        Sorted by key, so that the order of rows in the file means nothing but in the last bit of a mean.

    Raises
    ------
    InputError
        The table is missing, malformed, changed since it was made, has a probability outside 0 to 1 or NaN,
        an estimate that is not finite or a width that is not above 0, or two rows for one object and band
        (for one path, at level "file").
    """
    csv = prediction.csv
    check_sha256(csv, prediction.csv_sha256, prediction.stated_in)
    key_column = KEY_COLUMN[level]
    types = {key_column: TEXT, "band": TEXT, "label": INTEGER, "prob": REAL}
    estimates = columns_of(prediction.estimated) if prediction.uncertain else list(prediction.estimated)
    table = read_table(csv, types | dict.fromkeys(estimates, REAL))
    if len(table) != prediction.n_samples:
        raise InputError(
            f"{csv}: expected {prediction.n_samples} rows, as {prediction.stated_in} states; "
            f"found {len(table)}"
        )
    probs = probabilities(csv, table)
    rows = rows_by_key(table[key_column], known)
    bands = table["band"].combine_chunks().dictionary_encode()
    found = bands.dictionary.to_pylist()
    band_of = bands.indices.to_numpy()[rows.order]
    numbers = np.repeat(np.arange(len(rows.keys)), rows.n_rows)
    repeated = _first_repeated(numbers * len(found) + band_of if level == "object" else numbers)
    if repeated is not None:
        row = int(rows.order[repeated])
        raise InputError(
            f"{csv}: line {line_of(row)}: expected each {key_column} and band once, found "
            f"{table[key_column][row].as_py()}, band {table['band'][row].as_py()}, again"
        )
    band_names = tuple(sorted(found)) if each_band else ()
    band_probs = np.full((len(rows.keys), len(band_names)), np.nan)
    if each_band:
        column_of = np.array([band_names.index(name) for name in found], dtype=np.int64)
        band_probs[numbers, column_of[band_of]] = probs[rows.order]
    return ObjectProbs(
        rows=rows,
        band_names=band_names,
        band_probs=band_probs,
        probs=rows.sums(probs) / rows.n_rows,
        estimates=_estimates_of(prediction, table, rows),
        labels=table["label"].to_numpy()[rows.order[rows.starts]],
        bands=frozenset(found),
    )


def _estimates_of(
    prediction: Prediction, table: pa.Table, rows: RowsByKey
) -> dict[str, npt.NDArray[np.float64]]:
    """Lens parameters of each object, from those of its cutouts."""

    def mean_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(rows.sums(values) / rows.n_rows)

    found: dict[str, npt.NDArray[np.float64]] = {}
    for name in prediction.estimated:
        values = finite(prediction.csv, table, name)
        if not prediction.uncertain:
            found[name] = mean_of(values)
            continue
        column = std_column(name)
        stds = finite(prediction.csv, table, column)
        if not (stds > 0).all():
            row = int(np.argmin(stds > 0))
            raise InputError(
                f"{prediction.csv}: line {line_of(row)}: expected a standard deviation above 0 in column "
                f"{column}, found {stds[row]}"
            )
        found[name], found[column] = mixture_by_group(values, stds, rows.groups, mean_of)
    return found


def starts_of_runs(values: pa.Array) -> npt.NDArray[np.int64]:
    """Indices at which a value differs from the one before it, 0 among them."""
    n_values = len(values)
    differ = compute.not_equal(values.slice(1), values.slice(0, max(n_values - 1, 0)))
    return np.flatnonzero(np.append(n_values > 0, differ.to_numpy(zero_copy_only=False)))


def _first_repeated(values: npt.NDArray[np.int64]) -> int | None:
    """Index of the first value that stood before; None if all differ."""
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    repeated = order[1:][in_order[1:] == in_order[:-1]]
    return int(repeated.min()) if len(repeated) else None
