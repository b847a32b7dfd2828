"""One trial of a search: a setting is chosen, trained, and given up where it lags behind."""

import logging
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState

from stronglens.formats.packed import CUTOUTS, INDEX, PARAMETERS, SUMMARY, PackSummary
from stronglens.formats.split_table import DESCRIPTION, SplitDescription
from stronglens.formats.trial_files import TrialResult
from stronglens.networks.compiled import Compile
from stronglens.networks.device import choose_device
from stronglens.networks.precision import computed_on
from stronglens.networks.starting import with_known_start
from stronglens.running.errors import InputError
from stronglens.running.fingerprint import step_sha256
from stronglens.searching.space import in_words, read, settings_with, with_values
from stronglens.searching.study import open_study, patiently, suggest, take_trial
from stronglens.settings.member import MemberSettings
from stronglens.settings.search import TrialSettings
from stronglens.training.train_member import RESUME, fit_network, load_data, make_network
from stronglens.training.trainer import DivergedError

log = logging.getLogger(__name__)

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
PROGRESS, MESSAGE, MADE_WITH = "progress", "message", "made_with"


class _Pruned(Exception):  # noqa: N818 - no error
    """The trial lags behind the others."""


def run_trial(
    packed_folder: Path,
    splits_folder: Path,
    out: Path,
    settings: TrialSettings,
    *,
    search: str,
    trial: int,
    device_name: str = "auto",
    n_threads: int | None = None,
    compile_choice: Compile = "auto",
    choices: Path | None = None,
) -> None:
    """Take a trial of a search, train its setting, and write what came of it.

    What it tries and how it ends is in the study; the file is a copy of that. A job that was killed takes
    its own trial up again, with the same setting and from its last epoch. Weights are not kept, and the test
    split is never looked at.

    Parameters
    ----------
    packed_folder, splits_folder : Path
        What `build_buckets` and `split_objects` wrote.
    out : Path
        JSON file. The study, if it is a file, lies beside it; what a cut training goes on from lies in a
        folder of the same name until the end.
    settings : TrialSettings
        What is tried, on which model.
    search : str
        Name of the search.
    trial : int
        Number of the trial in the search.
    device_name, n_threads, compile_choice, choices
        See `stronglens.training.train_member.train_member`.

    Raises
    ------
    InputError
        The data are not those of the split, or the study cannot be reached. Settings that do not go together,
        that diverge or that do not fit into the memory of a GPU are trials that failed, and no error.
    StoppedError
        SIGTERM came; the same call goes on.
    """
    folder = out.with_suffix("")
    identity = _identity(packed_folder, splits_folder, settings)
    study, storage = open_study(out.parent, search, settings, trial, identity)
    taken = take_trial(study, storage, trial)
    if isinstance(taken, Trial):
        taken = _Job(study, taken, settings, folder / RESUME).run(
            packed_folder, splits_folder, device_name, n_threads, compile_choice, choices
        )
    else:
        log.info("trial %d has ended before: what the study knows of it is written again", trial)
    described = _described(taken, settings) | {"search": search, "study": study.study_name, "trial": trial}
    result = TrialResult.model_validate(described)
    result.write(out)
    log.info(
        "trial %d %s after %d epochs: best validation auc %s",
        trial,
        result.state,
        len(result.val_auc),
        result.best_val_auc,
    )
    shutil.rmtree(folder, ignore_errors=True)  # with the log of all tries: after the last message


class _Job:
    """A trial that is being run."""

    def __init__(
        self, study: optuna.Study, trial: Trial, settings: TrialSettings, resume_folder: Path
    ) -> None:
        self._study = study
        self._trial = trial
        self._settings = settings
        self._resume_folder = resume_folder
        # Epochs that an earlier try of this job has reported, and the seconds it took.
        self._reported = set(patiently(lambda: self._frozen().intermediate_values))
        self._seconds_before = float(trial.user_attrs.get(PROGRESS, {}).get("seconds", 0.0))
        self._started = time.monotonic()

    def run(
        self,
        packed_folder: Path,
        splits_folder: Path,
        device_name: str,
        n_threads: int | None,
        compile_choice: Compile,
        choices: Path | None,
    ) -> FrozenTrial:
        values = suggest(self._trial, self._settings.space)
        log.info("trial with %s", ", ".join(f"{key} {in_words(value)}" for key, value in values.items()))
        try:
            member = settings_with(self._settings.member, values)
        except InputError as error:
            return self._fail(error)
        # What is wrong with the data is wrong for every trial: the job fails, not the trial.
        device = choose_device(device_name)
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        seed = self._settings.member_seed
        member = with_known_start(member, seed)
        try:
            data = load_data(
                packed_folder,
                splits_folder,
                member,
                device,
                seed=seed,
                name=f"trial {self._trial.number}",
                splits=("train", "val"),
                compile_choice=compile_choice,
                resume_folder=self._resume_folder,
                choices=choices,
            )
            made_with = computed_on(device, data.computing)
            patiently(lambda: self._trial.set_user_attr(MADE_WITH, made_with))
            try:
                network = make_network(data)
            except InputError as error:
                return self._fail(error)
            result = fit_network(
                network,
                data,
                self._resume_folder,
                compile_choice=compile_choice,
                observe=lambda state: self._observe(state, member),
                choices=choices,
            )
        except _Pruned:
            return self._tell(state=TrialState.PRUNED)
        except DivergedError as error:
            return self._fail(error)
        except torch.OutOfMemoryError as error:
            return self._fail(error)
        return self._tell(value=result.records[result.best_epoch - 1].val_auc)

    def _observe(self, state: Mapping[str, Any], member: MemberSettings) -> None:
        """Report the epochs that the study does not know yet, and see whether to go on."""
        for record in state["records"]:
            epoch, auc = record["epoch"], record["val_auc"]
            if epoch not in self._reported:
                patiently(partial(self._trial.report, auc, epoch))
                self._reported.add(epoch)
        progress = {"seconds": self._seconds(), "best_epoch": state["watch"]["best_epoch"]}
        patiently(lambda: self._trial.set_user_attr(PROGRESS, progress))
        n_epochs = len(state["records"])
        # Within an epoch there is nothing new to judge by, and after the last nothing to save.
        if state["step"] == 0 and 0 < n_epochs < member.train.epochs and patiently(self._lags):
            log.info("it lags behind the other trials after epoch %d: given up", n_epochs)
            raise _Pruned

    def _lags(self) -> bool:
        return self._trial.should_prune()

    def _seconds(self) -> float:
        return round(self._seconds_before + time.monotonic() - self._started, 3)

    def _fail(self, error: Exception) -> FrozenTrial:
        text = str(error)
        log.warning("the trial failed: %s", text)
        patiently(lambda: self._trial.set_user_attr(MESSAGE, text[:1000]))
        return self._tell(state=TrialState.FAIL)

    def _tell(self, value: float | None = None, state: TrialState | None = None) -> FrozenTrial:
        progress = self._trial.user_attrs.get(PROGRESS, {}) | {"seconds": self._seconds()}
        patiently(lambda: self._trial.set_user_attr(PROGRESS, progress))
        # Skipped if a call that got no answer was heard all the same.
        return patiently(lambda: self._study.tell(self._trial, value, state, skip_if_finished=True))

    def _frozen(self) -> FrozenTrial:
        return next(one for one in self._study.get_trials(deepcopy=False) if one.number == self._trial.number)


def _identity(packed_folder: Path, splits_folder: Path, settings: TrialSettings) -> dict[str, Any]:
    """All that must be the same for trials to be compared: settings, data, code. Not where the study lies."""
    packed = PackSummary.read(packed_folder / SUMMARY).sha256
    return {
        "settings": settings.model_dump(mode="json", exclude={"storage", "password_file"}),
        "cutouts_sha256": packed[CUTOUTS],
        "index_sha256": packed[INDEX],
        **({"parameters_sha256": packed[PARAMETERS]} if settings.member.lens_parameters else {}),
        "objects_sha256": SplitDescription.read(splits_folder / DESCRIPTION).objects_sha256,
        "code": step_sha256(__file__),
    }


def _described(trial: FrozenTrial, settings: TrialSettings) -> dict[str, Any]:
    """What the study knows of a trial that has ended; equal for equal trials, but for times and numbers."""
    values = {key: read(settings.space[key], value) for key, value in trial.params.items()}
    epochs = sorted(trial.intermediate_values)
    aucs = [trial.intermediate_values[epoch] for epoch in epochs]
    progress = trial.user_attrs.get(PROGRESS, {})
    best_epoch = progress.get("best_epoch") or None
    best = aucs[best_epoch - 1] if best_epoch is not None and trial.state != TrialState.FAIL else None
    return {
        "number_in_study": trial.number,
        "state": STATES[trial.state],
        "message": trial.user_attrs.get(MESSAGE),
        "params": values,
        "settings": with_values(settings.member, values),
        "member_seed": settings.member_seed,
        "val_auc": aucs,
        "best_epoch": best_epoch,
        "best_val_auc": best,
        "seconds": progress.get("seconds", 0.0),
        **trial.user_attrs.get(MADE_WITH, {}),
    }
