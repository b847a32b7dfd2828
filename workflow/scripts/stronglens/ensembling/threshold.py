"""Choosing t* on the validation ensemble."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stronglens.artefact import write_json
from stronglens.ensembling.ensemble_table import EnsembleTable, open_ensemble
from stronglens.ensembling.member_predictions import (
    KEY_COLUMN,
    members_of,
    open_prediction,
    read_object_probs,
)
from stronglens.ensembling.tables import INTEGER, REAL, TEXT, probabilities
from stronglens.ensembling.threshold_file import write_threshold
from stronglens.ensembling.youden import youden_threshold
from stronglens.errors import InputError
from stronglens.scoring.metrics import metrics_by_domain
from stronglens.settings.decide import ThresholdSettings

log = logging.getLogger(__name__)

METRICS_JSON = "metrics_val_ens.json"
THRESHOLD_TXT = "threshold.txt"


def choose_threshold(
    ensemble_csv: Path, out_dir: Path, settings: ThresholdSettings, predictions: Sequence[Path] = ()
) -> None:
    """Choose t* on the validation ensemble; write it and the metrics it gives.

    Parameters
    ----------
    ensemble_csv : Path
        `val_ens.csv`, with its description beside it.
    out_dir : Path
        Receives `metrics_val_ens.json` (whose `global.threshold` is t*) and `threshold.txt`.
    settings : ThresholdSettings
        The method.
    predictions : sequence of Path
        Folders of the members' validation predictions, for methods that start from the members' own
        thresholds; the others do not read them.

    Raises
    ------
    InputError
        There is only one class; a file is missing, malformed or changed; or the predictions are not those
        of the ensemble's members.
    """
    ensemble = open_ensemble(ensemble_csv)
    key_column = KEY_COLUMN[ensemble.level]
    table = ensemble.read({key_column: TEXT, "domain": TEXT, "label": INTEGER, "prob": REAL})
    probs = probabilities(ensemble_csv, table)
    labels: npt.NDArray[np.int64] = table["label"].to_numpy()
    if settings.method == "youden":
        threshold = youden_threshold(labels, probs)
    else:
        own = _member_thresholds(ensemble, predictions, table[key_column].combine_chunks(), labels)
        centre = np.mean if settings.method == "mean_of_members" else np.median
        threshold = float(centre(own))
    metrics = metrics_by_domain(labels, probs, threshold, domains=table["domain"].to_numpy())
    write_json(out_dir / METRICS_JSON, metrics)
    write_threshold(out_dir / THRESHOLD_TXT, threshold)
    log.info("%s: t* = %r by %s of %d rows", out_dir / THRESHOLD_TXT, threshold, settings.method, len(probs))


def _member_thresholds(
    ensemble: EnsembleTable, predictions: Sequence[Path], keys: pa.Array, labels: npt.NDArray[np.int64]
) -> list[float]:
    """The best threshold of each member alone, on the objects of the ensemble."""
    opened = sorted(
        (open_prediction(folder, "val") for folder in predictions), key=lambda found: found.member
    )
    members = [member.as_dict() for member in members_of(opened)]
    if members != ensemble.description["members"] or len(opened) != len(members):
        raise InputError(
            f"predictions: expected those of the members of {ensemble.csv}, one folder for each, found "
            f"{', '.join(str(found.member) for found in opened)}"
        )
    thresholds = []
    for prediction in opened:
        reading = read_object_probs(prediction, ensemble.level)
        if not reading.keys.equals(keys):
            raise InputError(
                f"{prediction.csv}: expected the same objects as in {ensemble.csv}, found others"
            )
        thresholds.append(youden_threshold(labels, reading.probs))
        log.info("%s: threshold %r", prediction.member, thresholds[-1])
    return thresholds
