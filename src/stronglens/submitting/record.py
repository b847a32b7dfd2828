"""The record of a submission: everything that made it, and the hashes along the way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from stronglens.formats.artefact import sha256_of
from stronglens.formats.ensemble_table import (
    EnsembleDescription,
    EnsembleTable,
    csv_name,
    description_of,
    json_name,
)
from stronglens.formats.member_files import DESCRIPTION as MEMBER
from stronglens.formats.member_files import WEIGHTS, MemberDescription
from stronglens.formats.packed import PARAMETERS, SUMMARY, PackSummary
from stronglens.formats.prediction_files import PredictionDescription, description_name
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.split_table import DESCRIPTION as SPLIT
from stronglens.formats.split_table import SplitDescription
from stronglens.formats.threshold_file import THRESHOLD_TXT, read_threshold
from stronglens.running.errors import InputError

S = TypeVar("S", bound=Sidecar)


@dataclass(frozen=True)
class Origins:
    """Folders of the steps before a submission, for its record; any may be left out.

    Attributes
    ----------
    labelled, splits : Path or None
        The packed labelled data, and their split.
    members : sequence of Path
        The folder of each member.
    val_predictions, test_predictions : sequence of Path
        Folders of the members' predictions, those of the test set part by part.
    validation : Path or None
        The validation ensemble, with `threshold.txt`.
    """

    labelled: Path | None = None
    splits: Path | None = None
    members: Sequence[Path] = ()
    val_predictions: Sequence[Path] = ()
    test_predictions: Sequence[Path] = ()
    validation: Path | None = None


@dataclass
class _Files:
    """SHA-256 by path. Large files have theirs stated in the JSON beside them and are not read again."""

    sha256: dict[str, str] = field(default_factory=dict)

    def read(self, kind: type[S], path: Path) -> S:
        """Read what describes files, take it down, and whatever it states of files beside it."""
        content = kind.read(path)
        self.add(path)
        beside: Mapping[str, str] = getattr(content, "sha256", {})
        self.sha256 |= {str(path.parent / name): digest for name, digest in beside.items()}
        return content

    def add(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: expected a file that the submission was made from, found none")
        self.sha256[str(path)] = sha256_of(path)


def describe_origins(ensemble: EnsembleTable, packed: Sequence[Path], origins: Origins) -> dict[str, Any]:
    """Describe what a submission was made from, refusing what does not belong together.

    Parameters
    ----------
    ensemble : EnsembleTable
        The ensemble of the test set.
    packed : sequence of Path
        The parts of the packed test set.
    origins : Origins
        The steps before.

    Returns
    -------
    dict
        members: model, seed, weights_sha256 and, where their folders are given, settings and what they were
        trained on; settings: of packing and splitting; folders: where the steps' results lie; files: SHA-256
        by path.

    Raises
    ------
    InputError
        A file is missing; weights, split or threshold are not those that the ensemble states.
    """
    files = _Files()
    files.read(EnsembleDescription, description_of(ensemble.csv))
    summaries = [files.read(PackSummary, folder / SUMMARY) for folder in packed]
    settings: dict[str, Any] = {
        "testset": summaries[0].settings if summaries else None,
        # How bands and members are combined and calibrated, with what was fitted on validation for that.
        "combination": ensemble.description.combination,
    }
    split: SplitDescription | None = None
    if origins.labelled is not None:
        settings["labelled"] = files.read(PackSummary, origins.labelled / SUMMARY).settings
    if origins.splits is not None:
        split = files.read(SplitDescription, origins.splits / SPLIT)
        settings["split"] = split.settings
    members = _members(ensemble, origins.members, split, files)
    for which, folders in (("val", origins.val_predictions), ("test", origins.test_predictions)):
        for folder in folders:
            files.read(PredictionDescription, folder / description_name(which))
    if origins.validation is not None:
        _validation(ensemble, origins.validation, files)
    if origins.labelled is not None and ensemble.description.width_factors:
        # What the widths of lens parameters were calibrated with.
        summary = PackSummary.read(origins.labelled / SUMMARY)
        files.sha256[str(origins.labelled / PARAMETERS)] = summary.sha256[PARAMETERS]
    return {
        "members": members,
        "settings": settings,
        "folders": {
            "ensemble_csv": str(ensemble.csv),
            "packed": _texts(packed),
            "labelled": _text(origins.labelled),
            "splits": _text(origins.splits),
            "members": _texts(origins.members),
            "val_predictions": _texts(origins.val_predictions),
            "test_predictions": _texts(origins.test_predictions),
            "validation": _text(origins.validation),
        },
        "files": files.sha256,
    }


def _members(
    ensemble: EnsembleTable, folders: Sequence[Path], split: SplitDescription | None, files: _Files
) -> list[dict[str, Any]]:
    found: dict[tuple[str, int], MemberDescription] = {}
    for folder in folders:
        path = folder / MEMBER
        of_folder = files.read(MemberDescription, path)
        files.sha256[str(folder / WEIGHTS)] = of_folder.weights_sha256
        found[of_folder.model, of_folder.seed] = of_folder
        own, common = of_folder.objects_sha256, split and split.objects_sha256
        if own is not None and common is not None and own != common:
            raise InputError(f"{path}: expected a member trained with the split of this run, found another")
    members = []
    for member in ensemble.description.members:
        stated = found.get((member.model, member.seed))
        if folders and (stated is None or stated.weights_sha256 != member.weights_sha256):
            raise InputError(
                f"{ensemble.csv}: expected the weights of {member} among the "
                f"members given, found {'others' if stated else 'none'}"
            )
        # The hash of the weights, the settings, the data, the device: all that best.json says.
        members.append((stated.as_json() if stated else {}) | member.as_dict())
    return members


def _validation(ensemble: EnsembleTable, folder: Path, files: _Files) -> None:
    stated = files.read(EnsembleDescription, folder / json_name("val"))
    if stated.members != ensemble.description.members:
        raise InputError(
            f"{folder / json_name('val')}: expected the members of {ensemble.csv}, found others: "
            "t* was chosen for another ensemble"
        )
    if stated.combination != ensemble.description.combination:
        raise InputError(
            f"{folder / json_name('val')}: expected members combined as in {ensemble.csv}, "
            "found another way: t* was chosen for other probabilities"
        )
    if csv_name("val") not in stated.sha256:
        raise InputError(f"{folder / json_name('val')}: expected the sha256 of {csv_name('val')}, found none")
    files.add(folder / THRESHOLD_TXT)
    threshold = read_threshold(folder / THRESHOLD_TXT)
    if threshold != ensemble.description.threshold:
        raise InputError(
            f"{folder / THRESHOLD_TXT}: expected t* = {ensemble.description.threshold!r} as in "
            f"{description_of(ensemble.csv)}, found {threshold!r}"
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _texts(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths]
