"""Probabilities of an ensemble, the teacher, that a network learns in place of labels."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stronglens.formats.ensemble_table import EnsembleTable, open_ensemble
from stronglens.formats.prediction_files import Member
from stronglens.formats.tables import INTEGER, REAL, TEXT, probabilities, read_header
from stronglens.networks.samples import Samples
from stronglens.running.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lesson:
    """What is learnt from a teacher.

    Attributes
    ----------
    targets : Tensor of float32, shape (n_samples,)
        The probability of being a lens that each training sample is to get.
    sha256 : str
        Of the teacher's table.
    members : list of Member
        Of the teacher.
    """

    targets: Tensor
    sha256: str
    members: list[Member]


def read_lesson(csv: Path | None, samples: Samples, ensemble: str | None) -> Lesson | None:
    """Find what a teacher says of the training samples.

    Each cutout of an object gets the object's probability, before calibration where there is one: steps of
    an isotonic one would hide which of two objects is the likelier lens. Objects of which the teacher says
    nothing, since none of its members looks at their bands, keep their labels.

    Parameters
    ----------
    csv : Path or None
        `train_ens.csv` of the teacher, of level object.
    samples : Samples
        The training samples.
    ensemble : str or None
        Name of the teacher, as settings give it.

    Returns
    -------
    Lesson or None
        None where settings name no teacher.

    Raises
    ------
    InputError
        There is a name without a table or a table without a name; the table was changed, is of other objects,
        or states other labels.

    Notes
    -----
    Hinton, Vinyals & Dean (2015), arXiv:1503.02531, at temperature 1: the loss is the cross-entropy with the
    teacher's probabilities. The teacher has learnt these very objects and is surer of them than of others.
    """
    if (csv is None) != (ensemble is None):
        raise InputError(
            "teacher: expected both the setting distil_from and the table of that ensemble, found "
            + (f"no table of {ensemble}" if csv is None else f"{csv} without the setting")
        )
    if csv is None:
        return None
    table, stated = read_answers(csv, "label")
    found = stated.reindex(samples.table["object"])
    labels, known = samples.table["label"].to_numpy(), found["prob"].notna().to_numpy()
    if not known.any():
        raise InputError(f"{csv}: expected probabilities of training objects, found none of any of them")
    differ = known & (found["label"].to_numpy() != labels)
    if differ.any():
        raise InputError(
            f"{csv}: expected the labels of the packed data, found another of "
            f"{samples.table['object'].iloc[int(np.argmax(differ))]}: predict with the teacher again"
        )
    targets = np.where(known, found["prob"].to_numpy(), labels).astype(np.float32)
    log.info(
        "%s teaches %d of %d training samples; the others keep their labels",
        ensemble,
        np.count_nonzero(known),
        len(samples),
    )
    return Lesson(torch.from_numpy(targets), table.description.sha256[csv.name], table.description.members)


def read_answers(csv: Path, column: str) -> tuple[EnsembleTable, pd.DataFrame]:
    """Read what a teacher says of objects.

    Parameters
    ----------
    csv : Path
        A table of the teacher.
    column : str
        A column of integers that is wanted too.

    Returns
    -------
    table : EnsembleTable
        With its description.
    answers : DataFrame
        Of each object `prob`, before calibration where there is one, and the column; the index are objects.

    Raises
    ------
    InputError
        The table was changed, or is not of level object.
    """
    table = open_ensemble(csv)
    if table.level != "object":
        raise InputError(f"{csv}: expected an ensemble of level object, found level {table.level}")
    prob = "prob_raw" if "prob_raw" in read_header(csv) else "prob"
    read = table.read({"object": TEXT, column: INTEGER, "prob": REAL, prob: REAL})
    answers = pd.DataFrame(
        {column: read[column].to_numpy(), "prob": probabilities(csv, read, prob)},
        index=read["object"].to_numpy(),
    )
    return table, answers
