"""Tiny packed data sets whose lenses have rings of known radii."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from packed_files import write_packed, write_splits
from stronglens.formats.artefact import sha256_of, write_json

PIXEL_ARCSEC = 0.2


def describe(packed: Path, *names: str) -> None:
    """State the present SHA-256 of files in `summary.json`."""
    summary = json.loads((packed / "summary.json").read_text())
    summary["sha256"] |= {name: sha256_of(packed / name) for name in names}
    write_json(packed / "summary.json", summary)


def write_parameters(packed: Path, table: pd.DataFrame) -> None:
    """Write `parameters.parquet`: object, bucket, and columns of values."""
    table.to_parquet(packed / "parameters.parquet")
    describe(packed, "parameters.parquet")


def write_lenses(root: Path, n_per_bucket: int = 12, bands: str = "gri") -> tuple[Path, Path]:
    """Write a packed set and its split: rings of 3 to 9 pixels around lenses, `Rein` in arcsec.

    `zlens` is known of every other lens, and of all that are none, where it is 9: nobody may learn that.
    `zsrc` is known of nothing.
    """
    packed = write_packed(root / "packed", n_per_bucket=n_per_bucket, bands=bands)
    index = pd.read_parquet(packed / "index.parquet")
    cutouts = np.load(packed / "cutouts.npy")
    axis = np.arange(cutouts.shape[1]) - cutouts.shape[1] // 2
    distance = np.hypot(*np.meshgrid(axis, axis))
    rng = np.random.default_rng(1)
    rows = []
    for key, of_object in index.groupby("object", sort=False):
        first = of_object.iloc[0]
        rein = zlens = np.nan
        if first["label"]:
            radius = rng.uniform(3, 9)
            ring = 2 * np.exp(-((distance - radius) ** 2) / 2)
            noise = rng.normal(0, 0.05, (len(of_object), *distance.shape))
            cutouts[of_object.index] = noise + ring + np.exp(-(distance**2) / 8)
            rein = PIXEL_ARCSEC * radius
            zlens = 0.1 * radius if len(rows) % 2 else np.nan
        else:
            zlens = 9.0
        rows.append({"object": key, "bucket": first["bucket"], "Rein": rein, "zlens": zlens, "zsrc": np.nan})
    np.save(packed / "cutouts.npy", cutouts.astype(np.float32))
    describe(packed, "cutouts.npy")
    write_parameters(packed, pd.DataFrame(rows))
    return packed, write_splits(root / "splits", packed)
