"""A page of candidates from tiny data, made by the step's own command line."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import candidates
from packed_files import write_packed
from stronglens.formats.artefact import sha256_of, write_json

THRESHOLD = 0.6


def write_ensemble(
    path: Path, packed: Path, probs: dict[str, float], *, level: str = "object", labelled: bool = True
) -> Path:
    """Write the ensemble's table of some objects (files, at that level), and its description."""
    index = pd.read_parquet(packed / "index.parquet")
    n_cutouts = index["object"].value_counts()
    rows = index if level == "file" else index.drop_duplicates("object")
    rows = rows[rows["object"].isin(list(probs))].sort_values("path" if level == "file" else "object")
    prob = rows["object"].map(probs)
    table = pd.DataFrame(
        {
            **{name: rows[name] for name in ("object", "path", "bucket", "domain")},
            "label": rows["label"] if labelled else -1,
            "prob": prob,
            "prob_std": prob / 10,
            "n_members": 2,
            "n_cutouts": 1 if level == "file" else rows["object"].map(n_cutouts),
            "pred": (prob >= THRESHOLD).astype(int),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
    write_json(
        path.with_name("test_ens.json"),
        {
            "format": 1,
            "members": [{"model": "nano", "seed": seed, "weights_sha256": "0"} for seed in (1, 2)],
            "level": level,
            "n_rows": len(table),
            "sha256": {path.name: sha256_of(path)},
            "threshold": THRESHOLD,
        },
    )
    return path


def write_data(
    folder: Path,
    *,
    n_per_bucket: int = 12,
    n_labelled: int | None = None,
    missing: tuple[tuple[str, str], ...] = (),
    level: str = "object",
) -> list[str]:
    """Write packed data and tables; the options of `candidates.py` that name them."""
    labelled = write_packed(folder / "labelled", n_per_bucket=n_labelled or n_per_bucket, seed=0)
    test = write_packed(folder / "test", n_per_bucket=n_per_bucket, seed=1, missing=missing)
    names = sorted(set(pd.read_parquet(test / "index.parquet")["object"]))
    spread = np.random.default_rng(3).permutation(len(names)) / len(names)
    probs = dict(zip(names, spread.tolist(), strict=True))
    csv = write_ensemble(folder / "ens/test_ens.csv", test, probs, level=level, labelled=False)
    known = sorted(set(pd.read_parquet(labelled / "index.parquet")["object"]))
    heldout = dict(zip(known, np.random.default_rng(4).random(len(known)).tolist(), strict=True))
    heldout_csv = write_ensemble(folder / "heldout/test_ens_labeled.csv", labelled, heldout)
    return [
        *(f"--ensemble-csv={csv}", f"--packed={test}", f"--heldout-csv={heldout_csv}"),
        *(f"--labelled={labelled}", "--ensemble=nano", "--testset=challenge"),
    ]


def make_page(folder: Path, options: list[str], **settings: Any) -> Path:
    """Run the step; the page."""
    arguments = [*options, f"--out-dir={folder}/page", "--settings", json.dumps(settings)]
    assert candidates.main(arguments) == 0
    return folder / "page" / "index.html"


def data_of(page: Path) -> dict[str, Any]:
    """What the page's `data.js` holds."""
    text = page.with_name("data.js").read_text()
    found = re.fullmatch(r"const CANDIDATES = (.*);\n", text)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content
