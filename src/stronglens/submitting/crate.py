"""What made a submission, in the terms of RO-Crate, which archives and registries read."""

import json
import logging
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stronglens.formats.artefact import write_text
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

CRATE = "ro-crate-metadata.json"
_KINDS = {".csv": "text/csv", ".json": "application/json", ".parquet": "application/vnd.apache.parquet"}


def write_crate(record: Path, out: Path, *, licence: str | None = None) -> None:
    """Write `ro-crate-metadata.json`: the submission, what it came from, the software, the licence.

    Equal records of files of the same day give equal bytes, with the same version of rocrate.

    Parameters
    ----------
    record : Path
        `submission.json`; the submission lies beside it.
    out : Path
        The metadata. Files are named from its folder, the root of the crate: those that lie elsewhere by
        their whole path.
    licence : str, optional
        Of the submission.

    Raises
    ------
    InputError
        The record is missing, damaged or of another format, the submission is gone, or the package rocrate is
        not installed.

    Notes
    -----
    RO-Crate: Soiland-Reyes et al. (2022), Data Science 5, 97, in the version that rocrate writes. The date of
    publication, which it demands, is the day on which the submission was written, by the time of its file:
    the record holds none.
    """
    try:
        from rocrate.rocrate import ROCrate  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError(
            "ro-crate: expected the package rocrate, found none; pip install '.[provenance]'"
        ) from error
    stated = SubmissionRecord.read(record)
    name, sha256 = stated.submission
    submission = record.with_name(name)
    if not submission.is_file():
        raise InputError(f"{submission}: expected the submission that {record} describes, found none")
    day = datetime.fromtimestamp(submission.stat().st_mtime, UTC).date().isoformat()
    crate = ROCrate()
    root = out.parent.resolve()
    results = [
        _file(crate, root, submission, sha256, f"{stated.n_rows} objects, {stated.n_lenses} of them lenses"),
        _file(crate, root, record, None, "What made the submission, in full"),
    ]
    inputs = [_file(crate, root, Path(path), digest, "") for path, digest in sorted(stated.files.items())]
    revision = f"revision {stated.code.revision or 'unknown'}{', with changes' if stated.code.dirty else ''}"
    software = _software(
        crate, "stronglens", version("stronglens"), f"{revision}; SHA-256 {stated.code.sha256}"
    )
    software["softwareRequirements"] = [
        _software(crate, package, number, "") for package, number in sorted(stated.versions.items())
    ]
    action = crate.add_action(
        software,
        identifier="#submission",
        object=inputs,
        result=results,
        properties={"name": f"Submission of ensemble {stated.ensemble or 'unknown'}"},
    )
    whole = crate.root_dataset
    whole["name"] = f"Submission of ensemble {stated.ensemble or 'unknown'}, t* = {stated.threshold:.6g}"
    whole["description"] = (
        f"Probabilities of being a strong gravitational lens, test set {stated.testset or 'unknown'}, form "
        f"{stated.form}{'; the data are simulated' if stated.simulated else ''}."
    )
    whole["datePublished"] = day
    whole["license"] = licence or "not stated"
    whole["mainEntity"] = results[0]
    whole["mentions"] = [action]
    text = json.dumps(crate.metadata.generate(), indent=2, sort_keys=True, ensure_ascii=False)
    write_text(out, f"{text}\n")
    log.info("%s: %d files that the submission came from", out, len(inputs))


def _file(crate: Any, root: Path, path: Path, sha256: str | None, says: str) -> Any:
    whole = path.resolve()
    inside = whole.is_relative_to(root)
    stated = {
        "name": path.name,
        "encodingFormat": _KINDS.get(path.suffix, ""),
        "sha256": sha256 or "",
        "description": says,
    }
    properties = {key: value for key, value in stated.items() if value}
    place = {"dest_path": whole.relative_to(root).as_posix()} if inside else {"source": whole.as_uri()}
    return crate.add_file(**place, properties=properties)


def _software(crate: Any, name: str, number: str, says: str) -> Any:
    from rocrate.model.softwareapplication import SoftwareApplication  # noqa: PLC0415 - an extra

    properties = {"name": name, "softwareVersion": number} | ({"description": says} if says else {})
    return crate.add(SoftwareApplication(crate, f"#{name}", properties=properties))
