"""What is refused before the first job starts: losing results for data that are not there, resources that nothing reads.

Snakemake deletes the outputs of a job before it runs it, so that a step that fails for a mistyped folder has already
destroyed what was packed.
"""

import difflib
import importlib.util

from stronglens.configuring.config import MOST_LINES_CHECKED, check_sources
from stronglens.running.tracker import PACKAGE as TRACKER_PACKAGE


def problems_of_sources():
    """Data that this run would pack, or weights that it would import, and that are not there."""
    starting, needed = starting_outputs(), needed_outputs()
    simulating = IS_MODULE or at(f"{SIMULATED}/simulated.json") in starting
    problems = []
    for name in ["labelled", *CONFIG.testsets]:
        summaries = {at(f"{folder}/summary.json") for folder in packed_folders(name)}
        before = packed_from(name) if summaries & needed else []
        if not before and not summaries & starting:
            continue
        packed = sorted(path for path in summaries if Path(path).exists())
        most_lines = None if packed else MOST_LINES_CHECKED
        found = check_sources(CONFIG, [name], [], simulating=simulating, most_lines=most_lines)
        if found and packed:
            keep = (
                f"packed from {', '.join(before)}: correct the path, or write the one before"
                if before
                else f"is packed: give the data back, or keep it as it is: snakemake --touch {shlex.join(packed)}"
            )
            found.append(f"{Path(packed[0]).parent}: {keep}")
        problems += found
    imported = members_made(READY, starting)
    return (
        problems
        + check_sources(CONFIG, [], imported)
        + problems_of_files(starting)
        + problems_of_trackers(starting)
    )


def members_made(models, starting):
    """Model and seed of each member of these models that this run makes."""
    return [
        (model, seed)
        for model in models
        for seed in CONFIG.models[model].member_seeds
        if at(f"{member_folder(model, seed)}/best.json") in starting
    ]


def problems_of_trackers(starting):
    """Curves that trainings of this run are to write, where the package that writes them is missing.

    Jobs in an environment of their own have another set of packages than this process.
    """
    if {"conda", "apptainer"} & DEPLOYMENTS or importlib.util.find_spec(TRACKER_PACKAGE):
        return []
    models = {
        model
        for model, seed in members_made(TRAINED, starting)
        if CONFIG.member_settings(model, seed).train.tracker != "none"
    }
    return [
        f"models.{model}.train.tracker: expected the package {TRACKER_PACKAGE}, but it is not installed; "
        f"pip install {TRACKER_PACKAGE}"
        for model in sorted(models)
    ]


def problems_of_files(starting):
    """Weights that trainings and trials of this run start from, and tables of known lenses that it reads, that are not
    there."""
    paths = {
        (model, start_of(CONFIG.member_settings(model, seed)))
        for model, seed in members_made(TRAINED, starting)
    } | {
        (search.model, start_of(CONFIG.models[search.model].shared))
        for name, search in CONFIG.searches.items()
        if any(at(trial_file(name, trial)) in starting for trial in range(search.n_trials))
    }
    missing = [
        f"models.{model}: {path}: expected a file with weights to start from, but it does not exist"
        for model, path in sorted(paths, key=str)
        if path is not None and not path.is_file()
    ]
    if any(Path(path).name == "known_lenses.json" for path in starting):
        missing += [
            f"known_lenses.tables.{name}: {path}: expected a table, but it does not exist"
            for name, path in KNOWN_TABLES.items()
            if not path.is_file()
        ]
    return missing


def packed_from(data_set):
    """The paths from which a data set was packed, where the config has others that are not there."""
    paths = pack_settings(data_set).paths
    summary = packed_summary(data_set)
    if summary is None or summary.settings is None or all(located(path).exists() for path in paths):
        return []
    before = PackSettings.model_validate(summary.settings).paths
    return [] if before == paths else before


# What a user sets for lack of the right name, and the right one.
RIGHT_KEYS = {
    **dict.fromkeys(["mem_gb", "memory_gb", "memory", "memory_mb", "ram", "ram_gb"], "mem_mb"),
    **dict.fromkeys(["gpus", "n_gpus", "ngpus", "num_gpus", "gpu_count"], "gpu"),
    **dict.fromkeys(["time", "time_min", "walltime", "runtime_min", "runtime_h", "hours"], "runtime"),
}


def problems_of_resources():
    """Resources set by an option or a profile under names that nothing reads."""
    # Names that are like one of ours are no other's by chance: those of executors differ more.
    own = ["device", "compile", "batch_size"]
    problems = []
    for place, keys in given_resources().items():
        for key in keys:
            right = RIGHT_KEYS.get(key.lower()) or next(
                iter(difflib.get_close_matches(key, own, n=1, cutoff=0.8)), key
            )
            if right != key:
                unit = {"mem_mb": ", in MB", "runtime": ", in minutes"}.get(right, "")
                problems.append(f"{place}: found {key}, which nothing reads, expected {right}{unit}")
    return problems


if IS_MAIN_PROCESS:
    # A workflow that uses this one as a module may have resources of its own.
    if problems := [] if IS_MODULE else problems_of_resources():
        refuse("\n".join(problems))
    # Of test sets too: to a user it is one step.
    check_before_first_job(problems_of_sources, forced_together={"build_buckets": "build_test_buckets"})
