"""Training one member: from packed cutouts and a split to weights and the figures that describe them."""

import csv
import dataclasses
import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch

from stronglens.artefact import write_json, write_text
from stronglens.errors import InputError
from stronglens.networks.compiled import Compile
from stronglens.networks.device import arithmetic, choose_device
from stronglens.networks.loaded import Residence, load_samples
from stronglens.networks.member_files import write_member, write_weights
from stronglens.networks.network import build_network
from stronglens.networks.samples import Samples, make_samples
from stronglens.packing.packed import CUTOUTS, INDEX, PackedSet, open_packed
from stronglens.settings.member import MemberSettings
from stronglens.splitting.split_table import OBJECTS, SplitTable, open_splits
from stronglens.training.balance import balancing_weights
from stronglens.training.fit import EpochRecord, FitResult, Scores, fit, score
from stronglens.training.mixing import mixes
from stronglens.training.resume import clear_state, code_sha256, load_state, save_state

RESUME = "resume"


def train_member(
    packed_folder: Path,
    splits_folder: Path,
    out_dir: Path,
    settings: MemberSettings,
    *,
    model: str,
    seed: int,
    device_name: str = "auto",
    n_threads: int | None = None,
    compile_choice: Compile = "auto",
    residence: Residence = "auto",
) -> None:
    """Train a member and write its folder.

    Writes `best.pt`, `last.pt`, `best.json`, `training_log.csv` and `results.json`. After every epoch a
    state is kept in `resume/`, from which the same training goes on if it is cut short; it is removed at
    the end.

    Parameters
    ----------
    packed_folder, splits_folder : Path
        What `build_buckets` and `split_objects` wrote.
    out_dir : Path
        The member's folder.
    settings : MemberSettings
        Network, bands, preprocessing, training.
    model : str
        Name of the member's model.
    seed : int
        Of the initial weights, the order of samples, augmentation and dropped paths.
    device_name : str
        See `stronglens.networks.device.choose_device`.
    n_threads : int, optional
        Threads on a CPU. Sums are taken in another order with another number: equal bytes need equal numbers.
    compile_choice : {"auto", "always", "graphs", "never"}
        Whether the network is compiled; auto: where that pays.
    residence : {"auto", "always", "never"}
        See `stronglens.networks.loaded.load_samples`; changes no result.

    Raises
    ------
    InputError
        Data and split do not belong together or were changed, a class is absent, training diverged, or the
        device is not there.
    """
    log = logging.getLogger("stronglens")
    device = choose_device(device_name)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    packed = open_packed(packed_folder)
    splits = open_splits(splits_folder, packed)
    train_settings = settings.train
    chosen = {
        split: _choose(packed, splits, settings, split, fraction)
        for split, fraction in (
            ("train", train_settings.train_fraction),
            ("val", train_settings.val_fraction),
            ("test", train_settings.test_fraction),
        )
    }
    log.info(
        "%s, seed %d on %s: %s",
        *(model, seed, _device_name(device)),
        ", ".join(f"{len(samples)} {split} samples" for split, samples in chosen.items()),
    )
    dtype = _kept_in(device, settings)
    loaded = {
        split: load_samples(packed, samples, settings.preprocess, device, residence, dtype)
        for split, samples in chosen.items()
        if split != "test"
    }
    torch.manual_seed(seed)
    network = build_network(settings.network, settings.in_chans, side_px(packed, settings))
    network.to(device).to(memory_format=torch.channels_last)
    data = {
        "cutouts_sha256": packed.summary["sha256"][CUTOUTS],
        "index_sha256": packed.summary["sha256"][INDEX],
        "objects_sha256": splits.description["sha256"][OBJECTS],
    }
    identity = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        **data,
        "code": code_sha256(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "device": device.type,
    }
    resume_folder = out_dir / RESUME
    result = fit(
        network,
        loaded["train"],
        loaded["val"],
        train_settings,
        seed,
        load_state(resume_folder, identity),
        lambda state: save_state(resume_folder, identity, state),
        compile_choice,
        balancing_weights(chosen["train"].table, train_settings.balance),
    )
    network.load_state_dict(result.best)
    test = _score_test(packed, chosen["test"], network, settings, device, residence)
    made_with = {"device": _device_name(device), "torch": torch.__version__}
    _write(out_dir, settings, model, seed, data | made_with, packed, chosen, result, test)
    best = result.records[result.best_epoch - 1]
    log.info(
        "best epoch %d: val auc %.4f loss %.4f; test auc %s",
        best.epoch,
        best.val_auc,
        best.val_loss,
        test["auc"],
    )
    clear_state(resume_folder)  # with the log of all tries: after the last message


def side_px(packed: PackedSet, settings: MemberSettings) -> int:
    """Side of the images that a member's network sees, in pixels: padded if the settings pad."""
    return settings.preprocess.pad_to_px or int(packed.summary["size_px"])


def share_of_objects(objects: pd.Series, fraction: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark a share of the objects, the same for every seed, by a hash of their keys.

    A larger share contains every smaller one.
    """
    if fraction >= 1:
        return np.ones(len(objects), dtype=bool)
    codes, keys = pd.factorize(objects)
    place = [int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") for key in keys]
    kept = np.array(place, dtype=np.float64) < fraction * 2.0**64
    return np.asarray(kept[codes], dtype=bool)


def _choose(
    packed: PackedSet, splits: SplitTable, settings: MemberSettings, split: str, fraction: float
) -> Samples:
    mask = splits.choose(packed.index, split) & share_of_objects(packed.index["object"], fraction)
    if settings.domains is not None:
        mask &= packed.index["domain"].isin(settings.domains).to_numpy()
    samples = make_samples(packed.index, settings.bands, mask, packed.summary["bands"])
    if split == "train" and settings.train.skip_incomplete:
        complete = np.flatnonzero((samples.rows >= 0).all(axis=1))
        logging.getLogger("stronglens").info(
            "%d of %d training objects lack a band and are left out",
            *(len(samples) - len(complete), len(samples)),
        )
        samples = Samples(samples.rows[complete], samples.table.iloc[complete].reset_index(drop=True))
    if len(samples) == 0:
        raise InputError(f"{packed.folder}: expected samples in split {split}{_of(settings)}, found none")
    return samples


def _of(settings: MemberSettings) -> str:
    return f" of {' and '.join(settings.domains)}" if settings.domains else ""


def _kept_in(device: torch.device, settings: MemberSettings) -> torch.dtype:
    """What samples live in: what the network casts them to, if nothing is computed on them before."""
    train = settings.train
    computed_on = (
        train.augment_gamma > 0
        or train.augment_noise > 0
        or mixes(train)
        or settings.network.learnt_softening is not None
    )
    dtype = None if computed_on else arithmetic(device, train.precision)
    return torch.float32 if dtype is None else dtype


def _score_test(
    packed: PackedSet,
    samples: Samples,
    network: torch.nn.Module,
    settings: MemberSettings,
    device: torch.device,
    residence: Residence,
) -> dict[str, float | None]:
    dtype = _kept_in(device, settings)
    loaded = load_samples(packed, samples, settings.preprocess, device, residence, dtype)
    return _plain(score(network, loaded, settings.train.precision))


def _plain(scores: Scores) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in dataclasses.asdict(scores).items()}


def _write(
    out_dir: Path,
    settings: MemberSettings,
    model: str,
    seed: int,
    data: dict[str, str],
    packed: PackedSet,
    chosen: dict[str, Samples],
    result: FitResult,
    test: dict[str, float | None],
) -> None:
    best = dataclasses.asdict(result.records[result.best_epoch - 1])
    common: dict[str, Any] = {
        "model": model,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        **data,
    }
    write_text(out_dir / "training_log.csv", training_log(result.records))
    write_json(
        out_dir / "results.json",
        common
        | {
            "format": 1,
            "best": best,
            "test": test,
            "n_epochs": len(result.records),
            "n_samples": {split: len(samples) for split, samples in chosen.items()},
        },
    )
    write_weights(out_dir / "last.pt", result.last)
    write_member(
        out_dir,
        result.best,
        common
        | {
            "size_px": int(packed.summary["size_px"]),
            "in_chans": settings.in_chans,
            "best_epoch": result.best_epoch,
            "val_auc": best["val_auc"],
        },
    )


def training_log(records: Sequence[EpochRecord]) -> str:
    """The figures of all epochs as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(EpochRecord))
    writer.writerows(dataclasses.astuple(record) for record in records)
    return text.getvalue()


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
