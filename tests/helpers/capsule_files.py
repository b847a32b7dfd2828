"""A tiny ensemble, from training to the threshold, by the steps themselves; for tests of capsules."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import capsule
import ensemble
import evaluate
import predict
import threshold
import train
from lens_files import write_parameters
from packed_files import write_packed, write_splits

SMALL = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
MISSING = [
    *(("slsim_lenses/D_00000015", band) for band in "gzy"),
    ("hsc_lenses/D_00000014", "i"),
    *(("hsc_nonlenses/D_00000015", band) for band in "gr"),
]
"""Bands that held-out objects lack."""


@dataclass(frozen=True)
class TinyRun:
    """Folders of a run, and how its members are applied."""

    root: Path
    models: Mapping[str, Any]
    combine: Mapping[str, Any]

    @property
    def packed(self) -> Path:
        return self.root / "packed"

    @property
    def validation(self) -> Path:
        return self.root / "ensemble" / "val"

    @property
    def heldout(self) -> Path:
        return self.root / "ensemble" / "heldout"

    def member(self, model: str) -> Path:
        return self.root / "models" / model

    def make_capsule(self, out: Path, *more: str) -> int:
        """Run the step; give its exit code."""
        arguments = ["--ensemble", "tiny", "--out", str(out), "--simulated"]
        arguments += ["--validation", str(self.validation), "--labelled", str(self.packed)]
        arguments += ["--heldout-metrics", str(self.heldout / "metrics_test_ens.json")]
        arguments += ["--completeness", str(self.root / "evaluation" / "completeness.csv")]
        for model in self.models:
            arguments += ["--members", str(self.member(model))]
        return capsule.main([*arguments, *more])


def write_run(
    root: Path,
    models: Mapping[str, Mapping[str, Any]],
    combine: Mapping[str, Any] | None = None,
    *,
    n_per_bucket: int = 16,
) -> TinyRun:
    """Train, predict, combine, choose t* and score the held-out objects.

    Parameters
    ----------
    root : Path
        Folder for all of it.
    models : mapping
        Settings of each member by the name of its model; `predict` among them are those of prediction.
    combine : mapping, optional
        Settings of the combination.
    """
    run = TinyRun(root, models, combine or {})
    packed = write_packed(run.packed, n_per_bucket=n_per_bucket, missing=MISSING)
    if any("lens_parameters" in settings for settings in models.values()):
        index = pd.read_parquet(packed / "index.parquet").drop_duplicates("object")
        radii = np.where(index["label"] == 1, np.linspace(0.5, 2, len(index)), np.nan)
        write_parameters(
            packed, pd.DataFrame({"object": index["object"], "bucket": index["bucket"], "Rein": radii})
        )
    splits = write_splits(root / "splits", packed)
    cpu = ["--device", "cpu", "--threads", "1"]
    data = ["--packed", str(packed), "--splits", str(splits)]
    for name, settings in models.items():
        member = {key: value for key, value in settings.items() if key != "predict"}
        trained = {"network": SMALL, "train": {"epochs": 2, "batch_size": 16, "lr": 2e-3}} | member
        out = ["--out-dir", str(run.member(name)), "--model", name, "--settings", json.dumps(trained)]
        assert train.main([*data, *cpu, *out]) == 0
        applied = ["--settings", json.dumps(settings.get("predict", {}))]
        for split, which in (("val", "val"), ("test", "heldout")):
            out = ["--out-dir", str(root / "predictions" / which / name)]
            chosen = ["--member", str(run.member(name)), "--split", split]
            assert predict.main([*data, *cpu, *chosen, *out, *applied]) == 0

    def combined(which: str, *more: str) -> None:
        predictions = [
            word for name in models for word in ("--predictions", str(root / "predictions" / which / name))
        ]
        out = ["--packed", str(packed), "--out-dir", str(root / "ensemble" / which)]
        assert ensemble.main([*predictions, *out, *more]) == 0

    combined("val", "--which", "val", "--settings", json.dumps(run.combine))
    table, chosen = run.validation / "val_ens.csv", run.validation / "threshold.txt"
    assert threshold.main(["--ensemble-csv", str(table), "--out-dir", str(run.validation)]) == 0
    stated = ["--threshold", str(chosen), "--validation", str(run.validation / "val_ens.json")]
    combined("heldout", "--which", "test", "--labelled", *stated)
    scored = ["--csv", str(run.heldout / "test_ens_labeled.csv"), "--threshold-file", str(chosen)]
    known = ["--packed", str(packed)] if (packed / "parameters.parquet").exists() else []
    metrics = [*known, "--metrics-json", str(run.heldout / "metrics_test_ens.json")]
    assert evaluate.main([*scored, *metrics, "--out-dir", str(root / "evaluation")]) == 0
    return run
