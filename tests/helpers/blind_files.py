"""Tiny test sets without labels, in parts, and what a teacher says of objects."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from packed_files import state_index, write_packed
from stronglens.formats.artefact import read_json, sha256_of, write_json

MEMBERS = [{"model": "nano", "seed": seed, "weights_sha256": f"{seed}" * 64} for seed in (1, 2)]
"""Those of the teacher."""

BUCKETS = ("hsc_lenses", "slsim_nonlenses", "hsc_nonlenses", "slsim_lenses")
"""Those of the set that the blind one is made from, in an order that is not that of their names."""


def write_blind(
    folder: Path,
    *,
    n_parts: int = 1,
    name: str = "challenge",
    bands: str = "grizy",
    n_per_bucket: int = 4,
    missing: Collection[tuple[str, str]] = (),
) -> Path:
    """Write a test set without labels, its objects dealt out to its parts in turn."""
    whole = write_packed(
        folder / "whole", n_per_bucket=n_per_bucket, bands=bands, seed=7, missing=blind_pairs(missing)
    )
    index, cutouts = pd.read_parquet(whole / "index.parquet"), np.load(whole / "cutouts.npy")
    summary = read_json(whole / "summary.json")
    for path in whole.iterdir():
        path.unlink()
    whole.rmdir()
    index["object"] = index["object"].map(blind_key)
    index = index.assign(bucket="", domain="unknown", label=np.int8(-1))
    index["pixel_hash"] = "blind" + index["pixel_hash"]
    numbers = pd.factorize(index["object"])[0]
    for part in range(n_parts):
        chosen = numbers % n_parts == part
        out = folder / f"part_{part}"
        out.mkdir()
        np.save(out / "cutouts.npy", cutouts[chosen])
        index[chosen].reset_index(drop=True).to_parquet(out / "index.parquet")
        hashes = {"cutouts.npy": sha256_of(out / "cutouts.npy"), "index.parquet": ""}
        stated = {"dataset": name, "labelled": False, "part": part, "parts": n_parts, "sha256": hashes}
        write_json(out / "summary.json", summary | stated | {"n_cutouts": int(chosen.sum())})
        state_index(out)
    return folder


def blind_key(key: str) -> str:
    """The key of an object, which does not say what it is: the order of keys is not that of the files."""
    bucket, _, number = key.partition("/D_")
    return f"{(4 * int(number) + BUCKETS.index(bucket)) * 7 % 16:02d}"


def blind_pairs(pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of object and band in terms of the set that the blind one is made from."""
    keys = {blind_key(f"{bucket}/D_{n}"): f"{bucket}/D_{n:08d}" for bucket in BUCKETS for n in range(4)}
    return [(keys[key], band) for key, band in pairs]


def objects_of(folder: Path) -> list[str]:
    """Keys of the objects in all parts of a set, sorted."""
    paths = sorted(folder.glob("part_*/index.parquet"))
    return sorted({key for path in paths for key in pd.read_parquet(path)["object"]})


def write_answers(
    csv: Path, objects: Sequence[str], *, members: Sequence[dict[str, Any]] = MEMBERS, **columns: Any
) -> Path:
    """Write a table of the teacher: probabilities before calibration ascend with the rows."""
    rows = {"object": list(objects), "prob": 0.5, "n_cutouts": 2}
    rows["prob_raw"] = np.linspace(0.05, 0.95, len(objects)).round(3)
    csv.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows | columns).to_csv(csv, index=False)
    described = {
        "format": 1,
        "members": list(members),
        "level": "object",
        "sha256": {csv.name: sha256_of(csv)},
    }
    write_json(csv.with_name(csv.name.partition("_ens")[0] + "_ens.json"), described)
    return csv
