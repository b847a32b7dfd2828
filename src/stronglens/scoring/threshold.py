"""Choosing t* on the validation ensemble."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stronglens.ensembling.member_predictions import members_of, read_object_probs
from stronglens.formats.digits import probability
from stronglens.formats.ensemble_table import KEY_COLUMN, EnsembleTable, open_ensemble
from stronglens.formats.prediction_files import open_prediction
from stronglens.formats.score_files import Metrics
from stronglens.formats.tables import INTEGER, REAL, TEXT, probabilities
from stronglens.formats.threshold_file import THRESHOLD_TXT, write_threshold
from stronglens.running.errors import InputError
from stronglens.scoring.bootstrap import intervals_by_domain, threshold_interval, with_intervals
from stronglens.scoring.choosing import best_threshold, chooser
from stronglens.scoring.metrics import metrics_by_domain
from stronglens.scoring.scored import number_objects
from stronglens.scoring.separation import refuse_rounding_noise
from stronglens.settings.decide import MEMBER_METHODS, ThresholdSettings

log = logging.getLogger(__name__)

FEW_OBJECTS = 100
"""Of a class: with fewer, a rate of 0.5 has a standard error of 5 % or more."""

FEW_FALSE_POSITIVES = 10
"""With fewer, their number has a standard error of a third or more."""

METRICS_JSON = "metrics_val_ens.json"


def choose_threshold(
    ensemble_csv: Path, out_dir: Path, settings: ThresholdSettings, predictions: Sequence[Path] = ()
) -> None:
    """Choose t* on the validation ensemble; write it and the metrics it gives.

    Parameters
    ----------
    ensemble_csv : Path
        `val_ens.csv`, with its description beside it.
    out_dir : Path
        Receives `metrics_val_ens.json` (whose `global.threshold` is t*, whose `intervals` are of 95 %
        confidence, and whose `global.warnings` say so where the ranking may be by chance) and
        `threshold.txt`.
    settings : ThresholdSettings
        The method.
    predictions : sequence of Path
        Folders of the members' validation predictions, for methods that start from the members' own
        thresholds; the others do not read them.

    Raises
    ------
    InputError
        There is only one class; all probabilities are equal, or rounding decides on t*; a file is missing,
        malformed or changed; or the predictions are not those of the ensemble's members.
    """
    ensemble = open_ensemble(ensemble_csv)
    key_column = KEY_COLUMN[ensemble.level]
    table = ensemble.read({key_column: TEXT, "object": TEXT, "domain": TEXT, "label": INTEGER, "prob": REAL})
    probs = probabilities(ensemble_csv, table)
    labels: npt.NDArray[np.int64] = table["label"].to_numpy()
    if settings.method not in MEMBER_METHODS:
        voters = {str(ensemble_csv): probs}
    elif ensemble.description.combination is not None:
        raise InputError(
            f"{ensemble_csv}: expected the mean of members, for which {settings.method} is made, "
            "found them combined otherwise"
        )
    else:
        voters = _member_probs(ensemble, predictions, table[key_column].combine_chunks())
    centre = np.median if settings.method == "median_of_members" else np.mean
    own = [best_threshold(labels, one, settings) for one in voters.values()]
    threshold = float(centre(own))
    for name, one, chosen in zip(
        [*voters, ensemble_csv], [*voters.values(), probs], [*own, threshold], strict=True
    ):
        refuse_rounding_noise(str(name), one, chosen)
    domains = table["domain"].to_numpy()
    objects = number_objects(table["object"])
    intervals = intervals_by_domain(labels, probs, threshold, domains, objects)
    of_threshold = threshold_interval(
        labels, list(voters.values()), lambda found: float(centre(found)), objects, chooser(settings)
    )
    intervals["global"]["threshold"] = of_threshold
    metrics = metrics_by_domain(labels, probs, threshold, domains=domains)
    stated = with_intervals(metrics, intervals)
    Metrics.model_validate(stated).write(out_dir / METRICS_JSON)
    write_threshold(out_dir / THRESHOLD_TXT, threshold)
    log.info(
        "%s: t* = %s by %s of %d rows",
        out_dir / THRESHOLD_TXT,
        probability(threshold),
        settings.method,
        len(probs),
    )
    for warning in stated["global"].get("warnings", []):
        log.warning("%s: %s", ensemble_csv, warning)
    _warn_if_few(labels, objects, of_threshold)
    if settings.method in ("fbeta", "fpr", "purity"):
        _warn_if_rare(labels, probs, threshold)


def _warn_if_few(
    labels: npt.NDArray[np.int64], objects: npt.NDArray[np.int64], interval: Sequence[float] | None
) -> None:
    n_lenses, n_nonlenses = (len(np.unique(objects[labels == label])) for label in (1, 0))
    if min(n_lenses, n_nonlenses) < FEW_OBJECTS and interval is not None:
        log.warning(
            "validation has %d lenses and %d non-lenses, fewer than %d of a kind: t* may as well lie "
            "anywhere from %s to %s (95 %%), and the rates it gives are known to some percent only",
            n_lenses,
            n_nonlenses,
            FEW_OBJECTS,
            *map(probability, interval),
        )


def _warn_if_rare(labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], threshold: float) -> None:
    passing = int(np.count_nonzero((probs >= threshold) & (labels == 0)))
    if passing < FEW_FALSE_POSITIVES:
        log.warning(
            "%d of the %d non-lenses of validation pass t*: with so few, the false positive rate and the "
            "purity are known roughly at best",
            passing,
            np.count_nonzero(labels == 0),
        )


def _member_probs(
    ensemble: EnsembleTable, predictions: Sequence[Path], keys: pa.Array
) -> dict[str, npt.NDArray[np.float64]]:
    """The probabilities of each member alone, of the objects of the ensemble, by the member's file."""
    opened = sorted(
        (open_prediction(folder, "val") for folder in predictions), key=lambda found: found.member
    )
    members = members_of(opened)
    if members != ensemble.description.members or len(opened) != len(members):
        raise InputError(
            f"predictions: expected those of the members of {ensemble.csv}, one folder for each, found "
            f"{', '.join(str(found.member) for found in opened)}"
        )
    probs = {}
    for prediction in opened:
        reading = read_object_probs(prediction, ensemble.level)
        if not reading.keys.equals(keys):
            raise InputError(
                f"{prediction.csv}: expected the same objects as in {ensemble.csv}, found others"
            )
        probs[str(prediction.csv)] = reading.probs
    return probs
