"""Objects without labels, those of blind test sets, of which a network learns a teacher's probabilities."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stronglens.formats.member_files import UnlabelledSet
from stronglens.formats.packed import CUTOUTS, INDEX, SUMMARY, PackedSet, open_packed, parts_of
from stronglens.networks.samples import Samples, join_samples, make_samples
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.training.teacher import Lesson, read_answers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnlabelledFiles:
    """Where a test set lies, and what the teacher says of it.

    Attributes
    ----------
    packed : Path
        Folder of the packed set, or of its parts `part_0`, `part_1`, …
    teacher : Path
        `test_ens.csv` of the teacher, of level object.
    """

    packed: Path
    teacher: Path


@dataclass(frozen=True)
class Unlabelled:
    """What is learnt from beside the training split.

    Attributes
    ----------
    parts : list of PackedSet
        Where the pixels lie: the parts of all test sets, one after the other.
    samples : Samples
        Rows are those of the parts joined. Samples lie in the order of the sets and of their objects' keys,
        however many parts there are. `label` is 1 where the teacher's probability is 0.5 or more.
    targets : Tensor of float32, shape (n_samples,)
        The teacher's probability of each.
    stated : dict of str to JSON values
        Of each set what `stronglens.formats.member_files.UnlabelledSet` says.
    """

    parts: list[PackedSet]
    samples: Samples
    targets: Tensor
    stated: dict[str, Any]

    @property
    def n_cutouts(self) -> int:
        """Packed cutouts of all parts."""
        return sum(len(part.index) for part in self.parts)


def unlabelled_files(packed: Mapping[str, Path], teacher: Mapping[str, Path]) -> dict[str, UnlabelledFiles]:
    """Bring together what a command line says of each test set.

    Raises
    ------
    InputError
        A set is given without a table, or a table without a set.
    """
    if packed.keys() != teacher.keys():
        raise InputError(
            "unlabelled: expected a packed set and a table of the teacher for each name, found sets "
            f"{', '.join(packed) or 'none'} and tables {', '.join(teacher) or 'none'}"
        )
    return {name: UnlabelledFiles(packed[name], teacher[name]) for name in packed}


def read_unlabelled(
    files: Mapping[str, UnlabelledFiles],
    settings: MemberSettings,
    lesson: Lesson | None,
    kept_back: pd.Series,
) -> Unlabelled | None:
    """Find the objects without labels, and what the teacher says of them.

    Left out are objects of which the teacher, or this network, has no band, those of which the teacher says
    nothing, those that lack a band where `train.skip_incomplete` says so, and those that show pixels of
    validation or held-out objects. Domains and fractions of splits choose among labelled objects alone.

    Parameters
    ----------
    files : mapping of str to UnlabelledFiles
        By the names in `settings.distil_on`.
    settings : MemberSettings
        Of the network that learns.
    lesson : Lesson or None
        What it learns of the training split.
    kept_back : Series of str
        `pixel_hash` of the labelled cutouts that are not learnt from.

    Returns
    -------
    Unlabelled or None
        None where settings name no test set.

    Raises
    ------
    InputError
        Other sets are given than settings name; a set or a table was changed, or they do not belong together;
        a set has labels, or nothing of it can be learnt; the table is of another teacher than the lesson.
    """
    wanted = settings.distil_on
    if set(wanted) != set(files):
        raise InputError(
            f"unlabelled: expected the test sets of the setting distil_on, {', '.join(wanted) or 'none'}, "
            f"found {', '.join(files) or 'none'}"
        )
    if not wanted or lesson is None:
        return None
    sets = [_read(name, files[name], settings, lesson, kept_back) for name in wanted]
    return Unlabelled(
        [part for one in sets for part in one.parts],
        join_samples([one.samples for one in sets], [one.n_cutouts for one in sets]),
        torch.cat([one.targets for one in sets]),
        {name: stated for one in sets for name, stated in one.stated.items()},
    )


def _read(
    name: str, files: UnlabelledFiles, settings: MemberSettings, lesson: Lesson, kept_back: pd.Series
) -> Unlabelled:
    csv = files.teacher
    parts = _open(name, files.packed)
    table, answers = read_answers(csv, "n_cutouts")
    if table.description.members != lesson.members:
        raise InputError(
            f"{csv}: expected probabilities of {', '.join(map(str, lesson.members))}, as for the training "
            f"objects, found those of {', '.join(map(str, table.description.members))}: predict with the "
            "teacher again"
        )
    samples = _samples_of(parts, settings)
    objects = samples.table["object"]
    strange = ~answers.index.isin(objects)
    if strange.any():
        raise InputError(
            f"{csv}: expected objects of {files.packed}, found {answers.index[strange][0]}, which it lacks: "
            "predict with the teacher again"
        )
    copies = pd.concat([part.index["object"][part.index["pixel_hash"].isin(kept_back)] for part in parts])
    present = samples.rows >= 0
    found = answers.reindex(objects)
    learnt = (found["n_cutouts"] > 0).to_numpy() & present.any(axis=1) & ~objects.isin(copies).to_numpy()
    if settings.train.skip_incomplete:
        learnt &= present.all(axis=1)
    if not learnt.any():
        raise InputError(
            f"{files.packed}: expected objects with a probability in {csv} to learn from, found none "
            f"among {objects.nunique()}"
        )
    # Which part an object is in is chance: the order must not depend on it.
    chosen = np.flatnonzero(learnt)
    chosen = chosen[np.argsort(objects.to_numpy(dtype=str)[chosen], kind="stable")]
    probs = found["prob"].to_numpy(np.float32)[chosen]
    samples = samples.take(chosen)
    samples.table["label"] = (probs >= 0.5).astype(np.int64)
    stated = UnlabelledSet(
        teacher_sha256=table.description.sha256[csv.name],
        cutouts_sha256=[part.summary.sha256[CUTOUTS] for part in parts],
        index_sha256=[part.summary.sha256[INDEX] for part in parts],
        n_objects=samples.table["object"].nunique(),
        n_samples=len(samples),
    )
    log.info(
        "%s teaches %d samples of %d of the %d objects of %s",
        settings.distil_from,
        len(samples),
        stated.n_objects,
        objects.nunique(),
        name,
    )
    return Unlabelled(parts, samples, torch.from_numpy(probs), {name: stated.model_dump()})


def _samples_of(parts: Sequence[PackedSet], settings: MemberSettings) -> Samples:
    """All samples of a set; their rows are those of its parts joined."""
    samples = [
        make_samples(part.index, settings.bands, np.ones(len(part.index), dtype=bool), part.summary.bands)
        for part in parts
    ]
    return join_samples(samples, [len(part.index) for part in parts])


def _open(name: str, folder: Path) -> list[PackedSet]:
    """The parts of a test set without labels."""
    whole = (folder / SUMMARY).exists()
    first = open_packed(folder if whole else folder / "part_0")
    others = [] if whole else parts_of([folder], first.summary.parts)[1:]
    parts = [first, *map(open_packed, others)]
    for number, part in enumerate(parts):
        stated = part.summary
        found = stated.dataset, stated.part, stated.parts
        if found != (name, number, len(parts)):
            raise InputError(
                f"{part.folder / SUMMARY}: expected part {number} of {len(parts)} of {name}, "
                f"found part {stated.part} of {stated.parts} of {stated.dataset}"
            )
        if stated.labelled:
            raise InputError(
                f"{part.folder / SUMMARY}: expected a test set without labels, found a labelled one: a "
                "network is not scored on objects that it has learnt from"
            )
    return parts
