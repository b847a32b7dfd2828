"""The study in which the trials of a search find one another, whatever keeps it."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from stronglens.running.errors import InputError
from stronglens.searching.distributions import distribution_of
from stronglens.searching.space import read
from stronglens.settings.search import Dimension, TrialSettings

log = logging.getLogger(__name__)

TRIAL = "trial"
"""User attribute of a trial in the study: its number in the search, by which a job finds its own again."""

_N_TRIES = 7
_LOCK_TIMEOUT_S = 300

_Result = TypeVar("_Result")


def study_name(search: str, identity: Mapping[str, Any]) -> str:
    """Name of a study: another for other settings, data or code, whose scores cannot be compared."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{search}-{digest[:12]}"


def open_study(
    folder: Path, search: str, settings: TrialSettings, trial: int, identity: Mapping[str, Any]
) -> tuple[optuna.Study, BaseStorage]:
    """Open the study of a search, or make it; and the storage that keeps it.

    Parameters
    ----------
    folder : Path
        Where the file of a study lies that is no database of the user's.
    search : str
        Name of the search.
    settings : TrialSettings
        Storage, sampler and pruner.
    trial : int
        Number of the trial that is going to be taken: with `settings.seed` the seed of the sampler.
    identity : mapping
        All that must be the same for two trials to be compared; plain values.

    Raises
    ------
    InputError
        The storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = study_name(search, identity)

    def open_it() -> tuple[optuna.Study, BaseStorage]:
        storage = _storage(folder, settings)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=make_sampler(settings, trial),
            pruner=make_pruner(settings),
        )
        if "identity" not in study.user_attrs:
            study.set_user_attr("identity", dict(identity))
        return study, storage

    study, storage = patiently(open_it, f"storage {settings.storage}")
    log.info("study %s in %s", name, settings.storage)
    return study, storage


def patiently(call: Callable[[], _Result], what: str = "the study") -> _Result:
    """Call something that talks to a storage, again and again while others keep it busy.

    SQLite refuses at once where two jobs would wait for each other, and tables can be made by one alone.

    Raises
    ------
    InputError
        It did not answer within some ten seconds of tries.
    """
    for n_tries in range(1, _N_TRIES + 1):
        try:
            return call()
        except (ArgumentError, ImportError) as error:  # waiting does not help
            raise InputError(f"{what}: expected a storage that can be opened, found: {error}") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if n_tries == _N_TRIES:
                reason = error.__cause__ or error
                raise InputError(f"{what}: expected an answer, found: {reason}") from error
            time.sleep(random.uniform(0.1, 0.2) * 2**n_tries)  # noqa: S311 - no secret
    raise AssertionError


def take_trial(study: optuna.Study, storage: BaseStorage, number: int) -> Trial | FrozenTrial:
    """The trial of a job: the one that an earlier try of the job has begun or ended, else a new one.

    Parameters
    ----------
    study, storage : Study, BaseStorage
        See `open_study`.
    number : int
        Number of the trial in the search.

    Returns
    -------
    Trial or FrozenTrial
        One to go on with, or one that has ended.
    """
    own = patiently(lambda: _find(study, number))
    if own is None:
        # At once with its mark: a job that is killed here leaves no trial that nobody knows.
        begun = create_trial(state=TrialState.RUNNING, user_attrs={TRIAL: number})
        patiently(lambda: study.add_trial(begun))
        own = patiently(lambda: _find(study, number))
    if own is None:
        raise AssertionError(number)
    if own.state.is_finished():
        return own
    begun_number = own.number

    def go_on() -> Trial:
        # The id by which Optuna takes up a trial that has begun is known to the storage alone.
        study_id = storage.get_study_id_from_name(study.study_name)
        return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, begun_number))

    return patiently(go_on)


def _find(study: optuna.Study, number: int) -> FrozenTrial | None:
    trials = study.get_trials(deepcopy=False)
    return next((trial for trial in trials if trial.user_attrs.get(TRIAL) == number), None)


def suggest(trial: Trial, space: Mapping[str, Dimension]) -> dict[str, Any]:
    """The values that a trial tries; for a trial that is gone on with, those it began with."""
    return {key: patiently(partial(_suggest, trial, key, space[key])) for key in sorted(space)}


def _suggest(trial: Trial, key: str, dimension: Dimension) -> Any:
    value: Any
    match distribution_of(key, dimension):
        case CategoricalDistribution() as given:
            value = trial.suggest_categorical(key, given.choices)
        case IntDistribution() as given:
            value = trial.suggest_int(key, given.low, given.high, step=given.step, log=given.log)
        case FloatDistribution() as given:
            value = trial.suggest_float(key, given.low, given.high, step=given.step, log=given.log)
    return read(dimension, value)


def make_sampler(settings: TrialSettings, trial: int) -> BaseSampler:
    """What chooses the values of a trial; seeded for that trial alone, whatever ran before it."""
    seed = int(np.random.SeedSequence([settings.seed, trial]).generate_state(1)[0])
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    # Trials that run at the same time keep away from one another (constant_liar).
    return TPESampler(
        seed=seed, n_startup_trials=settings.n_startup_trials, multivariate=True, constant_liar=True
    )


def make_pruner(settings: TrialSettings) -> BasePruner:
    """What decides whether a trial goes on; steps are epochs, counted from 1."""
    pruner = settings.pruner
    epochs = max_epochs(settings)
    least = max(1, min(pruner.n_warmup_epochs, epochs))
    match pruner.method:
        case "median":
            return MedianPruner(pruner.n_startup_trials, n_warmup_steps=pruner.n_warmup_epochs + 1)
        case "halving":
            return SuccessiveHalvingPruner(least, pruner.reduction_factor)
        case "hyperband":
            return HyperbandPruner(least, epochs, pruner.reduction_factor)
        case "none":
            return NopPruner()


def max_epochs(settings: TrialSettings) -> int:
    """The most epochs that a trial may be trained for."""
    searched = settings.space.get("train.epochs")
    if searched is None:
        return settings.member.train.epochs
    return int(max(searched.choices or [searched.high]))


def _storage(folder: Path, settings: TrialSettings) -> BaseStorage:
    if settings.storage == "journal":
        folder.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    url = settings.storage
    if url == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / 'study.db').resolve()}"
    parsed = make_url(url)
    if settings.password_file is not None:
        parsed = parsed.set(password=_password(Path(settings.password_file).expanduser()))
    options = (
        {"connect_args": {"timeout": _LOCK_TIMEOUT_S}} if parsed.get_backend_name() == "sqlite" else None
    )
    return RDBStorage(parsed.render_as_string(hide_password=False), engine_kwargs=options)


def _password(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path}: expected a file that only you can read: chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: expected a file with a password, found: {error}") from error
