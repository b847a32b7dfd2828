"""Tiny packed data sets (without pixels) and predictions for tests of the steps after prediction."""

import csv
import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from stronglens.formats.artefact import sha256_of, write_json

COLUMNS = ["path", "domain", "label", "prob", "pred", "object", "band"]

Cutout = tuple[str, str]
"""Object key and band."""


def cutouts_of(objects: Iterable[str], bands: str = "grizy") -> list[Cutout]:
    """All bands of some objects."""
    return [(key, band) for key in objects for band in bands]


def write_packed_tables(
    folder: Path,
    cutouts: Iterable[Cutout],
    *,
    labelled: bool = True,
    rejected: Iterable[tuple[str, str]] = (),
    path_of: Callable[[str, str], str] = lambda key, band: f"/data/{key}_{band}.fits",
    pixels: str | None = None,
) -> Path:
    """Write index, list of rejects and summary of a packed set; `rejected` lists paths and objects.

    There are no pixels: sets have the same ones if `pixels` is the same text, or else if their cutouts have
    the same names.
    """
    rows = []
    for key, band in cutouts:
        bucket = key.partition("/")[0] if labelled else ""
        rows.append(
            {
                "object": key,
                "band": band,
                "path": path_of(key, band),
                "bucket": bucket,
                "domain": bucket.partition("_")[0] or "unknown",
                "label": int(not bucket.endswith("nonlenses")) if labelled else -1,
            }
        )
    folder.mkdir(parents=True)
    columns = ["object", "band", "path", "bucket", "domain", "label"]
    index = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[:-1], "str") | {"label": "int8"})
    index.to_parquet(folder / "index.parquet")
    with (folder / "rejected.csv").open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["path", "bucket", "object", "band", "reason"])
        writer.writerows((path, "", key, "g", "truncated") for path, key in rejected)
    hashes = {name: sha256_of(folder / name) for name in ("index.parquet", "rejected.csv")}
    pixels = pixels or repr([(row["object"], row["band"]) for row in rows])
    hashes["cutouts.npy"] = sha256(pixels.encode()).hexdigest()
    summary = {"dataset": "made", "size_px": 41, "bands": list("grizy"), "labelled": labelled}
    counts = {"n_cutouts": len(rows), "n_objects": index["object"].nunique()}
    write_json(folder / "summary.json", summary | counts | {"sha256": hashes})
    return folder


def write_prediction(
    folder: Path,
    packed: Path,
    prob_of: Callable[[str, str], float],
    *,
    which: str = "val",
    model: str = "nano",
    seed: int = 42,
    stacked: bool = False,
    keep: Callable[[str], bool] = lambda key: True,
    **stated: Any,
) -> Path:
    """Write the predictions of one member; `stated` replaces what the JSON file says."""
    index = pd.read_parquet(packed / "index.parquet")
    index = index[index["object"].map(keep).astype(bool)]
    if stacked:
        index = index.drop_duplicates("object").assign(band="grizy")
    probs = [prob_of(key, band) for key, band in zip(index["object"], index["band"], strict=True)]
    rows = index.assign(prob=probs, pred=[int(prob >= 0.5) for prob in probs])[COLUMNS]
    folder.mkdir(parents=True)
    rows.to_csv(folder / f"pred_{which}.csv", index=False)
    summary = json.loads((packed / "summary.json").read_text())
    description = {
        "format": 1,
        "which": which,
        "model": model,
        "seed": seed,
        "n_samples": len(rows),
        "n_objects": rows["object"].nunique(),
        "weights_sha256": sha256(f"{model} {seed}".encode()).hexdigest(),
        "cutouts_sha256": summary["sha256"]["cutouts.npy"],
        "index_sha256": summary["sha256"]["index.parquet"],
        "objects_sha256": None,
        "sha256": {f"pred_{which}.csv": sha256_of(folder / f"pred_{which}.csv")},
    }
    write_json(folder / f"pred_{which}.json", description | stated)
    return folder


def replace_csv(folder: Path, text: str, which: str = "val", *, n_samples: int | None = None) -> None:
    """Put other content into a table of predictions, and describe it rightly."""
    (folder / f"pred_{which}.csv").write_text(text)
    description = json.loads((folder / f"pred_{which}.json").read_text())
    description["sha256"] = {f"pred_{which}.csv": sha256_of(folder / f"pred_{which}.csv")}
    description["n_samples"] = text.count("\n") - 1 if n_samples is None else n_samples
    write_json(folder / f"pred_{which}.json", description)
