"""Every step of the workflow on tiny data, called one by one as on a command line, in this process."""

import json
from importlib import import_module
from pathlib import Path

from fits_files import write_labelled, write_test_set

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
CUTOUTS = {"size_px": 33, "bands": ["g", "r"]}
MEMBER = {"network": NETWORK, "train": {"epochs": 1, "batch_size": 16}}

SCRIPTS = {
    "simulate": "simulate",
    "build_buckets": "build_buckets",
    "build_test_buckets": "build_buckets",
    "split_objects": "split_objects",
    "inspect_data": "inspect_data",
    "plot_data": "plot_data",
    "train": "train",
    "import_member": "import_member",
    "predict_val": "predict",
    "predict_heldout": "predict",
    "predict_test": "predict",
    "ensemble_val": "ensemble",
    "threshold": "threshold",
    "ensemble_test": "ensemble",
    "ensemble_test_labelled": "ensemble",
    "evaluate_val": "evaluate",
    "evaluate_test": "evaluate",
    "plot_evaluation_val": "plot_evaluation",
    "plot_evaluation_test": "plot_evaluation",
    "compare_data": "compare_data",
    "plot_drift": "plot_drift",
    "submission": "submission",
    "candidates": "candidates",
    "describe_data": "describe_data",
    "plot_training": "plot_training",
    "write_overview": "write_overview",
    "measure_transfer": "measure_transfer",
}
"""Script of each step, in the order in which one needs another's files."""


def write_data(root: Path) -> None:
    """What the steps begin with: FITS files and a checkpoint."""
    write_labelled(root / "data/labelled", 8, size_px=33, bands="gr")
    write_test_set(root / "data/blind", 6, size_px=33, bands="gr")
    write_checkpoint(root / "data/old.pt", 33)


def write_checkpoint(path: Path, size_px: int) -> None:
    """Weights that were trained elsewhere."""
    # Processes of a pool import the modules of tests: few of them need what takes long to load.
    import torch

    from stronglens.networks.network import build_network
    from stronglens.settings.network import NetworkSettings

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(NetworkSettings.model_validate(NETWORK), 1, size_px)
    torch.save(network.state_dict(), path)


def call(step: str, root: Path, out_dir: Path) -> int:
    """Do a step; the files of earlier steps lie in `root/results`, a folder each. Gives the exit code."""
    code: int = import_module(SCRIPTS[step]).main(options(step, root, out_dir))
    return code


def do_all(root: Path) -> None:
    """Do every step but the simulation once, on data that `write_data` has written."""
    for step in SCRIPTS:
        if step != "simulate":
            assert call(step, root, root / "results" / step) == 0, step


def options(step: str, root: Path, out_dir: Path) -> list[str]:
    """The command line of a step."""
    made = root / "results"
    places = {path.name: str(path) for path in sorted((root / "data/labelled").glob("*"))}
    labelled, blind = f"--packed={made}/build_buckets", f"--packed={made}/build_test_buckets"
    splits, member = f"--splits={made}/split_objects", f"--member={made}/train"
    on_cpu = ["--device=cpu", "--threads=1", "--compile=never"]
    t_star = f"{made}/threshold/threshold.txt"
    heldout_csv = f"{made}/ensemble_test_labelled/test_ens_labeled.csv"
    val_csv, test_csv = f"{made}/ensemble_val/val_ens.csv", f"{made}/ensemble_test/test_ens.csv"
    of_step = {
        "simulate": ['--settings={"objects_per_bucket": 1, "test_objects": 1}', "--processes=1"],
        "build_buckets": [f"--settings={json.dumps({'labelled': places, **CUTOUTS})}", "--processes=1"],
        "build_test_buckets": [
            f"--settings={json.dumps({'dataset': 'challenge', 'path': f'{root}/data/blind', **CUTOUTS})}",
            "--processes=1",
        ],
        "split_objects": [labelled],
        "inspect_data": [labelled, splits],
        "plot_data": [f"--inspection={made}/inspect_data"],
        "train": [labelled, splits, f"--settings={json.dumps(MEMBER)}", *on_cpu],
        "import_member": [
            f"--checkpoint={root}/data/old.pt",
            "--size-px=33",
            f"--settings={json.dumps({'network': NETWORK})}",
        ],
        "predict_val": [member, labelled, splits, "--split=val", *on_cpu],
        "predict_heldout": [member, labelled, splits, "--split=test", *on_cpu],
        "predict_test": [member, blind, *on_cpu],
        "ensemble_val": [f"--predictions={made}/predict_val", labelled],
        "threshold": [f"--ensemble-csv={val_csv}"],
        "ensemble_test": [
            f"--predictions={made}/predict_test",
            blind,
            "--which=test",
            f"--threshold={t_star}",
        ],
        "ensemble_test_labelled": [
            f"--predictions={made}/predict_heldout",
            labelled,
            "--which=test",
            "--labelled",
            f"--threshold={t_star}",
        ],
        "evaluate_val": [f"--csv={val_csv}", f"--threshold-file={t_star}"],
        "evaluate_test": [
            f"--csv={heldout_csv}",
            f"--threshold-file={t_star}",
            f"--validation-metrics={made}/threshold/metrics_val_ens.json",
        ],
        "plot_evaluation_val": [
            f"--csv={val_csv}",
            f"--threshold-file={t_star}",
            f"--completeness={made}/evaluate_val/completeness.csv",
        ],
        "plot_evaluation_test": [
            f"--csv={heldout_csv}",
            f"--threshold-file={t_star}",
            f"--completeness={made}/evaluate_test/completeness.csv",
        ],
        "compare_data": [
            f"--labelled={made}/build_buckets",
            splits,
            blind,
            f"--val-csv={val_csv}",
            f"--test-csv={test_csv}",
        ],
        "plot_drift": [f"--drift={made}/compare_data/drift.json", f"--out={out_dir}/drift.png"],
        "candidates": [
            f"--ensemble-csv={test_csv}",
            f"--heldout-csv={heldout_csv}",
            f"--labelled={made}/build_buckets",
            blind,
            *("--ensemble=e", "--testset=challenge"),
        ],
        "describe_data": [
            f"--summary={made}/build_buckets/summary.json",
            f"--inspection={made}/inspect_data/summary.json",
            f"--splits={made}/split_objects/objects.json",
            f"--tests=challenge={made}/build_test_buckets/summary.json",
            f"--out={out_dir}/data.html",
        ],
        "plot_training": [f"--members={made}/train", f"--out={out_dir}/training.png"],
        "write_overview": [
            "--ensemble=e",
            f"--validation={made}/threshold/metrics_val_ens.json",
            f"--scored=heldout={made}/evaluate_test/metrics.json",
            f"--field=heldout={made}/evaluate_test/field_metrics.json",
            f"--blind=challenge={test_csv}",
            f"--drift=challenge={made}/compare_data/drift.json",
            f"--members={made}/train",
            f"--out={out_dir}/overview.html",
        ],
        "measure_transfer": [
            *(f"--csv={heldout_csv}", f"--threshold-file={t_star}"),
            *(f"--reference-csv={heldout_csv}", f"--reference-threshold-file={t_star}"),
            *("--source=slsim", "--target=hsc", f"--out={out_dir}/transfer.json"),
        ],
        "submission": [
            f"--ensemble-csv={test_csv}",
            blind,
            "--settings.ensemble=e",
            f"--out={out_dir}/submission.csv",
            f"--provenance={out_dir}/submission.json",
        ],
    }[step]
    return of_step if any(str(out_dir) in one for one in of_step) else [*of_step, f"--out-dir={out_dir}"]
