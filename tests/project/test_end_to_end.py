"""The whole workflow, from FITS files to a submission, with two seeds of small networks."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from drawn_figures import is_picture
from fits_files import write_labelled, write_test_set
from kills import Attack, Run, carry_out_at_once, run
from stronglens.formats.digits import with_limits

PROJECT = Path(__file__).parents[2]
REFERENCE = Path(__file__).parents[1] / "reference" / "tiny_run.json"
SMALL = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
TRAIN = {"epochs": 3, "batch_size": 16, "lr": 2e-3}

pytestmark = pytest.mark.e2e


# Most of the time goes into starting programs, in one thread: so two at once.
RULES = (
    "train predict_val predict_test predict_heldout ensemble_val ensemble_test evaluate_val evaluate_test "
    "candidates describe_data plot_training plot_run_times write_overview "
    "plot_data plot_evaluation plot_drift write_index"
)
ONE_THREAD_EACH = [f"{rule}=1" for rule in RULES.split()]


def snakemake(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config.yaml", "--cores", "2"]
    command += ["--set-threads", *ONE_THREAD_EACH]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "project with a space"
    for part in ("rules", "workflow", "envs"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "Snakefile", folder)
    labelled = write_labelled(folder / "data/it's $(touch pwned)", 20)
    write_test_set(folder / "data/blind", 12)
    for band in "grizy":
        (folder / f"data/blind/object_00003_{band}.fits").write_bytes(b"")
    (folder / "data/blind/object_00004_g.fits").unlink()
    config = {
        "data": {"labelled": {name: str(Path(path)) for name, path in labelled.items()}, "max_rejected": 0.1},
        "testsets": {"challenge": {"path": "data/blind", "parts": 2}},
        "models": {
            "each": {"network": SMALL, "seeds": [1, 2], "train": TRAIN},
            "stack": {"network": SMALL, "seeds": [1], "bands": list("grizy"), "train": TRAIN},
        },
        "ensembles": {"each": {"models": ["each"]}, "both": {"models": ["each", "stack"]}},
        "submission": {"ensemble": "both"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake(folder)
    return folder


def test_every_object_of_the_test_set_has_one_row(project):
    header = (project / "submission.csv").read_text().splitlines()[0]
    assert header.startswith("id,preds,RA,Dec,zlens,vel disp,ell_m,")
    table = pd.read_csv(project / "submission.csv")
    assert list(table["id"]) == [f"object_{number:05d}" for number in range(12)]
    assert table.shape == (12, 32)
    assert set(table["preds"]) <= {0, 1}
    assert (table.drop(columns=["id", "preds"]) == -99).all(axis=None)


def test_an_object_that_cannot_be_read_is_answered_and_named(project):
    table = pd.read_csv(project / "submission.csv", index_col="id")
    assert table.loc["object_00003", "preds"] == 0
    provenance = json.loads((project / "submission.json").read_text())
    assert "object_00003" in json.dumps(provenance)
    assert "object_00003" in (project / "logs/submission.log").read_text()
    ensemble = pd.read_csv(project / "results/ensemble/both/challenge/test_ens.csv", index_col="object")
    assert "object_00003" not in ensemble.index
    assert ensemble.loc["object_00004", "n_cutouts"] == 4


def test_no_object_group_id_or_image_is_in_two_splits(project):
    splits = pd.read_parquet(project / "results/splits/objects.parquet").set_index("object")
    index = pd.read_parquet(project / "results/buckets/labelled/index.parquet")
    index = index.join(splits[["split", "group"]], on="object")
    assert index["split"].notna().all()
    for key in ("object", "group", "pixel_hash", "header_id"):
        known = index[index[key].astype(str) != ""]
        assert known.groupby(key)["split"].nunique().max() == 1, key
    for member in (project / "results/predictions").glob("*/seed_*"):
        for split, path in (("val", "val/pred_val.csv"), ("test", "heldout/part_0/pred_test.csv")):
            predicted = set(pd.read_csv(member / path)["object"])
            assert predicted == set(index.loc[index["split"] == split, "object"])


def test_answers_follow_from_probabilities_and_the_threshold(project):
    folder = project / "results/ensemble/both"
    threshold = float((folder / "val/threshold.txt").read_text())
    assert threshold == json.loads((folder / "val/metrics_val_ens.json").read_text())["global"]["threshold"]
    ensemble = pd.read_csv(folder / "challenge/test_ens.csv", index_col="object")
    assert (ensemble["n_members"] == 3).all()
    assert ((ensemble["prob"] >= threshold) == ensemble["pred"]).all()
    submitted = pd.read_csv(project / "submission.csv", index_col="id")["preds"]
    assert (submitted[ensemble.index] == ensemble["pred"]).all()


def test_bands_are_averaged_first_then_members(project):
    name = "results/predictions/{}/seed_{}/heldout/part_0/pred_test.csv"
    members = [
        pd.read_csv(project / name.format(*member)).groupby("object")["prob"].mean()
        for member in (("each", 1), ("each", 2), ("stack", 1))
    ]
    ensemble = pd.read_csv(project / "results/ensemble/both/heldout/test_ens_labeled.csv", index_col="object")
    expected = pd.concat(members, axis=1).loc[ensemble.index]
    assert np.allclose(ensemble["prob"], expected.mean(axis=1), rtol=1e-12)
    assert np.allclose(ensemble["prob_std"], expected.std(axis=1), rtol=1e-9)
    assert (
        "roc_auc"
        in json.loads((project / "results/ensemble/both/heldout/metrics_test_ens.json").read_text())["global"]
    )


def test_scores_are_those_of_the_stored_run(project, request):
    """A change that moves scores on purpose stores the new ones: pytest --update-reference."""
    folder = project / "results/ensemble"
    found = {
        f"{ensemble}/{testset}": pd.read_csv(folder / ensemble / testset / table, index_col="object")["prob"]
        for ensemble in ("each", "both")
        for testset, table in (("heldout", "test_ens_labeled.csv"), ("challenge", "test_ens.csv"))
    }
    if request.config.getoption("--update-reference"):
        rounded = {name: probs.round(4).to_dict() for name, probs in found.items()}
        REFERENCE.write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n")
    stored = json.loads(REFERENCE.read_text())
    assert found.keys() == stored.keys()
    for name, probs in found.items():
        expected = pd.Series(stored[name])
        assert set(probs.index) == set(expected.index)
        # Other processors round differently, and training amplifies that.
        assert np.allclose(probs, expected[probs.index], rtol=0, atol=0.01), name


def test_the_page_of_candidates_is_of_what_is_submitted(project):
    script = (project / "results/candidates/data.js").read_text()
    shown = json.loads(script.removeprefix("const CANDIDATES = ").removesuffix(";\n"))
    ensemble = pd.read_csv(project / "results/ensemble/both/challenge/test_ens.csv", index_col="object")
    items = pd.DataFrame(shown["items"])[:11].set_index("id")
    assert list(items.index) == list(ensemble["prob"].sort_values(ascending=False).index)
    assert np.allclose(items["prob"], ensemble["prob"][items.index], rtol=0, atol=1e-6)
    answers = pd.read_csv(project / "submission.csv", index_col="id")["preds"]
    assert answers[items.index].to_list() == items["pred"].to_list()
    bands = {name: bin(mask).count("1") for name, mask in items["bands"].items()}
    assert bands == ensemble["n_cutouts"].to_dict()
    assert shown["ensemble"] == "both" and len(shown["members"]) == 3 and not shown["simulated"]


def test_the_run_can_be_looked_at(project):
    folder = project / "results/report"
    for name in (
        *("inspection/labelled/cutouts", "inspection/labelled/histograms", "drift/both/challenge/drift"),
        *("report/both/training", "evaluation/each/heldout/completeness", "report/run_times"),
    ):
        assert is_picture(project / f"results/{name}.png"), name
    times = pd.read_csv(folder / "run_times.csv")
    assert set(times["rule"]) == {
        *("build_buckets", "split_objects", "check_test_sets", "inspect_data", "train"),
        *("build_test_buckets", "predict_val", "predict_test", "predict_heldout", "ensemble_test_labelled"),
        *("ensemble_val", "threshold", "ensemble_test", "evaluate_val", "evaluate_test", "compare_data"),
        *("submission", "submission_of_ensemble", "candidates", "describe_data", "plot_training"),
        *("plot_data", "plot_evaluation", "plot_drift", "write_overview"),
    }
    auc = json.loads((project / "results/ensemble/both/heldout/metrics_test_ens.json").read_text())
    found, interval = (auc["global"]["roc_auc"], auc["global"]["intervals"]["roc_auc"])
    assert f"<td>{with_limits(found, interval)}</td>" in (folder / "both/overview.html").read_text()
    # Of one object of the test set all files are empty, of another one is missing.
    row = "<td>34</td><td>29</td><td>6</td><td>1</td><td>5</td>"
    text = (folder / "data.html").read_text()
    assert f">challenge part 1</td>{row}" in text
    assert "object_00003_g.fits" in text


def test_a_second_run_does_nothing(project):
    assert "Nothing to be done" in snakemake(project)


def test_a_new_seed_runs_alone_and_leaves_others_as_they_are(project, tmp_path):
    folder = shutil.copytree(project, tmp_path / "more", symlinks=True)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["models"]["stack"]["seeds"].append(7)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    before = (folder / "results/models/stack/seed_1/best.pt").stat().st_mtime_ns
    text = snakemake(folder, "results/ensemble/both/val/threshold.txt")
    assert text.count("localrule train:") + text.count("\nrule train:") == 1
    assert (folder / "results/models/stack/seed_1/best.pt").stat().st_mtime_ns == before
    described = json.loads((folder / "results/ensemble/both/val/val_ens.json").read_text())
    assert len(described["members"]) == 4


def test_names_with_commands_in_them_run_none(project):
    assert not list(project.rglob("pwned"))


@pytest.mark.torture
def test_changed_pixels_are_found_before_they_are_learnt_from(project, tmp_path):
    """Snakemake does not see it, since a large file counts by its time only; the step does."""
    folder = shutil.copytree(project, tmp_path / "changed", symlinks=True)
    pixels = np.load(folder / "results/buckets/labelled/cutouts.npy", mmap_mode="r+")
    pixels[0, 20, 20] += 1
    pixels.flush()
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2"]
    target = "results/models/each/seed_1/best.pt"
    done = subprocess.run(
        [*command, target, "--forcerun", "train"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cutouts.npy: expected sha256" in done.stderr
    assert not (folder / target).exists()


def answers(folder: Path) -> dict[str, bytes]:
    """The submission and what decides on it: weights, probabilities, thresholds."""
    names = ("submission.csv", "results/**/best.pt", "results/**/threshold.txt", "results/**/probs_*.npy")
    return {str(path.relative_to(folder)): path.read_bytes() for name in names for path in folder.glob(name)}


@pytest.mark.torture
def test_steps_that_are_killed_are_done_again_to_the_same_bytes(project, tmp_path):
    """A tenth of tests/project/test_attacked_workflow.py."""
    folder = shutil.copytree(project, tmp_path / "killed", symlinks=True)
    # None of these needs another's files: all are killed in one run, which is quicker.
    targets = {
        "build_test_buckets": "results/buckets/challenge/part_0/summary.json",
        "inspect_data": "results/inspection/labelled/summary.json",
        "train": "results/models/stack/seed_1/best.json",
        "predict_test": "results/predictions/each/seed_1/challenge/part_1/pred_test.json",
        "ensemble_val": "results/ensemble/each/val/val_ens.json",
    }
    generator = random.Random(1)  # noqa: S311 - no secret
    # The shortest of them, inspect_data, takes 0.9 s.
    attacks = [Attack(rule, target, generator.uniform(0, 0.4), "step") for rule, target in targets.items()]
    assert carry_out_at_once(folder, attacks) == len(attacks)
    # Named, since what comes after them is there already.
    run(folder, *targets.values(), "--rerun-incomplete")
    assert answers(folder) == answers(project)


@pytest.mark.torture
def test_of_two_runs_at_once_the_second_is_refused(project, tmp_path):
    folder = shutil.copytree(project, tmp_path / "twice", symlinks=True)
    first = Run(folder, "submission.csv", "--forcerun", "ensemble_test")
    while (step := first.step("ensemble_test")) is None:
        assert first.process.poll() is None, first.said
    step.suspend()
    second = Run(folder, "submission.csv", said="second.txt")
    assert second.wait() == 1
    step.resume()
    assert first.wait() == 0, first.said
    assert "Directory cannot be locked" in second.said
    assert answers(folder) == answers(project)


def test_a_wrong_config_stops_before_the_graph_and_says_what_to_write(project, tmp_path):
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["models"]["each"]["train"]["lr"] = "fast"
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", str(tmp_path / "wrong.yaml")]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "models.each.train.lr" in said
    assert 'found "fast"' in said
    assert "for example lr:" in said
    assert "Building DAG" not in said


def test_a_missing_folder_stops_before_anything_runs(project, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(
        project,
        folder,
        ignore=shutil.ignore_patterns("results", ".snakemake", "submission.csv", "submission.json"),
    )
    shutil.rmtree(folder / "data/blind")
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "testsets.challenge.path: data/blind" in done.stderr
    assert not (folder / "results").exists()
