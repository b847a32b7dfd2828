"""Ensembles: the probability of an object, from all its bands and all members."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.ensembling.combination import Combination, Combined, MemberScores, logit_of
from stronglens.ensembling.lens_estimates import combine_estimates, n_estimating
from stronglens.ensembling.member_predictions import (
    ObjectProbs,
    RowsByKey,
    members_of,
    read_object_probs,
    rows_by_key,
)
from stronglens.ensembling.merge import sorted_stream
from stronglens.ensembling.width_calibration import fit_factors
from stronglens.formats.artefact import sha256_of, write_aside
from stronglens.formats.ensemble_table import (
    COLUMNS,
    KEY_COLUMN,
    EnsembleDescription,
    Level,
    csv_name,
    json_name,
)
from stronglens.formats.packed import PackedObjects, open_objects, read_lens_values, values_of_lenses
from stronglens.formats.prediction_files import Member, Prediction, Which, open_prediction
from stronglens.formats.tables import TEXT, write_table
from stronglens.running.errors import InputError
from stronglens.settings.decide import CombineSettings
from stronglens.settings.lens_parameters import columns_of, std_column

log = logging.getLogger(__name__)

_MOST_EXAMPLES = 10


def make_ensemble(
    predictions: Sequence[Path],
    packed: Sequence[Path],
    out_dir: Path,
    *,
    which: Which,
    level: Level = "object",
    threshold: float | None = None,
    labelled: bool = False,
    settings: CombineSettings | None = None,
    validation: Path | None = None,
) -> None:
    """Combine the predictions of all members and write the ensemble's table with its description.

    Bands first, then members: p(object, member) is the mean over the object's readable cutouts; `prob` and
    `prob_std` are mean and sample standard deviation over members (0 for one). Every member weighs the same.
    That is unless the settings say otherwise (see `stronglens.settings.decide.CombineSettings`); what is
    fitted then is fitted here on validation, and is in the description. Estimates of lens parameters are
    always such means, over the members that give them, in columns after all others. Where members give
    their widths, the ensemble's are those of the mixture times a factor for each parameter, fitted on the
    validation lenses (see `stronglens.ensembling.width_calibration`).

    Parameters
    ----------
    predictions : sequence of Path
        Folders, one for each member and part of the data, in any order: which member and which cutouts they
        belong to is in them.
    packed : sequence of Path
        The packed data sets (parts) that were predicted, in any order.
    out_dir : Path
        Receives the table, a row per object (per path at level "file") in ascending order of its key, and
        the JSON file beside it. Both are the same bytes however many parts there are.
    which : "train", "val" or "test"
        Which predictions, and so which names of files.
    level : "object" or "file"
        What a row is.
    threshold : float or None
        t*: the table gets a column `pred`, 1 where prob >= t*. Needed for "test", and only there.
    labelled : bool
        Whether the test set must have labels; decides the name of the table. Splits of the labelled data
        always must.
    settings : CombineSettings, optional
        How validation is combined.
    validation : Path, optional
        `val_ens.json` of the validation ensemble: all else is combined as is said there. Without it, by
        means; where members give widths it is needed.

    Raises
    ------
    InputError
        Members do not cover the same objects, or predictions and packed data do not belong together; or a
        file is missing, malformed or changed since it was made.
    """
    if (threshold is None) != (which != "test"):
        raise InputError(
            f"threshold: expected one for test and none for train and val, found {threshold} for {which}"
        )
    opened = [open_prediction(folder, which) for folder in predictions]
    members = members_of(opened)
    parts = _match_parts(opened, [open_objects(folder) for folder in packed], members)
    if labelled or which != "test":
        _check_labelled(parts)
    combination = Combination(settings=settings or CombineSettings())
    if validation is not None:
        combination = _stated_combination(validation, members, level)
    wanted = combination.settings
    if wanted.combine_bands != "mean" and level == "file":
        raise InputError(
            f"combine_bands: found {wanted.combine_bands}, but at level file no bands are combined"
        )
    tables: Iterable[pa.Table]
    scored: Iterable[_Scored] = (_score_part(part, of_part, level, wanted) for part, of_part in parts)
    if which == "val" and wanted.validation_domains is not None:
        scored = (_of_domains(part, wanted.validation_domains) for part in scored)
    estimating = n_estimating([found.estimated for found in _one_of_each_member(opened)])
    uncertain = estimating if any(prediction.uncertain for prediction in opened) else []
    scored, factors = _with_calibrated_widths(scored, which, packed, list(uncertain), validation)
    if which == "val" and wanted.is_fitted:
        combination, tables = _fit(list(scored), wanted, KEY_COLUMN[level])
    elif wanted.is_fitted and validation is None:
        raise InputError(
            "validation: expected val_ens.json, which holds what was fitted on validation; none was given"
        )
    else:
        tables = (_table(part, combination.apply(part.scores)) for part in scored)
    columns = [*COLUMNS, *_more_columns(wanted), *([] if threshold is None else ["pred"])]
    columns += columns_of(estimating)
    csv = out_dir / csv_name(which, labelled=labelled)
    with sorted_stream(tables, KEY_COLUMN[level], out_dir / ".parts") as stream, write_aside(csv) as aside:
        n_rows = write_table(aside, columns, stream if threshold is None else _decide(stream, threshold))
        if not n_rows:
            raise InputError(
                f"{opened[0].csv}: expected predictions, found none in any of {len(opened)} tables"
            )
        csv_sha256 = sha256_of(aside)
    description: dict[str, Any] = {
        "members": members,
        "level": level,
        "n_rows": n_rows,
        "sha256": {csv.name: csv_sha256},
    }
    if wanted != CombineSettings():
        description["combination"] = combination.model_dump(mode="json")
    if threshold is not None:
        description["threshold"] = threshold
    if estimating:
        description["lens_parameters"] = estimating
        description |= {"width_factors": factors} if factors else {}
    EnsembleDescription.model_validate(description).write(out_dir / json_name(which))
    log.info(
        "%s: %d rows, %s of %s",
        csv,
        n_rows,
        "the mean" if wanted.is_plain else _in_words(combination),
        ", ".join(str(member) for member in members),
    )


def _one_of_each_member(predictions: Sequence[Prediction]) -> Iterable[Prediction]:
    return {prediction.member: prediction for prediction in predictions}.values()


def _stated_combination(path: Path, members: Sequence[Member], level: Level) -> Combination:
    """What a validation ensemble of these members says of how they are combined."""
    stated = EnsembleDescription.read(path)
    if stated.members != list(members) or stated.level != level:
        raise InputError(
            f"{path}: expected the validation ensemble of {', '.join(map(str, members))} at level {level}, "
            "found another"
        )
    return combination_of(stated)


def _with_calibrated_widths(
    scored: Iterable["_Scored"],
    which: Which,
    packed: Sequence[Path],
    names: Sequence[str],
    validation: Path | None,
) -> tuple[Iterable["_Scored"], dict[str, float]]:
    """The same with calibrated widths of some lens parameters, and the factors: fitted here on validation."""
    if not names:
        return scored, {}
    if which == "val":
        scored = list(scored)
        factors = _fit_factors(scored, packed, names)
    else:
        factors = _stated_factors(validation, names)
    return (_with_factors(part, factors) for part in scored), factors


def _fit_factors(
    parts: Sequence["_Scored"], packed: Sequence[Path], names: Sequence[str]
) -> dict[str, float]:
    if not parts:  # there is nothing to write either, which is refused where it is written
        return dict.fromkeys(names, 1.0)
    rows = pa.concat_tables([part.rows.select(["object", "label"]) for part in parts])
    labels = rows["label"].to_numpy().astype(np.int64)
    truth = values_of_lenses(read_lens_values(packed, names), rows["object"].to_pylist(), labels)
    estimates = pa.concat_tables([part.estimates for part in parts])
    return fit_factors(
        {column: estimates[column].to_numpy() for column in estimates.column_names},
        dict(zip(names, truth.T, strict=True)),
    )


def _stated_factors(path: Path | None, names: Sequence[str]) -> dict[str, float]:
    if path is None:
        raise InputError(
            "validation: expected val_ens.json, which holds the factors of the widths of lens parameters; "
            "none was given"
        )
    factors = EnsembleDescription.read(path).width_factors
    if set(factors) != set(names):
        raise InputError(
            f"{path}: expected width_factors of {', '.join(names)}, found those of "
            f"{', '.join(factors) or 'none'}; combine the validation predictions again"
        )
    return factors


def combination_of(description: EnsembleDescription) -> Combination:
    """How the members of an ensemble are combined, as its description says."""
    return Combination.model_validate(description.combination or {})


def _more_columns(settings: CombineSettings) -> list[str]:
    return [
        *(["prob_raw"] if settings.calibration != "none" else []),
        *(["prob_sky"] if settings.sky_prevalence is not None else []),
    ]


def _in_words(combination: Combination) -> str:
    settings = combination.settings
    words = [settings.combine_members.replace("_", " ")]
    if settings.combine_bands != "mean":
        words.insert(0, f"bands by {settings.combine_bands} regression")
    if combination.member_weights is not None:
        words[-1] += f" ({', '.join(f'{weight:.3f}' for weight in combination.member_weights)})"
    if combination.sigmoid is not None:
        slope, intercept = combination.sigmoid.slope, combination.sigmoid.intercept
        words.append(f"{settings.calibration} (slope {slope:.3f}, intercept {intercept:.3f})")
    elif combination.isotonic is not None:
        words.append("isotonic calibration")
    return ", ".join(words)


def _match_parts(
    predictions: Sequence[Prediction], packed: Sequence[PackedObjects], members: Sequence[Member]
) -> list[tuple[PackedObjects, list[Prediction]]]:
    """Bring together each part of the data and its predictions, one by each member in order of members.

    They know each other by the SHA-256 of the cutouts and of the index: small parts may hold the same pixels
    under other names. Parts without cutouts are left out: a small data set may have several, all alike.
    """
    filled = [part for part in packed if part.n_cutouts]
    found: dict[tuple[str, str], dict[Member, Prediction]] = {part.identity: {} for part in packed}
    if len({part.identity for part in filled}) < len(filled):
        raise InputError(f"packed: expected different data sets, found one twice in {_names(packed)}")
    for prediction in predictions:
        if prediction.made_from not in found:
            raise InputError(
                f"{prediction.stated_in}: expected predictions from the cutouts of {_names(packed)}, "
                f"found others (sha256 {prediction.cutouts_sha256[:12]}…, "
                f"that of their index {prediction.index_sha256[:12]}…)"
            )
        if prediction.n_samples:
            of_part = found[prediction.made_from]
            if prediction.member in of_part:
                raise InputError(
                    f"{prediction.stated_in}: expected the predictions of {prediction.member} once for each "
                    f"part, found them in {of_part[prediction.member].stated_in} too"
                )
            of_part[prediction.member] = prediction
    parts = []
    for part in filled:
        of_part = found[part.identity]
        lacking = [str(member) for member in members if member not in of_part]
        if lacking:
            raise InputError(
                f"{part.folder}: expected predictions of every member, found none of {', '.join(lacking)}"
            )
        in_order = [of_part[member] for member in members]
        _check_one_split(in_order)
        parts.append((part, in_order))
    return parts


def _check_one_split(predictions: Sequence[Prediction]) -> None:
    first = predictions[0]
    for other in predictions[1:]:
        if other.objects_sha256 != first.objects_sha256:
            raise InputError(
                f"{other.stated_in}: expected the same split as in {first.stated_in}, found another: "
                "a member would be scored on objects it was trained on"
            )


def _check_labelled(parts: Sequence[tuple[PackedObjects, list[Prediction]]]) -> None:
    for part, _ in parts:
        if not part.labelled:
            raise InputError(f"{part.folder}: expected labelled data, found unlabelled")


@dataclass(frozen=True)
class _Scored:
    """One part of the data: what the table says of each object, and what each member says of it.

    `estimates` are those of lens parameters, members combined already: a table without columns where there
    are none.
    """

    rows: pa.Table
    n_cutouts: npt.NDArray[np.int64]
    scores: list[MemberScores]
    estimates: pa.Table

    def take(self, chosen: npt.NDArray[np.int64]) -> "_Scored":
        """The same for some of the rows."""
        return _Scored(
            self.rows.take(chosen),
            self.n_cutouts[chosen],
            [one.take(chosen) for one in self.scores],
            self.estimates.take(chosen),
        )


def _of_domains(part: _Scored, domains: Sequence[str]) -> _Scored:
    chosen = compute.is_in(part.rows["domain"], value_set=pa.array(domains, TEXT))
    return part.take(np.flatnonzero(chosen.to_numpy()))


def _score_part(
    part: PackedObjects, predictions: Sequence[Prediction], level: Level, settings: CombineSettings
) -> _Scored:
    """Rows and members' probabilities of one part of the data, sorted by key."""
    index = part.index(["object", "band", "path", "bucket", "domain", "label"])
    each_band = settings.combine_bands != "mean"
    known_bands = set(compute.unique(index["band"]).to_pylist())
    in_index = rows_by_key(index[KEY_COLUMN[level]])
    first = read_object_probs(predictions[0], level, each_band=each_band, known=[in_index])
    seen = _seen_by(predictions, index["band"])
    rows, n_cutouts = _rows_of(first.keys, index, in_index, seen, predictions[0], part)
    if not n_cutouts.all():
        blind = first.keys.filter(pa.array(n_cutouts == 0))
        log.warning(
            "%s: %d have no readable cutout in a band that a member looks at: %s",
            part.folder,
            len(blind),
            ", ".join(blind.slice(0, _MOST_EXAMPLES).to_pylist()),
        )
    scores, estimates = [], []
    for number, prediction in enumerate(predictions):
        reading = first
        if number:
            reading = read_object_probs(prediction, level, each_band=each_band, known=[first.rows])
        if level == "file":
            _check_not_stacked(prediction, reading, index)
        if not reading.keys.equals(first.keys):
            raise InputError(_difference(predictions[0], first.keys, prediction, reading.keys))
        if part.labelled:
            _check_labels(prediction, reading, rows, part)
        scores.append(_scores_of(reading, known_bands))
        estimates.append(reading.estimates)
    return _Scored(rows, n_cutouts, scores, pa.table(combine_estimates(estimates)))


def _seen_by(predictions: Sequence[Prediction], bands: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which cutouts any of the members looks at."""
    seen: set[str] = set()
    for prediction in predictions:
        if prediction.bands is None:
            return np.ones(len(bands), dtype=bool)
        seen |= prediction.bands
    chosen = compute.is_in(bands, value_set=pa.array(sorted(seen), TEXT))
    return np.asarray(chosen.to_numpy(), dtype=bool)


def _scores_of(reading: ObjectProbs, known_bands: set[str]) -> MemberScores:
    bands, logits = reading.band_names, reading.band_probs
    if not bands or not known_bands.issuperset(bands):  # a stack is one sample: there is nothing to combine
        return MemberScores(reading.probs, (), np.empty((len(reading.probs), 0)))
    return MemberScores(reading.probs, bands, np.nan_to_num(logit_of(logits), nan=0.0))


def _fit(
    parts: Sequence[_Scored], settings: CombineSettings, key: str
) -> tuple[Combination, Iterable[pa.Table]]:
    """Fit on all parts together; combine each object as was fitted without it."""
    # fitting needs scikit-learn, which takes long to load
    from stronglens.ensembling.fitting import cross_fit, fit_combination  # noqa: PLC0415

    n_members = len(parts[0].scores)
    whole = _Scored(
        pa.concat_tables([part.rows for part in parts]).combine_chunks(),
        np.concatenate([part.n_cutouts for part in parts]),
        [_joined([part.scores[number] for part in parts]) for number in range(n_members)],
        pa.concat_tables([part.estimates for part in parts]).combine_chunks(),
    )
    whole = whole.take(compute.sort_indices(whole.rows[key]).to_numpy())  # however many parts there are
    labels = whole.rows["label"].to_numpy()
    objects = whole.rows["object"].combine_chunks().dictionary_encode().indices.to_numpy()
    fitted = fit_combination(whole.scores, labels, settings)
    return fitted, [_table(whole, cross_fit(whole.scores, labels, objects, settings))]


def _with_factors(part: _Scored, factors: Mapping[str, float]) -> _Scored:
    """The same with calibrated widths of lens parameters."""
    by_column = {std_column(name): factor for name, factor in factors.items()}
    estimates = {
        column: part.estimates[column].to_numpy() * by_column.get(column, 1.0)
        for column in part.estimates.column_names
    }
    return replace(part, estimates=pa.table(estimates))


def _joined(scores: Sequence[MemberScores]) -> MemberScores:
    """The scores of one member for several parts; a band that a part lacks is missing there."""
    bands = tuple(sorted({band for one in scores for band in one.bands}))
    logits = []
    for one in scores:
        of_part = np.zeros((len(one.probs), len(bands)))
        of_part[:, [bands.index(band) for band in one.bands]] = one.band_logits
        logits.append(of_part)
    return MemberScores(np.concatenate([one.probs for one in scores]), bands, np.concatenate(logits))


def _table(part: _Scored, combined: Combined) -> pa.Table:
    """The ensemble's rows for one part of the data."""
    return pa.table(
        {name: part.rows[name] for name in part.rows.column_names}
        | {
            "prob": combined.prob,
            "prob_std": combined.prob_std,
            "n_members": np.full(len(part.rows), len(part.scores)),
            "n_cutouts": part.n_cutouts,
        }
        | combined.columns()
        | {name: part.estimates[name] for name in part.estimates.column_names}
    )


def _rows_of(
    keys: pa.Array,
    index: pa.Table,
    in_index: RowsByKey,
    seen: npt.NDArray[np.bool_],
    prediction: Prediction,
    part: PackedObjects,
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """What the index says of each key: the row of its first cutout, and how many of its cutouts are seen."""
    found = compute.index_in(keys, value_set=in_index.keys)
    if found.null_count:
        unknown = keys.filter(found.is_null())[0].as_py()
        raise InputError(
            f"{prediction.csv}: expected objects of {part.folder}, found {unknown}, which it lacks"
        )
    indices = found.to_numpy()
    first = in_index.order[in_index.starts[indices]]
    rows = index.select(["object", "path", "bucket", "domain", "label"]).take(first)
    return rows, in_index.sums(seen.astype(np.int64))[indices]


def _check_not_stacked(prediction: Prediction, reading: ObjectProbs, index: pa.Table) -> None:
    stacked = reading.bands - set(compute.unique(index["band"]).to_pylist())
    if stacked:
        raise InputError(
            f"{prediction.csv}: level file needs a probability for each file, found stacks of bands "
            f"{', '.join(sorted(stacked))} by {prediction.member}; take level object or leave this model out"
        )


def _check_labels(prediction: Prediction, reading: ObjectProbs, rows: pa.Table, part: PackedObjects) -> None:
    labels = rows["label"].to_numpy()
    differ = labels != reading.labels
    if differ.any():
        row = int(np.argmax(differ))
        raise InputError(
            f"{prediction.csv}: {reading.keys[row].as_py()}: expected label {labels[row]} "
            f"as in {part.folder}, found {reading.labels[row]}"
        )


def _difference(one: Prediction, one_keys: pa.Array, other: Prediction, other_keys: pa.Array) -> str:
    lines = ["expected all members to have predicted the same objects, found otherwise"]
    for has, has_keys, lacks, lacks_keys in (
        (one, one_keys, other, other_keys),
        (other, other_keys, one, one_keys),
    ):
        only = has_keys.filter(compute.invert(compute.is_in(has_keys, value_set=lacks_keys)))
        if len(only):
            shown = ", ".join(only.slice(0, 5).to_pylist()) + (", …" if len(only) > 5 else "")
            lines.append(f"{len(only)} of {has.member} lack in {lacks.member}: {shown}")
    return f"{other.csv}: " + "; ".join(lines)


def _decide(stream: Iterator[pa.Table], threshold: float) -> Iterator[pa.Table]:
    for table in stream:
        preds = (table["prob"].to_numpy() >= threshold).astype(np.int64)
        yield table.append_column("pred", pa.array(preds))


def _names(packed: Sequence[PackedObjects]) -> str:
    return ", ".join(str(part.folder) for part in packed)
