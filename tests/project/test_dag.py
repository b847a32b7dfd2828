"""What runs again after a change: read from dry runs of the real workflow, without training.

Large artefacts are more than 1 MB here, since Snakemake compares the content of smaller files only.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from snakemake_call import call_snakemake

PROJECT = Path(__file__).parents[2]
LARGE = ".npy", ".parquet", ".csv", ".pt"
SMALL = {"completeness.csv"}
"""Tables that have no row for each object, of which Snakemake compares the content."""
MEGABYTE = 1_000_000
CONFIG = {
    "data": {
        "labelled": {
            "slsim_lenses": "data/slsim_lenses",
            "slsim_nonlenses": "data/slsim_nonlenses",
            "hsc_lenses": "data/hsc_lenses",
            "hsc_nonlenses": "data/hsc_nonlenses.txt",
        }
    },
    "testsets": {"challenge": {"path": "data/test", "parts": 2}},
    "models": {
        "atto": {"network": "convnextv2_atto", "seeds": [1, 2]},
        "nano": {"network": "convnextv2_nano", "seeds": [1], "bands": ["g", "r"]},
    },
    "ensembles": {"atto": {"models": ["atto"]}, "hybrid": {"models": ["atto", "nano"]}},
    "submission": {"ensemble": "hybrid"},
}
AFTER_ENSEMBLES = {
    *("ensemble_val", "threshold", "ensemble_test", "ensemble_test_labelled"),
    *("evaluate_val", "evaluate_test", "compare_data", "submission", "submission_of_ensemble"),
    *("candidates", "plot_training", "plot_run_times", "write_overview"),
    *("plot_evaluation", "plot_drift"),
}
PREDICTIONS = {"predict_val", "predict_test", "predict_heldout"}
PACKING = {"build_buckets", "build_test_buckets"}


def snakemake(folder: Path, *arguments: str) -> str:
    code, said = call_snakemake(folder, "--configfile", "config.yaml", *arguments)
    assert code == 0, said
    return said


def jobs(folder: Path, *targets: str) -> set[tuple[str, str]]:
    """Rule and wildcards of each job that a dry run lists."""
    text = snakemake(folder, "-n", *targets)
    found = set()
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", text)[1:]:
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        found.add((re.match(r"(?:local)?rule (\w+):", block)[1], wildcards[1] if wildcards else ""))
    assert found or "Nothing to be done" in text, text
    return found - {("all", ""), ("sim_to_real", "")}


def rules(folder: Path) -> set[str]:
    return {rule for rule, _ in jobs(folder)}


def write_config(folder: Path, config: dict) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The workflow with all its results there: empty files, but for the large ones."""
    folder = tmp_path_factory.mktemp("dag") / "finished"
    for part in ("rules", "workflow", "config", "envs"):
        shutil.copytree(
            PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "local.yaml")
        )
    shutil.copy(PROJECT / "Snakefile", folder)
    for given in CONFIG["data"]["labelled"].values():
        path = folder / given
        path.parent.mkdir(exist_ok=True)
        if path.suffix:
            path.write_text("slsim_lenses/D1_L_0_g.fits\n" * 60_000)
        else:
            path.mkdir()
            (path / "D1_L_0_g.fits").touch()
    (folder / "data/test").mkdir()
    (folder / "data/test/object_0_g.fits").touch()
    write_config(folder, CONFIG)
    make_results(folder)
    for name, settings, lists in (
        ("labelled", {"labelled": CONFIG["data"]["labelled"]}, ["data/hsc_nonlenses.txt"]),
        ("challenge/part_0", {"path": "data/test"}, []),
        ("challenge/part_1", {"path": "data/test"}, []),
    ):
        contents = {path: sha256((folder / path).read_bytes()).hexdigest() for path in lists}
        summary = folder / "results/buckets" / name / "summary.json"
        described = {"dataset": name, "labelled": name == "labelled", "size_px": 41, "bands": ["g"]}
        counts = {"n_cutouts": 0, "n_objects": 0, "sha256": {"cutouts.npy": "0", "index.parquet": "0"}}
        summary.write_text(json.dumps(described | counts | {"settings": settings, "lists": contents}))
    snakemake(folder, "--touch", "--forceall", "--cores", "1")
    assert jobs(folder) == set()
    return folder


def make_results(folder: Path, *targets: str) -> None:
    """Make files for all outputs that a dry run lists, and have Snakemake believe that it made them."""
    for line in re.findall(r"^    output: (.*)$", snakemake(folder, "-n", *targets), re.MULTILINE):
        for name in line.split(", "):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.suffix:
                path.mkdir(exist_ok=True)
                continue
            large = path.suffix in LARGE and path.name not in SMALL
            path.write_bytes(b"x" * (MEGABYTE + 1) if large else b"")
    # Plain --touch does nothing for files that Snakemake has no record of.
    snakemake(folder, "--touch", "--forceall", "--cores", "1", *targets)


@pytest.fixture
def project(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "project", symlinks=True)


def edit(folder: Path, module: str) -> None:
    """Let a script, a module or a data file of the library compute something else."""
    with (folder / "workflow/scripts" / module).open("a") as source:
        source.write("\nchanged = 1\n")


def edited(folder: Path, *targets: str) -> dict[str, set[str]]:
    """Rules of which a dry run says that the code has changed, and modules that it names."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", snakemake(folder, "-n", *targets))[1:]:
        reason = re.search(r"reason: .*Params have changed since last execution: (.*)$", block, re.MULTILINE)
        if reason:
            names = re.findall(r"'([\w./]+) [0-9a-f]{12}'", reason[1])
            found.setdefault(re.match(r"(?:local)?rule (\w+):", block)[1], set()).update(names)
    return found


def age(paths, seconds: float) -> None:
    for path in paths:
        changed = path.stat().st_mtime + seconds
        os.utime(path, (changed, changed))


def test_a_new_seed_trains_and_predicts_itself_alone(project):
    config = CONFIG | {
        "models": CONFIG["models"] | {"atto": CONFIG["models"]["atto"] | {"seeds": [1, 2, 505]}}
    }
    write_config(project, config)
    found = jobs(project)
    assert {rule for rule, _ in found} == {"train"} | PREDICTIONS | AFTER_ENSEMBLES
    members = {where for rule, where in found if rule in {"train"} | PREDICTIONS}
    assert all("model=atto, seed=505" in where for where in members)


def test_settings_of_one_seed_concern_that_member(project):
    atto = CONFIG["models"]["atto"] | {"seed_overrides": {2: {"train": {"lr": 1e-4}}}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"atto": atto}})
    found = jobs(project)
    assert {where for rule, where in found if rule == "train"} == {"model=atto, seed=2"}
    assert {rule for rule, _ in found} == {"train"} | PREDICTIONS | AFTER_ENSEMBLES


def test_settings_of_one_model_concern_its_members(project):
    nano = CONFIG["models"]["nano"] | {"preprocess": {"smoothing": "gaussian"}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}})
    found = jobs(project)
    assert {where for rule, where in found if rule == "train"} == {"model=nano, seed=1"}
    # the ensemble without nano stays as it is
    assert {where for rule, where in found if rule == "ensemble_val"} == {"ensemble=hybrid"}


def test_whoever_watches_a_training_trains_nothing(project):
    atto = CONFIG["models"]["atto"] | {"train": {"tracker": "tensorboard"}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"atto": atto}})
    assert jobs(project) == set()


def test_a_tracker_that_is_not_installed_is_refused_before_the_first_job(project):
    with (project / "Snakefile").open("a") as rules:
        rules.write('\nTRACKER_PACKAGE = "no_such_package"\n')
    atto = CONFIG["models"]["atto"] | {"seeds": [1, 2, 505], "train": {"tracker": "tensorboard"}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"atto": atto}})
    code, said = call_snakemake(project, "--configfile", "config.yaml", "-n")
    assert code == 1
    assert "models.atto.train.tracker: expected the package no_such_package, but it is not installed" in said


def test_test_time_augmentation_trains_nothing(project):
    nano = CONFIG["models"]["nano"] | {"predict": {"test_time_augmentation": True}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}})
    found = jobs(project)
    assert {rule for rule, _ in found} == PREDICTIONS | AFTER_ENSEMBLES - {"plot_training"}
    assert all("model=nano" in where for rule, where in found if rule in PREDICTIONS)


def test_lens_parameters_concern_the_model_that_estimates_them(project):
    nano = CONFIG["models"]["nano"] | {"lens_parameters": {"targets": ["Rein"]}}
    submission = CONFIG["submission"] | {"lens_parameters": True}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}, "submission": submission})
    found = jobs(project)
    assert {where for rule, where in found if rule == "train"} == {"model=nano, seed=1"}
    assert {rule for rule, _ in found} == {
        *("train", "evaluate_lens", "plot_lens", "write_index"),
        *(PREDICTIONS | AFTER_ENSEMBLES),
    }
    assert {where for rule, where in found if rule == "evaluate_lens"} == {
        "ensemble=hybrid, which=heldout",
        "ensemble=hybrid, which=val",
    }
    assert all("atto" not in where for _, where in found)
    # Of the ensemble that estimates nothing none are asked for.
    said = snakemake(project, "-n", "-p", "--forcerun", "submission_of_ensemble")
    commands = [line for line in said.splitlines() if "submission.py" in line and "--out" in line]
    asked = {re.search(r"--out (\S+)", line)[1]: '"lens_parameters": true' in line for line in commands}
    assert asked == {
        "submission.csv": True,
        "results/submissions/hybrid.csv": True,
        "results/submissions/atto.csv": False,
    }
    parameters = "results/buckets/labelled/parameters.parquet"
    block = re.search(r"rule train:.*?wildcards", said, re.DOTALL)[0]
    assert parameters in block


def test_uncertainties_train_the_model_that_gives_them_and_are_calibrated_with_what_is_known(project):
    def with_block(**more):
        nano = CONFIG["models"]["nano"] | {"lens_parameters": {"targets": ["Rein"], **more}}
        write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}})

    with_block()
    make_results(project)
    assert jobs(project) == set()
    with_block(uncertainties=False)
    assert jobs(project) == set()
    with_block(uncertainties=True)
    found = jobs(project)
    assert {where for rule, where in found if rule == "train"} == {"model=nano, seed=1"}
    assert {"ensemble_val", "evaluate_lens", "plot_lens"} <= {rule for rule, _ in found}
    assert all("atto" not in where for _, where in found)
    said = snakemake(project, "-n", "--forcerun", "ensemble_val")
    blocks = {
        re.search(r"wildcards: ensemble=(\w+)", block)[1]: "parameters.parquet" in block
        for block in re.findall(r"rule ensemble_val:.*?wildcards: .*?\n", said, re.DOTALL)
    }
    assert blocks == {"hybrid": True, "atto": False}


@pytest.mark.parametrize("change", [{"seed": 7}, {"train": 0.6, "val": 0.2, "test": 0.2}])
def test_another_split_never_packs_again(project, change):
    write_config(project, CONFIG | {"split": change})
    found = rules(project)
    assert {"split_objects", "train"} | PREDICTIONS <= found
    assert not found & PACKING


def test_threshold_method_leaves_members_alone(project):
    write_config(project, CONFIG | {"threshold": {"method": "mean_of_members"}})
    found = rules(project)
    assert {"threshold", "ensemble_test", "submission"} <= found
    assert not found & ({"train", "split_objects", "ensemble_val"} | PREDICTIONS | PACKING)


def test_another_combination_of_members_concerns_that_ensemble(project):
    ensembles = CONFIG["ensembles"] | {"atto": {"models": ["atto"], "calibration": "temperature"}}
    write_config(project, CONFIG | {"ensembles": ensembles})
    found = jobs(project)
    assert {rule for rule, _ in found} == AFTER_ENSEMBLES - {"submission", "candidates", "plot_training"}
    assert all("ensemble=atto" in where for rule, where in found if rule != "plot_run_times")


def test_sim_to_real_trains_on_simulations_alone_and_touches_nothing_else(project):
    found = jobs(project, "sim_to_real")
    assert {rule for rule, _ in found} == {
        *("train", "predict_val", "predict_heldout", "ensemble_val", "threshold"),
        *("ensemble_test_labelled", "measure_transfer"),
    }
    assert {where for rule, where in found if rule == "train"} == {
        "model=atto_on_slsim, seed=1",
        "model=atto_on_slsim, seed=2",
        "model=nano_on_slsim, seed=1",
    }
    assert {where for rule, where in found if rule == "ensemble_val"} == {"ensemble=hybrid_on_slsim"}


STATED_TRIAL = {
    "format": 1,
    "trial": 0,
    "study": "lr",
    "state": "complete",
    "params": {},
    "val_auc": [0.5],
    "best_val_auc": 0.5,
    "seconds": 1.0,
}
SEARCHED = CONFIG | {
    "searches": {
        "lr": {
            "model": "atto",
            "n_trials": 5,
            "n_parallel": 2,
            "space": {
                "train.lr": {"low": 1e-5, "high": 1e-3, "log": True},
                "train.schedule": {"choices": ["cosine", "step"]},
            },
        }
    }
}


def searched(**changes):
    return SEARCHED | {"searches": {"lr": SEARCHED["searches"]["lr"] | changes}}


def trials(found):
    return sorted(int(where.rpartition("=")[2]) for rule, where in found if rule == "run_trial")


@pytest.fixture(scope="session")
def finished_search(finished, tmp_path_factory) -> Path:
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("search") / "finished", symlinks=True)
    write_config(folder, SEARCHED)
    assert jobs(folder) == set()  # a search that nobody asked for
    found = jobs(folder, "search_lr")
    assert {rule for rule, _ in found} == {"run_trial", "conclude_search", "plot_search", "search_lr"}
    assert trials(found) == [0, 1, 2, 3, 4]
    make_results(folder, "search_lr")
    assert jobs(folder, "search_lr") == set()
    return folder


@pytest.fixture
def search(finished_search, tmp_path) -> Path:
    return shutil.copytree(finished_search, tmp_path / "project", symlinks=True)


def test_sim_to_real_of_one_domain_is_refused_in_a_line(project):
    labelled = {
        kind: {"path": f"data/slsim_{kind}", "label": label, "domain": "euclid"}
        for kind, label in (("lenses", "lens"), ("nonlenses", "nonlens"))
    }
    write_config(project, CONFIG | {"data": {"labelled": labelled}})
    code, said = call_snakemake(project, "--configfile", "config.yaml", "-n", "sim_to_real")
    assert code == 1
    *_, last = said.strip().splitlines()
    assert last.endswith(
        "/config.yaml: transfer: expected domains to learn from and others to be scored on, found none; "
        "the labelled data have only one, euclid"
    )


def test_a_search_touches_nothing_else_and_more_trials_run_no_old_ones(search):
    assert jobs(search) == set()
    write_config(search, searched(n_trials=8))
    assert jobs(search) == set()
    found = jobs(search, "search_lr")
    assert trials(found) == [5, 6, 7]
    assert {rule for rule, _ in found} == {"run_trial", "conclude_search", "plot_search", "search_lr"}
    write_config(search, searched(n_parallel=1))
    assert jobs(search, "search_lr") == set()
    write_config(search, searched(n_trials=3))
    assert {rule for rule, _ in jobs(search, "search_lr")} == {"conclude_search", "plot_search", "search_lr"}


def test_other_settings_of_a_search_run_all_its_trials(search):
    for changes in (
        {"space": {"train.lr": {"low": 1e-5, "high": 1e-2, "log": True}}},
        {"pruner": {"method": "none"}},
        {"storage": "journal"},
    ):
        write_config(search, searched(**changes))
        found = jobs(search, "search_lr")
        assert trials(found) == [0, 1, 2, 3, 4]
        assert {rule for rule, _ in found} == {"run_trial", "conclude_search", "plot_search", "search_lr"}
    # Settings of the model are settings of its trials; those of one seed are not.
    atto = CONFIG["models"]["atto"]
    for changes, expected in (
        ({"preprocess": {"smoothing": "gaussian"}}, [0, 1, 2, 3, 4]),
        ({"seed_overrides": {1: {"train": {"lr": 1e-4}}}}, []),
    ):
        write_config(search, SEARCHED | {"models": CONFIG["models"] | {"atto": atto | changes}})
        assert trials(jobs(search, "search_lr")) == expected


def test_a_lost_trial_is_told_again_alone(search):
    for name in ("trial_1.json", "best.yaml"):
        (search / "results/search/lr" / name).unlink()
    assert trials(jobs(search, "search_lr")) == [1]


def test_weights_of_a_trial_that_are_gone_are_missed_where_they_are_needed(search):
    theirs = search / "theirs.safetensors"
    theirs.write_bytes(b"x" * (MEGABYTE + 1))
    atto = CONFIG["models"]["atto"] | {"init_from": theirs.name}
    started = SEARCHED | {"models": CONFIG["models"] | {"atto": atto}}
    write_config(search, started)
    assert trials(jobs(search, "search_lr")) == [0, 1, 2, 3, 4]
    start = {"path": theirs.name, "sha256": sha256(theirs.read_bytes()).hexdigest()}
    for trial in (search / "results/search/lr").glob("trial_*.json"):
        trial.write_text(json.dumps(STATED_TRIAL | {"settings": {"init_from": start}}))
    snakemake(search, "--touch", "--forceall", "--cores", "1", "search_lr")
    assert jobs(search, "search_lr") == set()
    theirs.unlink()
    assert jobs(search, "search_lr") == set()
    changed = atto | {"train": {"lr": 1e-3}}
    write_config(search, started | {"models": CONFIG["models"] | {"atto": changed}})
    code, said = call_snakemake(search, "--configfile", "config.yaml", "-n", "search_lr")
    assert code != 0
    assert (
        "models.atto: theirs.safetensors: expected a file with weights to start from, but it does not exist"
        in said
    )


def test_how_figures_of_a_search_look_concerns_them_alone(search):
    edit(search, "stronglens/searching/search_plots.py")
    assert {rule for rule, _ in jobs(search, "search_lr")} == {"plot_search", "search_lr"}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("stronglens/training/trainer.py", [0, 1, 2, 3, 4]),
        ("stronglens/searching/study.py", [0, 1, 2, 3, 4]),
        ("stronglens/searching/search_plots.py", []),
    ],
)
def test_code_that_trials_run_on_runs_them_again(search, module, expected):
    edit(search, module)
    assert trials(jobs(search, "search_lr")) == expected
    # What only searches run on trains no member again.
    assert ("train" in rules(search)) == (module == "stronglens/training/trainer.py")


def test_what_is_told_of_an_ensemble_is_told_anew_alone(project):
    write_config(project, CONFIG | {"evaluation": {"beta": 0.2}})
    assert rules(project) == {
        *("evaluate_val", "evaluate_test", "write_overview"),
        "plot_evaluation",
    }


def test_form_of_the_submission_writes_submissions_alone(project):
    write_config(project, CONFIG | {"submission": {"ensemble": "hybrid", "form": "short"}})
    assert rules(project) == {"submission", "submission_of_ensemble"}


def test_what_the_page_of_candidates_shows_concerns_that_page_alone(project):
    write_config(project, CONFIG | {"candidates": {"n_best": 50}})
    assert rules(project) == {"candidates"}


def test_catalogues_are_made_for_who_asks_and_known_lenses_concern_what_tells_of_them(project):
    target = "results/catalogue/hybrid/challenge/catalogue.fits"
    where = "ensemble=hybrid, testset=challenge"
    assert jobs(project, target) == {("catalogue", where)}
    make_results(project, target)
    table = project / "data/known.csv"
    table.write_text("ra,dec\n1,2\n")
    config = CONFIG | {"known_lenses": {"tables": {"mine": "data/known.csv"}}}
    write_config(project, config)
    assert rules(project) == {"match_known_lenses", "write_overview", "candidates", "plot_run_times"}
    assert jobs(project, target) == {("match_known_lenses", where), ("catalogue", where)}
    shutil.rmtree(project / "results/candidates/images")
    make_results(project, "all", target)
    assert jobs(project) == jobs(project, target) == set()
    os.utime(table)
    assert jobs(project) == set()
    write_config(project, config | {"catalogue": {"watch_radius_arcsec": 5.0}})
    assert jobs(project, target) == {("catalogue", where)}
    assert jobs(project) == set()
    write_config(project, config)
    edit(project, "stronglens/cataloguing/columns.py")
    assert jobs(project, target) == {("catalogue", where)}
    assert jobs(project) == set()
    table.write_text("ra,dec\n1,3\n")
    assert rules(project) == {"match_known_lenses", "write_overview", "candidates"}
    table.unlink()
    code, said = call_snakemake(project, "--configfile", "config.yaml", "-n")
    assert code != 0
    assert "known.csv" in said


def test_what_learns_from_an_ensemble_follows_it_and_nothing_else_does(project):
    def with_models(**changed):
        return CONFIG | {"models": CONFIG["models"] | changed, "capsule": {"distil": True}}

    target = "results/capsules/atto_distilled.capsule"
    write_config(project, with_models())
    assert jobs(project) == {("plot_run_times", "")}
    found = jobs(project, target)
    taught = {("train", "model=atto_distilled, seed=1"), ("ensemble_train", "ensemble=atto")}
    teaching = {("predict_train", f"model=atto, seed={seed}") for seed in (1, 2)}
    own = {(rule, where) for rule, where in found if "distilled" in where}
    assert found == taught | teaching | own
    assert {rule for rule, _ in own} == {
        *("train", "predict_val", "predict_heldout", "ensemble_val", "threshold"),
        *("ensemble_test_labelled", "evaluate_test", "capsule"),
    }
    make_results(project, target)
    assert jobs(project, target) == set()
    # t* has no part in what is learnt, and another ensemble neither.
    nano = CONFIG["models"]["nano"] | {"train": {"lr": 1e-4}}
    write_config(project, with_models(nano=nano) | {"threshold": {"method": "fbeta"}})
    chosen_anew = {rule for rule, _ in jobs(project, target)}
    assert chosen_anew == {"threshold", "ensemble_test_labelled", "evaluate_test", "capsule"}
    write_config(project, with_models(atto=CONFIG["models"]["atto"] | {"seeds": [1, 2, 505]}))
    trained = {where for rule, where in jobs(project, target) if rule == "train"}
    assert trained == {"model=atto, seed=505", "model=atto_distilled, seed=1"}


def test_what_learns_from_a_test_set_follows_its_files_and_nothing_else_does(project):
    def with_capsule(**capsule):
        return CONFIG | {"capsule": {"distil": True} | capsule}

    target = "results/capsules/atto_distilled.capsule"
    student = "model=atto_distilled, seed=1"
    after = {"train", "predict_val", "predict_heldout", "ensemble_val", "threshold", "ensemble_test_labelled"}
    after |= {"evaluate_test", "capsule"}
    write_config(project, with_capsule())
    make_results(project, target)
    assert jobs(project, target) == set()
    learning = with_capsule(distil_on=["challenge"])
    write_config(project, learning)
    found = jobs(project, target)
    assert {rule for rule, _ in found} == after
    assert all("distilled" in where for _, where in found)
    make_results(project, target)
    assert jobs(project, target) == set()
    # t* has no part in what is learnt, though it is in the table.
    write_config(project, learning | {"threshold": {"method": "fbeta"}})
    found = jobs(project, target)
    assert ("ensemble_test", "ensemble=atto, testset=challenge") in found
    assert "train" not in {rule for rule, _ in found}
    # Other files of the test set train the student again, and no other member.
    other = {"challenge": {"path": "data/test", "parts": 2, "fit": "crop"}}
    write_config(project, learning | {"testsets": other})
    found = jobs(project, target)
    assert {where for rule, where in found if rule == "train"} == {student}
    assert {rule for rule, _ in found} == after | {"build_test_buckets", "predict_test", "ensemble_test"}
    assert not {rule for rule, _ in jobs(project)} & {"train", "build_buckets", "predict_val"}
    # So does another teacher.
    atto = CONFIG["models"]["atto"] | {"seeds": [1, 2, 505]}
    write_config(project, learning | {"models": CONFIG["models"] | {"atto": atto}})
    found = jobs(project, target)
    assert {where for rule, where in found if rule == "train"} == {"model=atto, seed=505", student}
    write_config(project, learning)
    os.utime(project / "results/ensemble/atto/challenge/test_ens.csv")
    assert jobs(project, target) == set()


def test_test_sets_are_inputs_of_the_members_that_learn_from_them_alone(project):
    taught = {"network": "convnextv2_atto", "seeds": [3], "distil_from": "atto"}
    models = {"small": taught | {"distil_on": ["challenge"]}, "plain": taught}
    write_config(project, CONFIG | {"models": CONFIG["models"] | models})
    said = snakemake(project, "-n", *(f"results/models/{model}/seed_3/best.pt" for model in models))
    inputs = {
        re.search(r"wildcards: model=(\w+)", block)[1]: {*re.search(r"input: (.*)", block)[1].split(", ")}
        for block in re.split(r"\n(?=rule \w+:)", said)
        if block.startswith("rule train:")
    }
    table = {f"results/ensemble/atto/challenge/test_ens.{ending}" for ending in ("csv", "json")}
    packed = {
        f"results/buckets/challenge/part_{part}/{name}"
        for part in (0, 1)
        for name in ("summary.json", "cutouts.npy", "index.parquet")
    }
    assert inputs["plain"] < inputs["small"]
    assert inputs["small"] - inputs["plain"] == table | packed


def test_measuring_a_rule_is_no_reason_to_run_it(project, tmp_path):
    """Results that were made before its rule had a `benchmark:`."""
    measured = {path: path.read_text() for path in (project / "rules").iterdir()}
    for path, text in measured.items():
        path.write_text(re.sub(r" *benchmark:\n.*\n", "", text))
    shutil.rmtree(project / ".snakemake")
    snakemake(project, "--touch", "--forceall", "--cores", "1")
    for path, text in measured.items():
        path.write_text(text)
    # What it draws is the benchmarks there can be.
    assert rules(project) == {"plot_run_times"}


def test_every_rule_that_computes_something_is_measured(project):
    said = snakemake(project, "-n", "--forceall", "all", "sim_to_real")
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", said)[1:]
    unmeasured = {block.split(":")[0] for block in blocks if "    benchmark: " not in block}
    assert {name.split()[1] for name in unmeasured} <= {"all", "sim_to_real"}
    paths = re.findall(r"^    benchmark: (.*)$", said, re.MULTILINE)
    assert len(set(paths)) == len(paths) > 40
    for path in paths:
        assert path.startswith("results/benchmarks/")


def test_how_a_set_is_read_packs_that_set_alone(project):
    write_config(
        project, CONFIG | {"testsets": {"challenge": {"path": "data/test", "parts": 2, "fit": "crop"}}}
    )
    found = rules(project)
    assert {"build_test_buckets", "predict_test", "submission"} <= found
    assert not found & {"build_buckets", "split_objects", "train", "predict_val"}
    bucket = {"path": "data/hsc_lenses", "label": "lens", "domain": "hsc", "sentinels": [-99]}
    labelled = CONFIG["data"]["labelled"] | {"hsc_lenses": bucket}
    write_config(project, CONFIG | {"data": {"labelled": labelled}})
    found = rules(project)
    assert {"build_buckets", "split_objects", "train"} <= found
    assert "build_test_buckets" not in found
    spelt_out = {"path": "data/hsc_lenses", "label": "lens", "domain": "hsc"}
    write_config(project, CONFIG | {"data": {"labelled": labelled | {"hsc_lenses": spelt_out}}})
    assert jobs(project) == set()


def test_captions_of_the_report_rerun_nothing_and_missing_benchmarks_neither(project):
    for caption in (project / "workflow/report").iterdir():
        caption.write_text("other words")
    assert not (project / "results/benchmarks").exists()
    assert jobs(project) == set()


@pytest.mark.parametrize(
    ("module", "rerun"),
    [
        ("stronglens/scoring/metrics.py", {"threshold", "evaluate_val", "evaluate_test"}),
        ("stronglens/scoring/threshold.py", {"threshold"}),
        ("evaluate.py", {"evaluate_val", "evaluate_test"}),
        ("submission.py", {"submission", "submission_of_ensemble"}),
        ("stronglens/candidates/static/app.js", {"candidates"}),
        ("stronglens/reporting/overview.py", {"write_overview", "describe_data"}),
        ("stronglens/reporting/status.py", set()),
        ("stronglens/scoring/lens_errors.py", set()),  # only where something is estimated
        ("stronglens/configuring/config.py", set()),
    ],
)
def test_editing_a_late_step_never_trains(project, module, rerun):
    edit(project, module)
    found = rules(project)
    assert rerun <= found
    assert not found & ({"train", "split_objects"} | PREDICTIONS | PACKING)
    assert bool(found) == bool(rerun)


def python_files(folder: Path) -> list[Path]:
    return [path for part in ("workflow", "rules") for path in (folder / part).rglob("*.py")]


def test_comments_docstrings_and_layout_rerun_nothing(project):
    """Every script and module at once: `ast.unparse` lays the code out anew and drops comments."""
    for path in python_files(project):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                has_docstring = ast.get_docstring(node) is not None
                node.body[:has_docstring] = [ast.Expr(ast.Constant("Other words."))]
        path.write_text(f"# A comment.\n{ast.unparse(ast.fix_missing_locations(tree))}")
    assert jobs(project) == set()


def test_edits_in_running_rerun_nothing(project):
    modules = list((project / "workflow/scripts/stronglens/running").glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        edit(project, f"stronglens/running/{module.name}")
    assert jobs(project) == set()


def test_declarations_in_settings_rerun_nothing_by_themselves(project):
    """Their values are parameters: what changes none of these changes no result."""
    for module in (project / "workflow/scripts/stronglens/settings").glob("*.py"):
        edit(project, f"stronglens/settings/{module.name}")
        text = module.read_text()
        module.write_text(re.sub(r"\b(le|lt)=(\d)", r"\1=9\2", text).replace('"found ', '"we found '))
    assert jobs(project) == set()


OTHER_PYTHON = """
import ast
import sys

trees = 0


def parsed_by_another_version(*given, parse=ast.parse, **options):
    global trees
    tree = parse(*given, **options)
    if not sys._getframe(1).f_globals["__name__"].startswith("stronglens."):
        return tree  # whoever takes values from trees is not meant
    trees += 1
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.JoinedStr):
            parts = [[ast.Constant(one) for one in part.value] if isinstance(part, ast.Constant) else [part]
                     for part in node.values]
            node.values = sum(parts, [])
        for field in node._fields:
            if field != "value" and getattr(node, field, None) in (None, []) and field in vars(node):
                delattr(node, field)
    return tree


for kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
    kind._fields += ("field_of_another_version",)
    kind.field_of_another_version = []
ast.parse = parsed_by_another_version
"""


def test_another_python_reruns_nothing(project):
    """Simulated: syntax trees with other fields, without empty ones, and with f-strings in other parts."""
    snakefile = project / "Snakefile"
    shown = 'print(f"{trees} trees of another version", file=sys.stderr)'
    snakefile.write_text(f"{OTHER_PYTHON}\n{snakefile.read_text()}\n{shown}\n")
    said = snakemake(project, "-n")
    assert int(re.search(r"(\d+) trees of another version", said)[1]) > 100
    assert jobs(project) == set()


@pytest.mark.parametrize(
    ("module", "first"),
    [
        ("stronglens/training/trainer.py", {"train"}),
        ("stronglens/networks/normalise.py", {"train"}),  # what follows has its new outputs for a reason
        ("stronglens/ensembling/merge.py", {"ensemble_val"}),
        ("evaluate.py", {"evaluate_val", "evaluate_test"}),
        ("stronglens/candidates/static/grid.js", {"candidates"}),
    ],
)
def test_a_dry_run_names_the_module_that_was_edited(project, module, first):
    """Which steps an edit concerns is tested for all packages in test_fingerprint.py."""
    edit(project, module)
    name = module.removesuffix(".py").replace("/", ".") if re.fullmatch(r".+/.+\.py", module) else module
    assert edited(project) == {rule: {name} for rule in first}


SCORE_PLOTS = {"plot_evaluation"}


@pytest.mark.parametrize(
    ("module", "drawn"),
    [
        ("stronglens/inspecting/inspection_plots.py", {"plot_data"}),
        ("stronglens/scoring/evaluation_plots.py", SCORE_PLOTS),
        ("stronglens/scoring/completeness_plot.py", SCORE_PLOTS),
        ("stronglens/scoring/lens_plots.py", set()),  # only where something is estimated
        ("stronglens/comparing/drift_plots.py", {"plot_drift"}),
        ("stronglens/reporting/training_curves.py", {"plot_training"}),
        ("stronglens/reporting/run_times.py", {"plot_run_times"}),
        (
            "stronglens/formats/figures.py",
            {"plot_data", "plot_drift", "plot_training", "plot_run_times"} | SCORE_PLOTS,
        ),
    ],
)
def test_how_a_figure_looks_concerns_that_figure_alone(project, module, drawn):
    edit(project, module)
    assert rules(project) == drawn


@pytest.mark.parametrize(
    ("table", "drawn"),
    [
        ("inspection/labelled/contact_sheet.json", {"plot_data"}),
        ("inspection/labelled/histograms.json", {"plot_data"}),
        ("evaluation/atto/val/completeness.csv", {"plot_evaluation"}),
        ("drift/atto/challenge/drift.json", {"plot_drift", "write_overview"}),
    ],
)
def test_numbers_that_are_drawn_draw_the_figure_again(project, table, drawn):
    path = project / "results" / table
    path.write_text("changed")
    age([path], 100)
    assert rules(project) == drawn


@pytest.mark.parametrize(
    ("module", "rerun", "kept"),
    [
        ("stronglens/training/trainer.py", {"train"}, PACKING | {"split_objects"}),
        ("stronglens/networks/preprocess.py", {"train", "predict_val"}, PACKING | {"split_objects"}),
        ("stronglens/splitting/split.py", {"split_objects", "train"}, PACKING),
        ("stronglens/sources/fits_image.py", PACKING, set()),
    ],
)
def test_editing_an_early_step_reruns_it_and_what_follows(project, module, rerun, kept):
    edit(project, module)
    found = rules(project)
    assert rerun <= found
    assert not found & kept


def test_times_mean_nothing(project):
    """Touched files, a results folder copied without its times, branches switched and back."""
    results = [path for path in (project / "results").rglob("*") if path.is_file()]
    sources = [
        path for part in ("rules", "workflow") for path in (project / part).rglob("*") if path.is_file()
    ]
    for number, path in enumerate(sorted(results)):
        age([path], 10 * (-1) ** number * number)
    age(sources, 5000)
    age((project / "data").iterdir(), 6000)
    assert jobs(project) == set()


def test_order_of_keys_means_nothing(project):
    def turned(value):
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    write_config(project, turned(CONFIG))
    assert jobs(project) == set()


def test_a_changed_list_of_files_is_packed_again(project):
    (project / "data/hsc_nonlenses.txt").write_text("hsc_lenses/D1_L_0_g.fits\n")
    found = rules(project)
    assert {"build_buckets", "train"} <= found
    assert "build_test_buckets" not in found


def test_a_set_of_tiles_is_packed_by_its_catalogue_and_settings(project):
    """A row more packs all its parts anew, a tile more is as a file more in a folder; nothing is trained."""
    (project / "tiles").mkdir()
    for tile in "ab":
        for band in "grizy":
            (project / f"tiles/{tile}_{band}.fits").touch()
    catalogue = project / "data/field.csv"
    catalogue.write_text("id,ra,dec\n1,10,20\n")
    tiles = {"images": "tiles/{tile}_{band}.fits", "id": "id", "ra": "ra", "dec": "dec"}

    def with_field(**changed) -> None:
        field = {"path": "data/field.csv", "parts": 2, "tiles": tiles | changed.pop("tiles", {})} | changed
        write_config(project, CONFIG | {"testsets": CONFIG["testsets"] | {"field": field}})

    def packed() -> list[str]:
        found = [wildcards for rule, wildcards in jobs(project) if rule == "build_test_buckets"]
        assert not rules(project) & {"build_buckets", "split_objects", "train", "predict_val"}
        return sorted(found)

    with_field()
    both = packed()
    assert len(both) == 2
    assert all("field" in wildcards for wildcards in both)
    make_results(project)
    assert jobs(project) == set()
    (project / "tiles/c_g.fits").touch()
    assert jobs(project) == set()
    with_field(parts=3)
    assert len(packed()) == 3
    with_field(hdu=1)
    assert packed() == both
    with_field()
    catalogue.write_text("id,ra,dec\n1,10,20\n2,11,21\n")
    assert packed() == both


def refused(folder: Path, *arguments: str) -> str:
    """The last lines that a dry run and a real run say, neither of which starts a job or loses a result."""
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")}
    code, dry = call_snakemake(folder, "--configfile", "config.yaml", "-n", *arguments)
    assert code == 1, dry
    assert "This was a dry-run" in dry or "Nothing to be done" in dry
    code, real = call_snakemake(folder, "--configfile", "config.yaml", "--cores", "1", *arguments)
    assert code == 1, real
    assert "localrule" not in real
    assert "\nrule " not in real
    # The problems are the last lines of both, with nothing of Snakemake's around them.
    of_dry_run, of_run = dry.strip().splitlines(), real.strip().splitlines()
    assert of_run.pop() == "Nothing was run."
    pairs = zip(reversed(of_dry_run), reversed(of_run), strict=False)
    said = [line for line, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    assert said
    assert "WorkflowError" not in dry + real
    assert {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")} == before
    return "\n".join(reversed(said))


def with_bucket(path: str) -> dict:
    labelled = CONFIG["data"]["labelled"] | {"hsc_lenses": path}
    return CONFIG | {"data": {"labelled": labelled}}


@pytest.mark.parametrize("hooks", [[], ["--no-hooks"]])
def test_a_mistyped_folder_loses_nothing_that_was_packed(project, hooks):
    write_config(project, with_bucket("data/hsc_lense"))
    said = refused(project, *hooks).splitlines()
    assert said == [
        "data.labelled.hsc_lenses: data/hsc_lense: expected a folder of FITS files or a list file, "
        "but it does not exist",
        "results/buckets/labelled: packed from data/slsim_lenses, data/slsim_nonlenses, data/hsc_lenses, "
        "data/hsc_nonlenses.txt: correct the path, or write the one before",
    ]
    write_config(project, CONFIG)
    assert jobs(project) == set()


def test_a_mistyped_folder_is_seen_without_the_records_of_snakemake(project):
    shutil.rmtree(project / ".snakemake")
    config = CONFIG | {"testsets": {"challenge": {"path": "data/tset", "parts": 2}}}
    write_config(project, config)
    assert "testsets.challenge.path: data/tset: expected a folder" in refused(project)


def test_data_that_are_packed_may_be_deleted(project):
    """With their lists: nothing runs again, and what comes after can be changed."""
    shutil.rmtree(project / "data")
    assert jobs(project) == set()
    write_config(project, CONFIG | {"threshold": {"method": "mean_of_members"}})
    assert "threshold" in rules(project)
    shutil.rmtree(project / ".snakemake")
    assert not rules(project) & ({"train"} | PACKING)


@pytest.mark.parametrize(
    ("forced", "lost", "says"),
    [
        ("build_buckets", "data/hsc_lenses", "data.labelled.hsc_lenses"),
        ("build_buckets", "data/hsc_nonlenses.txt", "data.labelled.hsc_nonlenses"),
        ("build_test_buckets", "data/test/object_0_g.fits", "testsets.challenge.path"),
    ],
)
def test_what_is_packed_is_not_forced_away_for_data_that_are_gone(project, forced, lost, says):
    path = project / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = refused(project, "--forcerun", forced)
    assert said.startswith(f"{says}: ")
    assert "is packed: give the data back, or keep it as it is: snakemake --touch results/buckets/" in said


def test_new_code_packs_nothing_again_from_data_that_are_gone_and_touching_keeps_it(project):
    edit(project, "stronglens/sources/fits_image.py")
    shutil.rmtree(project / "data/hsc_lenses")
    said = refused(project)
    snakemake(project, "--cores", "1", *re.search(r"snakemake (--touch .*)", said)[1].split())
    assert not rules(project) & {"build_buckets"}


def test_a_line_far_down_a_changed_list_is_looked_at(project):
    with (project / "data/hsc_nonlenses.txt").open("a") as lines:
        lines.write("slsim_lenses/D1_L_9_g.fits\n")
    assert "found none for line 60001: " in refused(project)


def test_data_that_this_run_does_not_need_may_be_missing(project):
    shutil.rmtree(project / "data/test")
    assert ("build_buckets", "") in jobs(
        project, "results/splits/objects.json", "--forcerun", "build_buckets"
    )


def test_forcing_build_buckets_packs_test_sets_too(project):
    found = jobs(project, "--forcerun", "build_buckets")
    assert {where for rule, where in found if rule == "build_test_buckets"} == {
        "testset=challenge, part=0",
        "testset=challenge, part=1",
    }
    assert ("build_buckets", "") in found


def test_a_labelled_test_set_is_checked_before_training_and_trains_nothing_again(project):
    labelled = {"buckets": CONFIG["data"]["labelled"], "labelled": True}
    write_config(project, CONFIG | {"testsets": CONFIG["testsets"] | {"mine": labelled}})
    found = rules(project)
    assert {"check_test_sets", "evaluate_test"} <= found
    assert "train" not in found
    # One that is trained waits for it.
    said = snakemake(project, "-n", "--forceall")
    block = re.search(r"rule train:.*?wildcards", said, re.DOTALL)[0]
    assert "results/splits/test_sets.json" in block
    assert said.index("rule check_test_sets:") < said.index("rule train:")


def test_the_home_folder_is_found_and_moving_it_packs_nothing_again(project):
    def said(home: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", *arguments]
        environment = {**os.environ, "HOME": str(project / home)}
        done = subprocess.run(
            command, cwd=project, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    (project / "home").mkdir()
    (project / "data").rename(project / "home/data")
    labelled = {name: f"~/{path}" for name, path in CONFIG["data"]["labelled"].items()}
    testsets = {"challenge": {"path": "~/data/test", "parts": 2}}
    write_config(project, CONFIG | {"data": {"labelled": labelled}, "testsets": testsets})
    assert "rule build_test_buckets:" in said("home", "-n")
    said("home", "--touch", "--cores", "1")
    (project / "home").rename(project / "moved")
    assert "Nothing to be done" in said("moved", "-n")


def test_resources_that_nothing_reads_are_refused(project):
    code, said = call_snakemake(
        *(project, "--configfile", "config.yaml", "-n"),
        *("--set-resources", "train:mem_gb=64", "predict_test:gpus=2", "train:batchsize=9"),
        *("--default-resources", "walltime=60"),
    )
    assert code == 1
    for line in (
        "set-resources: train: found mem_gb, which nothing reads, expected mem_mb, in MB",
        "set-resources: predict_test: found gpus, which nothing reads, expected gpu",
        "set-resources: train: found batchsize, which nothing reads, expected batch_size",
        "default-resources: found walltime, which nothing reads, expected runtime, in minutes",
    ):
        assert line in said
    right = ["train:mem_mb=64000", "train:gpu=2", "train:gpu_model=a100", "train:slurm_partition=gpu"]
    assert "train" in snakemake(project, "-n", "--forcerun", "train", "--set-resources", *right)


def test_a_changed_checkpoint_is_imported_again(project):
    checkpoints = {1: "data/old.pt"}
    config = CONFIG | {
        "models": CONFIG["models"] | {"nano": {"network": "convnextv2_nano", "checkpoints": checkpoints}}
    }
    write_config(project, config)
    (project / "data/old.pt").write_bytes(b"x" * (MEGABYTE + 1))
    snakemake(project, "--touch", "--forceall", "--cores", "1")
    for name in re.findall(r"^    output: (.*)$", snakemake(project, "-n"), re.MULTILINE):
        for one in name.split(", "):
            (project / one).parent.mkdir(parents=True, exist_ok=True)
            (project / one).write_bytes(b"")
    snakemake(project, "--touch", "--forceall", "--cores", "1")
    assert jobs(project) == set()
    os.utime(project / "data/old.pt", (0, 0))
    assert jobs(project) == set()
    (project / "data/old.pt").write_bytes(b"y" * (MEGABYTE + 1))
    os.utime(project / "data/old.pt", (0, 0))
    found = rules(project)
    assert {"import_member", "predict_test"} <= found
    assert "train" not in found


def test_a_checkpoint_that_is_gone_is_missed_where_it_is_needed(project):
    model = {"network": "convnextv2_nano", "checkpoints": {1: "data/old.pt"}}
    config = CONFIG | {"models": CONFIG["models"] | {"nano": model}}
    write_config(project, config)
    old = project / "data/old.pt"
    old.write_bytes(b"x" * (MEGABYTE + 1))
    source = {"source": "data/old.pt", "source_sha256": sha256(old.read_bytes()).hexdigest()}
    best = project / "results/models/nano/seed_1/best.json"
    best.write_text(json.dumps(stated_member({}) | source))
    snakemake(project, "--touch", "--forceall", "--cores", "1")
    assert jobs(project) == set()
    old.unlink()
    assert jobs(project) == set()
    model = model | {"preprocess": {"smoothing": "gaussian"}}
    write_config(project, config | {"models": CONFIG["models"] | {"nano": model}})
    code, said = call_snakemake(project, "--configfile", "config.yaml", "-n")
    assert code != 0
    assert (
        "models.nano.checkpoints.1: data/old.pt: expected a file with weights, but it does not exist" in said
    )


def stated_member(settings):
    """What a member states, as far as the rules read it."""
    hashes = {"weights_sha256": "0" * 64, "cutouts_sha256": "0" * 64}
    numbers = {"seed": 1, "size_px": 41, "in_chans": 1, "best_epoch": 1, "val_auc": 0.5}
    return {"format": 1, "model": "nano", "settings": settings, **hashes, **numbers}


def member_started_from(named, sha256_of_weights):
    if "network" in named:
        return stated_member({"network": named["network"] | {"weights_sha256": sha256_of_weights}})
    return stated_member({"init_from": {"path": named["init_from"], "sha256": sha256_of_weights}})


@pytest.mark.parametrize("start", ["init_from", "weights"])
def test_changed_weights_to_start_from_train_that_model_again(project, start):
    (project / "theirs").mkdir()
    weights = project / "theirs/model.safetensors"
    weights.write_bytes(b"x" * (MEGABYTE + 1))
    named = {"init_from": "theirs/model.safetensors"}
    if start == "weights":
        named = {"network": {"name": "convnextv2_nano", "weights": "theirs"}}
    nano = CONFIG["models"]["nano"] | named
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}})
    trained = {where for rule, where in jobs(project) if rule == "train"}
    assert trained == {"model=nano, seed=1"}
    best = project / "results/models/nano/seed_1/best.json"
    sha256_of_weights = sha256(weights.read_bytes()).hexdigest()
    best.write_text(json.dumps(member_started_from(named, sha256_of_weights)))
    snakemake(project, "--touch", "--forceall", "--cores", "1")
    age([weights], 3600)
    assert jobs(project) == set()
    content = weights.read_bytes()
    weights.write_bytes(b"y" * (MEGABYTE + 1))
    assert {where for rule, where in jobs(project) if rule == "train"} == trained
    weights.unlink()
    assert jobs(project) == set()
    nano = nano | {"train": {"lr": 1e-3}}
    write_config(project, CONFIG | {"models": CONFIG["models"] | {"nano": nano}})
    code, said = call_snakemake(project, "--configfile", "config.yaml", "-n")
    assert code != 0
    assert (
        "theirs/model.safetensors: expected a file with weights to start from, but it does not exist" in said
    )
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(content)
    assert {where for rule, where in jobs(project) if rule == "train"} == trained


@pytest.mark.parametrize("option", ["--dag", "--rulegraph"])
def test_a_graph_needs_no_option(project, option):
    (project / "config/local.yaml").write_text((project / "config.yaml").read_text())
    code, said = call_snakemake(project, option)
    assert code == 0
    assert "digraph snakemake_dag {" in said
    assert "build_buckets" in said


def test_results_outlast_the_records_of_snakemake(project):
    """Without them it compares times alone, and whatever is as old as its inputs stays."""
    shutil.rmtree(project / ".snakemake")
    assert not rules(project) & ({"train"} | PACKING | PREDICTIONS)


@pytest.mark.parametrize(
    ("artefact", "rerun", "kept"),
    [
        ("buckets/labelled/summary.json", {"split_objects", "train", "predict_val"}, PACKING),
        (
            "buckets/challenge/part_1/summary.json",
            {"predict_test", "submission"},
            {"train", "predict_val"} | PACKING,
        ),
        ("splits/objects.json", {"train", "predict_val"}, {"split_objects"} | PACKING),
        ("models/atto/seed_1/best.json", PREDICTIONS, {"train"}),
        ("predictions/atto/seed_1/val/pred_val.json", {"ensemble_val", "threshold"}, {"train"} | PREDICTIONS),
        (
            "ensemble/hybrid/challenge/test_ens.json",
            {"submission"},
            {"ensemble_test", "threshold"} | PREDICTIONS,
        ),
    ],
)
def test_changed_content_reruns_what_reads_it(project, artefact, rerun, kept):
    """A new large artefact comes with a new description beside it, which is what Snakemake compares."""
    path = project / "results" / artefact
    path.write_text("changed")
    age([path], 100)
    found = rules(project)
    assert rerun <= found
    assert not found & kept


@pytest.mark.parametrize("change", ["settings", "forced"])
def test_what_waits_for_a_check_keeps_its_own_reasons_to_run(project, change):
    """The check of labelled test sets runs again. No member trains for that, only for its own reasons."""
    labelled = {"buckets": CONFIG["data"]["labelled"], "labelled": True}
    config = CONFIG | {"testsets": CONFIG["testsets"] | {"mine": labelled}}
    if change == "settings":
        config |= {"models": CONFIG["models"] | {"nano": CONFIG["models"]["nano"] | {"train": {"lr": 1e-3}}}}
    write_config(project, config)
    found = jobs(project, *(["--forcerun", "train"] if change == "forced" else []))
    trained = {where for rule, where in found if rule == "train"}
    assert ("check_test_sets", "") in found
    assert trained == (
        {"model=nano, seed=1"}
        if change == "settings"
        else {"model=atto, seed=1", "model=atto, seed=2", "model=nano, seed=1"}
    )


@pytest.mark.parametrize(("name", "model"), [("challenge", "nano"), ("challenge_grizy", "grizy")])
def test_one_config_is_loaded_and_nothing_of_the_default_survives(tmp_path, name, model):
    config = str(PROJECT / "config" / f"{name}.yaml")
    # In a folder without results, which a run of the default would leave in the clone.
    code, said = call_snakemake(tmp_path, "-s", str(PROJECT / "Snakefile"), "--configfile", config, "-n")
    assert code == 1, said  # the paths are to be edited, which is said last
    assert "/path/to/test_dataset_updated: expected" in said[said.index("This was a dry-run") :]
    trained = re.findall(r"rule train:.*?wildcards: (model=\w+), seed=(\d+)", said, re.DOTALL)
    assert sorted(trained) == sorted((f"model={model}", seed) for seed in ("42", "101", "202", "303", "404"))
    assert "simulate" not in said
