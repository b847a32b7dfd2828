"""What a JSON file of each kind that steps leave may hold."""

import json
from pathlib import Path
from typing import Any

from stronglens.formats.catalogue import CatalogueDescription
from stronglens.formats.drift_files import Drift
from stronglens.formats.ensemble_table import EnsembleDescription
from stronglens.formats.inspection_files import Histograms, InspectionSummary, SheetDescription
from stronglens.formats.known_lenses import KnownLenses
from stronglens.formats.member_files import MemberDescription, TrainingResults
from stronglens.formats.packed import PackSummary
from stronglens.formats.prediction_files import PredictionDescription
from stronglens.formats.score_files import FieldMetrics, LensErrors, Metrics, Transfer
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.simulated import SimulatedDescription
from stronglens.formats.split_table import ComparedTestSets, SplitDescription
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.formats.trial_files import TrialResult

SHA256 = "0123456789abcdef" * 4


EXAMPLES: dict[type[Sidecar], dict[str, Any]] = {
    PackSummary: {
        "dataset": "labelled",
        "labelled": True,
        "size_px": 41,
        "bands": ["g", "r"],
        "n_cutouts": 7,
        "n_objects": 4,
        "missing_bands": {"r": {"n_objects": 1, "first": ["a/b"]}},
        "sha256": {"cutouts.npy": SHA256, "index.parquet": SHA256},
    },
    SplitDescription: {
        "cutouts_sha256": SHA256,
        "index_sha256": SHA256,
        "counts": {"n_objects": 2, "split": {"train": 2}, "bucket": {"a": {"train": 2}}},
        "sha256": {"objects.parquet": SHA256},
    },
    MemberDescription: {
        "model": "nano",
        "seed": 42,
        "settings": {"bands": "each"},
        "weights_sha256": SHA256,
        "cutouts_sha256": SHA256,
        "size_px": 41,
        "in_chans": 1,
        "best_epoch": 3,
        "val_auc": 0.875,
    },
    PredictionDescription: {
        "which": "val",
        "model": "nano",
        "seed": 42,
        "weights_sha256": SHA256,
        "cutouts_sha256": SHA256,
        "index_sha256": SHA256,
        "objects_sha256": None,
        "bands": ["g", "r"],
        "lens_parameters": ["Rein"],
        "uncertainties": True,
        "n_samples": 5,
        "n_objects": 4,
        "sha256": {"pred_val.csv": SHA256},
    },
    EnsembleDescription: {
        "members": [
            {"model": "nano", "seed": 42, "weights_sha256": SHA256},
            {"model": "nano", "seed": 43, "weights_sha256": SHA256, "test_time_augmentation": True},
        ],
        "level": "object",
        "n_rows": 4,
        "threshold": 0.25,
        "combination": {"n_objects": 4},
        "lens_parameters": {"Rein": 2},
        "width_factors": {"Rein": 1.25},
        "sha256": {"test_ens.csv": SHA256},
    },
    TrainingResults: {
        "model": "nano",
        "seed": 42,
        "settings": {"bands": "each"},
        "best": {"epoch": 3, "val_auc": 0.875, "lr": 0.001},
        "test": {"auc": None, "acc": 0.5, "loss": 0.25},
        "n_epochs": 7,
        "n_samples": {"train": 100},
    },
    ComparedTestSets: {"n_cutouts": {"mine": 7}},
    CatalogueDescription: {
        "n_rows": 7,
        "n_watched": 2,
        "columns": ["id", "ra"],
        "provenance": {"ensemble": "nano"},
        "sha256": {"catalogue.parquet": SHA256},
    },
    KnownLenses: {
        "radius_arcsec": 1.5,
        "threshold": 0.5,
        "n_positions": 6,
        "n_objects": 7,
        "tables": {"mine": {"recovered": 1, "missed": 0, "unreadable": 0, "outside": 2}},
        "sources": {"mine": SHA256},
        "ensemble_sha256": SHA256,
        "sha256": {"known_lenses.csv": SHA256},
    },
    SimulatedDescription: {
        "settings": {"seed": 1},
        "n_objects": {"hsc_lenses": 3},
        "versions": {"numpy": "2.0"},
        "sha256": SHA256,
    },
    InspectionSummary: {
        "dataset": "labelled",
        "bad_files": [
            {"path": "a.fits", "bucket": "b", "object": "b/a", "band": "g", "reason": "not finite"}
        ],
        "pixels": {"b": {"g": {"n_cutouts": 7, "mean": 0.5}}},
        "splits": None,
    },
    SheetDescription: {
        "dataset": "labelled",
        "n_cutouts": 7,
        "n_objects": 4,
        "n_most": 6,
        "bands": ["g"],
        "buckets": [{"bucket": "b", "objects": ["b/a"]}],
        "places": [["b/a", "g"]],
        "sha256": {"contact_sheet.npy": SHA256},
    },
    Histograms: {
        "linear_counts": 0.5,
        "edges": [0.0, 1.0],
        "histograms": [{"bucket": "b", "band": "g", "n_cutouts": 7, "counts": [3]}],
    },
    Drift: {
        "n_drifting": 1,
        "compared": [
            {
                "statistic": "sky",
                "band": "g",
                "distance": 0.5,
                "limit": 0.25,
                "drifts": True,
                "blind": [0.0, 1.0, 2.0],
                "training": {"b": [0.0, 0.5, 1.0]},
            }
        ],
        "identical_cutouts": {"n_cutouts": 1, "splits": {"val": 1}, "first": ["a.fits"]},
        "sha256": {"drift_values.parquet": SHA256},
    },
    Metrics: {
        "global": {"roc_auc": 0.875, "threshold": 0.5, "tp": 3, "intervals": {"roc_auc": [0.5, 1.0]}},
        "domain::hsc": {"roc_auc": None, "threshold": 0.5, "tp": 1, "intervals": {"roc_auc": None}},
    },
    FieldMetrics: {
        "global": {"n_lenses": 3, "n_others": 4, "tpr0": 0.5, "intervals": {"tpr0": [0.25, 0.75]}},
        "domain::hsc": {"n_lenses": 0, "n_others": 4, "tpr0": None, "intervals": {"tpr0": None}},
        "calibration": {"prob": {"ece": 0.125}},
    },
    LensErrors: {
        "global": {"Rein": {"n": 0, "bias": None, "intervals": None}},
        "domain::hsc": {"Rein": {"n": 0, "bias": None, "intervals": None}},
        "found": {},
    },
    Transfer: {
        "source": "slsim",
        "target": "hsc",
        "confidence": 0.95,
        "n_resamples": 100,
        "n_objects": {"slsim": 3, "hsc": 4},
        **{
            side: {"roc_auc": {"value": 0.875, "interval": [0.5, 1.0]}}
            for side in ("in_domain", "cross_domain", "drop", "reference")
        },
        "gap": {"roc_auc": {"value": None, "interval": None}},
    },
    TrialResult: {
        "search": "lr",
        "trial": 3,
        "study": "lr-0123456789ab",
        "number_in_study": 4,
        "state": "pruned",
        "message": None,
        "params": {"train.lr": 0.001},
        "settings": {"bands": "each"},
        "member_seed": 42,
        "val_auc": [0.5, 0.75],
        "best_epoch": 2,
        "best_val_auc": 0.75,
        "seconds": 12.5,
    },
    SubmissionRecord: {
        "form": "full",
        "level": "object",
        "n_rows": 3,
        "n_lenses": 1,
        "threshold": 0.5,
        "simulated": True,
        "members": [{"model": "nano", "seed": 42, "weights_sha256": SHA256}],
        "settings": {"threshold": None},
        "folders": {"ensemble_csv": "results/test_ens.csv", "labelled": None},
        "files": {"results/test_ens.csv": SHA256},
        "versions": {"python": "3.13.0"},
        "code": {"sha256": SHA256, "revision": None, "dirty": None, "changed": []},
        "machine": {"n_cores": 2},
        "lens_parameters": {"Rein": {"n_members": 2, "n_objects": 1}},
        "sha256": {"submission.csv": SHA256},
    },
}
"""What a file of each kind holds, but for its format."""


def put(path: Path, content: dict[str, Any]) -> Path:
    """Write a file of that content; give its path."""
    path.write_text(json.dumps(content))
    return path
