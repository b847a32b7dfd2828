"""Tiny packed data sets and splits for tests, without FITS files."""

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from stronglens.formats.artefact import read_json, sha256_of, write_json

BUCKETS = ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")


def state_index(folder: Path) -> None:
    """Let `summary.json` describe the index as it is, after it was written anew."""
    summary = read_json(folder / "summary.json")
    summary["sha256"]["index.parquet"] = sha256_of(folder / "index.parquet")
    write_json(folder / "summary.json", summary)


def write_packed(
    folder: Path,
    *,
    n_per_bucket: int = 12,
    size_px: int = 33,
    bands: str = "grizy",
    seed: int = 0,
    missing: Collection[tuple[str, str]] = (),
) -> Path:
    """Write a labelled set in which lenses have a ring, so that a network can learn it.

    `missing` lists (object, band) pairs to leave out.
    """
    rng = np.random.default_rng(seed)
    axis = np.arange(size_px) - size_px // 2
    radius = np.hypot(*np.meshgrid(axis, axis))
    cutouts: list[np.ndarray] = []
    rows: list[dict[str, object]] = []
    for bucket in BUCKETS:
        is_lens = not bucket.endswith("nonlenses")
        for number in range(n_per_bucket):
            key = f"{bucket}/D_{number:08d}"
            for band in bands:
                if (key, band) in missing:
                    continue
                image = rng.normal(0, 0.1, (size_px, size_px)) + np.exp(-(radius**2) / 8)
                if is_lens:
                    image += 2 * np.exp(-((radius - 6) ** 2) / 2)
                cutouts.append(image.astype(np.float32))
                rows.append(
                    {
                        "object": key,
                        "band": band,
                        "path": f"/data/{key}_{band}.fits",
                        "bucket": bucket,
                        "domain": bucket.split("_")[0],
                        "label": int(is_lens),
                        "header_id": f"id{number}-{bucket}",
                        "pixel_hash": f"{len(rows):016x}",
                    }
                )
    folder.mkdir(parents=True)
    np.save(folder / "cutouts.npy", np.stack(cutouts))
    index = pd.DataFrame(rows).astype({"label": "int8"})
    index.to_parquet(folder / "index.parquet")
    (folder / "rejected.csv").write_text("path,bucket,object,band,reason\n")
    write_json(
        folder / "summary.json",
        {
            "format": 1,
            "dataset": "labelled",
            "labelled": True,
            "size_px": size_px,
            "bands": list(bands),
            "n_cutouts": len(rows),
            "n_objects": 4 * n_per_bucket,
            "sha256": {
                name: sha256_of(folder / name) for name in ("cutouts.npy", "index.parquet", "rejected.csv")
            },
        },
    )
    return folder


def write_splits(folder: Path, packed: Path) -> Path:
    """Write a split: of each bucket the first half for training, then a quarter each."""
    index = pd.read_parquet(packed / "index.parquet")
    objects = index.drop_duplicates("object")[["object", "bucket", "label"]].reset_index(drop=True)
    place = objects.groupby("bucket").cumcount() / objects.groupby("bucket")["object"].transform("size")
    objects["split"] = np.select([place < 0.5, place < 0.75], ["train", "val"], "test")
    objects["group"] = np.arange(len(objects))
    folder.mkdir(parents=True)
    write_objects(folder, objects, packed)
    return folder


def write_objects(folder: Path, objects: pd.DataFrame, packed: Path) -> None:
    """Write a table of objects and the JSON that describes it."""
    content = io.BytesIO()
    objects.to_parquet(content)
    (folder / "objects.parquet").write_bytes(content.getvalue())
    write_json(
        folder / "objects.json",
        {
            "format": 1,
            "sha256": {"objects.parquet": sha256_of(folder / "objects.parquet")},
            "cutouts_sha256": sha256_of(packed / "cutouts.npy"),
            "index_sha256": sha256_of(packed / "index.parquet"),
        },
    )
