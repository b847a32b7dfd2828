"""Making a capsule from the results of a workflow."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_safetensors

from stronglens.finder.members import load_members
from stronglens.finder.model_card import model_card
from stronglens.finder.onnx_graph import onnx_graph
from stronglens.formats.capsule import CARD, GRAPH, Manifest, write_capsule
from stronglens.formats.digits import probability
from stronglens.formats.drift_files import Drift
from stronglens.formats.ensemble_table import EnsembleDescription, json_name, open_ensemble
from stronglens.formats.member_files import DESCRIPTION, MemberDescription, read_member
from stronglens.formats.packed import SUMMARY, PackSummary
from stronglens.formats.prediction_files import Member
from stronglens.formats.score_files import GLOBAL, Metrics
from stronglens.formats.threshold_file import THRESHOLD_TXT, read_threshold
from stronglens.networks.precision import chosen_by_measuring
from stronglens.running.errors import InputError
from stronglens.scoring.completeness import read_completeness
from stronglens.scoring.paired import lost
from stronglens.scoring.scored import read_scored_csv
from stronglens.scoring.threshold import METRICS_JSON
from stronglens.settings.member import MemberSettings
from stronglens.settings.products import CapsuleSettings
from stronglens.submitting.surroundings import code_state, versions

log = logging.getLogger(__name__)

_DATA_HASHES = {"cutouts_sha256", "index_sha256", "objects_sha256", "parameters_sha256"}
_COUNTS = ("dataset", "n_objects", "n_cutouts", "n_rejected", "counts", "sha256")
"""What the summary of the packed data says that belongs into a capsule."""

SOFTWARE = (
    'stronglens, with the works that its CITATION.cff names: "If you use this software, please cite it."'
)


@dataclass(frozen=True)
class CapsuleOrigins:
    """What a capsule is made from.

    Attributes
    ----------
    members : sequence of Path
        The folder of each member of the ensemble, in any order.
    validation : Path
        Folder of the validation ensemble: `val_ens.json`, `threshold.txt`, `metrics_val_ens.json`.
    labelled : Path
        Folder of the packed labelled data.
    heldout_metrics, completeness : Path or None
        Metrics of the held-out objects, and `completeness.csv` of theirs.
    drift : mapping of str to Path
        `drift.json` of test sets, by their names.
    heldout_table : Path or None
        `test_ens_labeled.csv` of the held-out objects, where there is a teacher.
    teachers : mapping of str to Path
        That of the ensemble whose probabilities the members have learnt, by its name: one or none.
    """

    members: Sequence[Path]
    validation: Path
    labelled: Path
    heldout_metrics: Path | None = None
    completeness: Path | None = None
    drift: Mapping[str, Path] = field(default_factory=dict)
    heldout_table: Path | None = None
    teachers: Mapping[str, Path] = field(default_factory=dict)


def make_capsule(
    name: str, origins: CapsuleOrigins, out: Path, settings: CapsuleSettings, *, simulated: bool
) -> Manifest:
    """Write an ensemble as one file.

    Parameters
    ----------
    name : str
        Of the ensemble.
    origins : CapsuleOrigins
        What it is made from.
    out : Path
        The capsule.
    settings : CapsuleSettings
        What the ensemble does not say of itself.
    simulated : bool
        Whether the labelled data are simulated.

    Returns
    -------
    Manifest
        What the capsule says of itself.

    Raises
    ------
    InputError
        A file is missing, changed or malformed, or members, validation and data do not belong together; or a
        row of the ensemble is a file, not an object: a capsule gives probabilities of objects.
    """
    path = origins.validation / json_name("val")
    ensemble = EnsembleDescription.read(path)
    if ensemble.level != "object":
        raise InputError(
            f"{path}: expected an ensemble of level object, found level {ensemble.level}: a capsule "
            "gives one probability an object; make an ensemble with level: object for it"
        )
    summary = PackSummary.read(origins.labelled / SUMMARY)
    members, files = _members(ensemble.members, origins.members, summary, path)
    threshold, scores = _scores(origins)
    stated: dict[str, Any] = {
        "name": name,
        "bands": summary.bands,
        "size_px": summary.size_px,
        "pixel_scale_arcsec": settings.pixel_scale_arcsec,
        "non_finite": (summary.settings or {}).get("non_finite", "reject"),
        "simulated": simulated,
        "members": members,
        "combination": ensemble.combination or {},
        "width_factors": ensemble.width_factors,
        "threshold": threshold,
        "threshold_interval": (scores["val"]["global"].get("intervals") or {}).get("threshold"),
        "scores": scores,
        "completeness": [] if origins.completeness is None else _completeness(origins.completeness),
        "drift": {testset: _drift(file) for testset, file in origins.drift.items()},
        "teacher": _teacher(origins, threshold),
        "data": {key: getattr(summary, key) for key in _COUNTS},
        "code": {key: value for key, value in code_state().items() if key != "changed"},
        "versions": versions(),
        "licence": settings.licence or _licence(members),
        "citation": settings.citation or SOFTWARE,
    }
    # The card says what the manifest says, which is checked first.
    unlisted = {weights: {"sha256": "0" * 64, "n_bytes": len(content)} for weights, content in files.items()}
    unfinished = Manifest.model_validate({**stated, "files": unlisted})
    files[CARD] = model_card(unfinished).encode()
    if settings.onnx:
        files[GRAPH] = onnx_graph(unfinished, load_members(str(out), unfinished, files.__getitem__, "cpu"))
    manifest = write_capsule(out, stated, files)
    log.info(
        "%s: %s, %.1f MB, t* = %s",
        out,
        ", ".join(map(str, manifest.members)),
        out.stat().st_size / 1e6,
        probability(threshold),
    )
    return manifest


def _members(
    wanted: Sequence[Member], folders: Sequence[Path], summary: PackSummary, told: Path
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What the manifest says of each member, in the order of the ensemble, and the files of weights."""
    described = {}
    for folder in folders:
        found = MemberDescription.read(folder / DESCRIPTION)
        described[found.model, found.seed] = folder
    members, files = [], {}
    for member in wanted:
        key = member.model, member.seed
        if key not in described:
            raise InputError(f"{told}: expected the folder of member {key[0]} seed {key[1]}, found none")
        folder = described[key]
        description, weights = read_member(folder)
        if description.weights_sha256 != member.weights_sha256:
            raise InputError(
                f"{folder / DESCRIPTION}: expected the weights of {told}, found others: predict again"
            )
        if description.size_px != summary.size_px:
            raise InputError(
                f"{folder / DESCRIPTION}: expected a member for cutouts of {summary.size_px} px, "
                f"found {description.size_px} px"
            )
        file = f"weights/{key[0]}_seed_{key[1]}.safetensors"
        files[file] = save_safetensors({name: tensor.contiguous() for name, tensor in weights.items()})
        members.append(
            {
                "model": key[0],
                "seed": key[1],
                "settings": description.settings,
                "weights": file,
                "weights_sha256": member.weights_sha256,
                "test_time_augmentation": member.test_time_augmentation,
                "lens_scaling": description.lens_parameters,
                "trained_in": chosen_by_measuring(
                    MemberSettings.model_validate(description.settings), description.precision
                ),
                "trained_on": description.model_dump(include=_DATA_HASHES, exclude_none=True),
            }
        )
    return members, files


def _scores(origins: CapsuleOrigins) -> tuple[float, dict[str, Any]]:
    """t*, and the metrics at it."""
    threshold = read_threshold(origins.validation / THRESHOLD_TXT)
    paths = {"val": origins.validation / METRICS_JSON}
    if origins.heldout_metrics is not None:
        paths["heldout"] = origins.heldout_metrics
    scores = {which: Metrics.read(path).blocks for which, path in paths.items()}
    for which, path in paths.items():
        found = scores[which][GLOBAL]["threshold"]
        if found != threshold:
            raise InputError(
                f"{path}: expected metrics at t* = {threshold!r}, as in "
                f"{origins.validation / THRESHOLD_TXT}, found {found!r}"
            )
    return threshold, scores


def _teacher(origins: CapsuleOrigins, threshold: float) -> dict[str, Any] | None:
    """The ensemble that was learnt from, and what its student loses on the held-out objects."""
    if not origins.teachers:
        return None
    if len(origins.teachers) > 1 or origins.heldout_table is None:
        raise InputError("teacher: expected one, and the table of held-out objects, found others")
    ((name, path),) = origins.teachers.items()
    described = open_ensemble(path).description
    if described.threshold is None:
        raise InputError(f"{path}: expected the table of held-out objects with t*, found none of it")
    own, reference = read_scored_csv(origins.heldout_table), read_scored_csv(path)
    compared = lost(own, threshold, reference, described.threshold)
    return {
        "name": name,
        "n_members": len(described.members),
        "n_objects": len(own.labels),
        **{which: {key: one.model_dump() for key, one in found.items()} for which, found in compared.items()},
    }


def _completeness(path: Path) -> list[dict[str, Any]]:
    table = read_completeness(path)
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def _drift(path: Path) -> dict[str, Any]:
    """How many numbers differ, and which."""
    compared = Drift.read(path).compared
    keys = {"statistic", "band", "distance", "limit"}
    differ = [one.model_dump(include=keys) for one in compared if one.drifts]
    return {"n_compared": len(compared), "drifting": differ}


def _licence(members: Sequence[Mapping[str, Any]]) -> str:
    """Licences of the weights with which the training of members began."""
    started = {
        f"{network['weights_licence']}: training began with the weights of {network['weights']}"
        for network in (member["settings"]["network"] for member in members)
        if network.get("weights")
    }
    pretrained = {
        network["name"]
        for network in (member["settings"]["network"] for member in members)
        if network["pretrained"]
    }
    convnext = sorted(name for name in pretrained if name.startswith("convnextv2"))
    others = sorted(pretrained - {*convnext})
    if convnext:
        names = ", ".join(convnext)
        started.add(f"CC BY-NC 4.0: training began with the published weights of {names}")
    if others:
        started.add(f"that of timm's published weights of {', '.join(others)}, with which training began")
    return "; ".join(sorted(started)) or "not stated"
