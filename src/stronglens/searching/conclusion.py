"""What came of a search: a table of its trials, the best setting as a block of the config."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from stronglens.formats.artefact import write_text
from stronglens.formats.trial_files import TrialResult, best_of, read_trials
from stronglens.searching.space import in_words, written
from stronglens.settings.search import ConclusionSettings

log = logging.getLogger(__name__)

_FIRST = ("network", "bands", "domains", "preprocess", "train", "seeds", "predict")
"""Keys of a model's block in the order in which a person writes them; all others follow."""


def conclude_search(
    paths: Sequence[Path], out_dir: Path, settings: ConclusionSettings, *, search: str
) -> None:
    """Write `trials.csv` and `best.yaml` of a search; `stronglens.searching.search_plots` draws it.

    Parameters
    ----------
    paths : sequence of Path
        What `run_trial` wrote of each trial.
    out_dir : Path
        Folder for the results.
    settings : ConclusionSettings
        The model, and what was tried on it.
    search : str
        Name of the search.

    Raises
    ------
    InputError
        A file is malformed, or no trial was trained to its end.
    """
    trials = read_trials(paths)
    studies = sorted({trial.study for trial in trials})
    if len(studies) > 1:
        log.warning(
            "trials are of %d studies, %s: settings, data or code changed between them, and their scores "
            "may not be comparable",
            len(studies),
            ", ".join(studies),
        )
    best = best_of(trials)
    write_text(out_dir / "trials.csv", trials_table(trials).to_csv(index=False, lineterminator="\n"))
    write_text(out_dir / "best.yaml", best_block(trials, best, settings, search))
    log.info("%s: %s", search, _in_short(trials, best))


def trials_table(trials: Sequence[TrialResult]) -> pd.DataFrame:
    """A row a trial: how it ended, its best validation AUC, seconds, and the value of each key searched."""
    return pd.DataFrame(
        [
            {
                "trial": trial.trial,
                "state": trial.state,
                "best_val_auc": trial.best_val_auc,
                "best_epoch": trial.best_epoch,
                "n_epochs": len(trial.val_auc),
                "seconds": trial.seconds,
                **{key: written(value) for key, value in trial.params.items()},
                "message": trial.message,
            }
            for trial in trials
        ]
    ).astype({"best_epoch": "Int64"})


def best_block(
    trials: Sequence[TrialResult], best: TrialResult, settings: ConclusionSettings, search: str
) -> str:
    """The best setting, as a block of a model to be pasted into a config."""
    block = dict(settings.block)
    for key, value in best.params.items():
        _set(block, key.split("."), value)
    ordered = {key: block[key] for key in (*_FIRST, *block) if key in block}
    head = [
        f"The best setting that search {search} found: {_in_short(trials, best)}",
        "Searched: " + ", ".join(f"{key} {in_words(value)}" for key, value in best.params.items()),
        "It was chosen on the validation objects, so its score there is too good: the held-out",
        "objects say what it is worth. The block replaces the model's in your config.",
        "Settings of single seeds (seed_overrides) are not among them.",
    ]
    text = yaml.safe_dump({"models": {settings.model: ordered}}, sort_keys=False, allow_unicode=True)
    return "".join(f"# {line}\n" for line in head) + text


def _set(block: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    key, *deeper = keys
    if deeper:
        block[key] = dict(block.get(key, {}))
        _set(block[key], deeper, value)
    else:
        block[key] = value


def _in_short(trials: Sequence[TrialResult], best: TrialResult) -> str:
    counts = Counter(trial.state for trial in trials)
    states = ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "failed"))
    return (
        f"trial {best.trial} of {len(trials)} ({states}), validation AUC {best.best_val_auc:.5f} "
        f"at epoch {best.best_epoch}"
    )
