"""Data of any size for benchmarks, made fast: only their amount and format matter."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv, parquet

from fits_files import table_bytes
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.formats.packed import CUTOUTS, INDEX, REJECTED, SUMMARY
from stronglens.settings.data import BUCKETS, CHALLENGE, LABELS

BANDS = "grizy"
SIDE_PX = 41
FITS_COLUMN = "band_g"
"""Column of the image in every file of `write_fits`."""

_DISTINCT = 5000


def make_images(n: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Noise with a bright source in the middle, shape (n, 41, 41)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX // 2
    peak = generator.uniform(1, 80, (n, 1, 1))
    width = generator.uniform(1, 4, (n, 1, 1))
    noise = generator.normal(0, 0.3, (n, SIDE_PX, SIDE_PX))
    return np.asarray(peak * np.exp(-np.hypot(x, y) / width) + noise, dtype=np.float32)


def write_fits(folder: Path, n_objects: int, n_links: int = 1) -> list[str]:
    """Write files of the challenge's form and size, five bands an object; give their paths.

    Parameters
    ----------
    folder : Path
        Is made.
    n_objects : int
        Objects whose pixels differ.
    n_links : int
        Each file is there under so many names (hard links), as so many objects: large sets on a small disk.
    """
    folder.mkdir(parents=True)
    paths = []
    for number in range(n_objects):
        images = make_images(len(BANDS), number)
        for band, image in zip(BANDS, images, strict=True):
            path = folder / f"object_{number:07d}_{band}.fits"
            path.write_bytes(table_bytes(image, f"id{number:021d}", column=FITS_COLUMN))
            paths.append(str(path))
            for link in range(1, n_links):
                other = folder / f"object_{link * n_objects + number:07d}_{band}.fits"
                other.hardlink_to(path)
                paths.append(str(other))
    return paths


def write_packed(folder: Path, n_cutouts: int, *, pixels: bool = True) -> Path:
    """Write a packed, labelled set of at least so many cutouts (whole objects in four buckets).

    Without pixels `cutouts.npy` is empty, for steps that do not open it.
    """
    folder.mkdir(parents=True)
    n_objects = math.ceil(n_cutouts / len(BUCKETS) / len(BANDS))  # of a bucket
    n_cutouts = n_objects * len(BUCKETS) * len(BANDS)
    images = make_images(min(_DISTINCT, n_cutouts)) if pixels else np.empty((0, SIDE_PX, SIDE_PX))
    with (folder / CUTOUTS).open("wb") as binary:
        shape = (n_cutouts, SIDE_PX, SIDE_PX)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(binary, header)
        for first in range(0, n_cutouts if pixels else 0, max(1, len(images))):
            binary.write(images[: n_cutouts - first].tobytes())
    keys = [f"{bucket}/D_{number:08d}" for bucket in BUCKETS for number in range(n_objects)]
    buckets = [bucket for bucket in BUCKETS for _ in range(n_objects * len(BANDS))]
    table = pa.table(
        {
            "object": np.repeat(keys, len(BANDS)),
            "band": list(BANDS) * len(keys),
            "path": [f"/data/{key}_{band}.fits" for key in keys for band in BANDS],
            "bucket": buckets,
            "domain": [CHALLENGE[bucket]["domain"] for bucket in buckets],
            "label": pa.array([LABELS[CHALLENGE[bucket]["label"]] for bucket in buckets], pa.int8()),
            "header_id": np.repeat([f"id{key}" for key in keys], len(BANDS)),
            "pixel_hash": [f"{number:032x}" for number in range(n_cutouts)],
        }
    )
    parquet.write_table(table, folder / INDEX)
    (folder / REJECTED).write_text("path,bucket,object,reason\n")
    write_json(
        folder / SUMMARY,
        {
            "format": 1,
            "dataset": "labelled",
            "labelled": True,
            "size_px": SIDE_PX,
            "bands": list(BANDS),
            "n_cutouts": n_cutouts,
            "n_objects": len(keys),
            "sha256": {name: sha256_of(folder / name) for name in (CUTOUTS, INDEX, REJECTED)},
        },
    )
    return folder


def write_member_predictions(folder: Path, packed: Path, seed: int) -> Path:
    """Write one member's predictions of a whole packed set, under both names: val and test."""
    folder.mkdir(parents=True)
    index = parquet.read_table(packed / INDEX)
    label = index["label"].to_numpy()
    noise = np.random.default_rng(seed).normal(0, 0.3, len(label))
    prob = 1 / (1 + np.exp(-4 * (label - 0.5 + noise)))
    table = index.select(["path", "domain", "label"])
    table = table.append_column("prob", pa.array(prob)).append_column("pred", pa.array((prob >= 0.5) * 1))
    for column in ("object", "band"):
        table = table.append_column(column, index[column])
    stated = read_json(packed / SUMMARY)["sha256"]
    for which in ("val", "test"):
        path = folder / f"pred_{which}.csv"
        csv.write_csv(table, path, csv.WriteOptions(quoting_style="needed"))
        description = {
            "format": 1,
            "which": which,
            "model": "bench",
            "seed": seed,
            "n_samples": len(label),
            "n_objects": len(label) // len(BANDS),
            "weights_sha256": f"{seed:064x}",
            "cutouts_sha256": stated[CUTOUTS],
            "index_sha256": stated[INDEX],
            "objects_sha256": None,
            "sha256": {path.name: sha256_of(path)},
        }
        write_json(folder / f"pred_{which}.json", description)
    return folder
