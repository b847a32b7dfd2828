"""What a band that is missing, or turned against the others, costs a model: the held-out objects, spoilt.

For members of `experiments.yaml` (docs/EXPERIMENTS.md), in the folder where they were trained:

    python benchmarks/robustness.py stack_object/seed_42 object_band_dropout/seed_42

Nothing is trained. In each object one band, drawn at random, is taken away or turned by a quarter.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from experiments import auc, objects_of
from harness import ROOT

from stronglens.formats.artefact import read_json, sha256_of, write_json

PACKED, SPLITS, MODELS = (Path("results") / name for name in ("buckets/labelled", "splits", "models"))
SEED = 0

Images = npt.NDArray[np.float32]


def heldout() -> tuple[pd.DataFrame, Images]:
    """Index and cutouts of the held-out objects that have all bands."""
    splits = pd.read_parquet(SPLITS / "objects.parquet").set_index("object")["split"]
    index = pd.read_parquet(PACKED / "index.parquet").reset_index(drop=True)
    n_bands = index["object"].map(index["object"].value_counts())
    index = index[(index["object"].map(splits) == "test") & (n_bands == index["band"].nunique())]
    return index.reset_index(drop=True), np.load(PACKED / "cutouts.npy", mmap_mode="r")[
        index.index.to_numpy()
    ]


def one_of_each(index: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """One cutout of each object, drawn at random."""
    drawn = index.groupby("object").sample(1, random_state=SEED).index
    return index.index.isin(drawn)


def intact(index: pd.DataFrame, cutouts: Images) -> tuple[pd.DataFrame, Images]:
    return index, cutouts


def one_missing(index: pd.DataFrame, cutouts: Images) -> tuple[pd.DataFrame, Images]:
    kept = ~one_of_each(index)
    return index[kept].reset_index(drop=True), cutouts[kept]


def one_turned(index: pd.DataFrame, cutouts: Images) -> tuple[pd.DataFrame, Images]:
    turned = np.where(one_of_each(index)[:, None, None], np.rot90(cutouts, axes=(1, 2)), cutouts)
    return index, turned


Spoil = Callable[[pd.DataFrame, Images], tuple[pd.DataFrame, Images]]
SPOILT: dict[str, Spoil] = {"all bands": intact, "one missing": one_missing, "one turned": one_turned}


def write_packed(folder: Path, index: pd.DataFrame, cutouts: Images) -> None:
    """A packed set for prediction."""
    folder.mkdir()
    np.save(folder / "cutouts.npy", np.ascontiguousarray(cutouts, dtype="<f4"))
    index.to_parquet(folder / "index.parquet")
    names = ("cutouts.npy", "index.parquet")
    hashes = {name: sha256_of(folder / name) for name in names}
    write_json(folder / "summary.json", read_json(PACKED / "summary.json") | {"sha256": hashes})


def auc_of(member: Path, packed: Path, out_dir: Path) -> float:
    """The area under the ROC curve that a trained member reaches, object by object."""
    script = ROOT / "workflow" / "scripts" / "predict.py"
    options = [f"--member={member}", f"--packed={packed}", f"--out-dir={out_dir}", "--compile=never"]
    subprocess.run([sys.executable, str(script), *options], check=True, capture_output=True)
    return auc(objects_of(out_dir / "pred_test.csv", truth=None))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("members", nargs="+", help="MODEL/seed_SEED")
    members: list[str] = parser.parse_args(arguments).members
    index, cutouts = heldout()
    aucs: dict[str, list[float]] = {member: [] for member in members}
    with tempfile.TemporaryDirectory() as name:
        for spoilt, spoil in SPOILT.items():
            packed = Path(name, spoilt.replace(" ", "_"))
            write_packed(packed, *spoil(index, cutouts))
            for number, member in enumerate(members):
                aucs[member].append(auc_of(MODELS / member, packed, packed / f"predictions_{number}"))
    print("| " + " | ".join(["member", *(f"AUC, {spoilt}" for spoilt in SPOILT)]) + " |")
    print("|---" + "|---:" * len(SPOILT) + "|")
    for member, values in aucs.items():
        print("| " + " | ".join([member, *(f"{value:.4f}" for value in values)]) + " |")


if __name__ == "__main__":
    main()
