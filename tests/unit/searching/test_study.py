"""The study that all trials of a search share."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from made_searches import SETTINGS, call
from stronglens.searching import study as studies
from stronglens.settings.search import TrialSettings

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"


def test_a_search_is_the_same_again_where_trials_come_one_by_one(tmp_path: Path) -> None:
    settings = TrialSettings.model_validate(SETTINGS | {"n_startup_trials": 2})

    def tried(folder: Path) -> list[dict[str, Any]]:
        values = []
        for number in range(5):
            study, storage = studies.open_study(folder, "lr", settings, number, {})
            trial = studies.take_trial(study, storage, number)
            values.append(studies.suggest(trial, settings.space))
            study.tell(trial, values[-1]["train.lr"])
        return values

    once = tried(tmp_path / "a")
    assert once == tried(tmp_path / "b")
    assert len({one["train.lr"] for one in once}) == 5


TRIAL = """
import json, sys
from pathlib import Path
from stronglens.searching import study as studies
from stronglens.settings.search import TrialSettings
number = int(sys.argv[2])
settings = TrialSettings.model_validate(json.loads(sys.argv[3]))
for number in (number, number + 10):
    study, storage = studies.open_study(Path(sys.argv[1]), "lr", settings, number, {})
    trial = studies.take_trial(study, storage, number)
    studies.suggest(trial, settings.space)
    for epoch in range(1, 6):
        studies.patiently(lambda: trial.report(0.1, epoch))
        studies.patiently(trial.should_prune)
    studies.patiently(lambda: study.tell(trial, 0.5))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_many_trials_share_a_study_that_all_make_at_once(tmp_path: Path, storage: str) -> None:
    settings = json.dumps(SETTINGS | {"storage": storage})
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRIAL, str(tmp_path), str(number), settings],
            cwd=SCRIPTS,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
    study, _ = studies.open_study(tmp_path, "lr", TrialSettings.model_validate_json(settings), 0, {})
    assert sorted(trial.user_attrs["trial"] for trial in study.trials) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o600, "expected a storage that can be opened"), (0o644, "only you can read")]
)
def test_a_password_comes_from_a_file_and_is_told_to_nobody(
    data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, expected: str
) -> None:
    (tmp_path / "password").write_text("SECRET\n")
    (tmp_path / "password").chmod(mode)
    more = {"storage": "nosuchdatabase://me@localhost/db", "password_file": str(tmp_path / "password")}
    assert call(data, tmp_path / "search", 0, SETTINGS | more) == 1
    assert expected in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("method", ["median", "halving", "hyperband", "none"])
def test_every_pruner_can_be_asked(tmp_path: Path, method: str) -> None:
    pruner = {"method": method, "n_warmup_epochs": 9}
    settings = TrialSettings.model_validate(SETTINGS | {"pruner": pruner, "storage": "journal"})
    for number in range(2):
        study, storage = studies.open_study(tmp_path, "lr", settings, number, {})
        trial = studies.take_trial(study, storage, number)
        trial.report(0.5, 1)
        assert not trial.should_prune()  # epochs that are given to all
        study.tell(trial, 0.5)
