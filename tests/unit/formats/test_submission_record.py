"""The record of a submission: of one file, in a form that is known."""

from pathlib import Path
from typing import Any

import pytest

from sidecar_examples import EXAMPLES, SHA256, put
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.running.errors import InputError

GOOD: dict[str, Any] = EXAMPLES[SubmissionRecord] | {"format": 2}


def test_it_names_its_submission_and_what_is_not_known_is_empty(tmp_path: Path) -> None:
    record = SubmissionRecord.read(put(tmp_path / "a.json", GOOD))
    assert record.submission == ("submission.csv", SHA256)
    assert (record.ensemble, record.data_sha256, record.unreadable_pred) == (None, [], 0)
    assert (record.folders.packed, record.folders.validation) == ([], None)
    assert record.lens_parameters["Rein"].n_members == 2


@pytest.mark.parametrize("hashes", [{}, {"a.csv": SHA256, "b.csv": SHA256}])
def test_it_is_of_one_submission(hashes: dict[str, str], tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", GOOD | {"sha256": hashes})
    with pytest.raises(InputError, match=f"expected one submission, found {len(hashes)}"):
        SubmissionRecord.read(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"form": "long"},
        {"level": "band"},
        {"folders": {}},
        {"folders": {"ensemble_csv": "a", "other": "b"}},
        {"code": {"sha256": SHA256}},
    ],
)
def test_other_forms_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", GOOD | wrong)
    with pytest.raises(InputError, match=f"expected the record of a submission, found .*{next(iter(wrong))}"):
        SubmissionRecord.read(path)
