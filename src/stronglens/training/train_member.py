"""Training one member: from packed cutouts and a split to weights and the figures that describe them."""

import csv
import dataclasses
import hashlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch

from stronglens.formats.artefact import write_text
from stronglens.formats.joined import AnySet, join_sets
from stronglens.formats.member_files import (
    LAST_WEIGHTS,
    RESULTS,
    TrainingResults,
    write_member,
    write_weights,
)
from stronglens.formats.packed import CUTOUTS, INDEX, PARAMETERS, PackedSet, open_packed
from stronglens.formats.split_table import SplitTable, open_splits
from stronglens.formats.train_progress import ProgressFile
from stronglens.networks.compiled import Compile
from stronglens.networks.device import choose_device
from stronglens.networks.loaded import LoadedSamples, Residence, load_samples
from stronglens.networks.network import build_network, build_to_load, check_input
from stronglens.networks.precision import algorithms, computed_on, device_in_words
from stronglens.networks.samples import Samples, join_samples, make_samples, refuse_unseen_classes
from stronglens.networks.starting import start, with_known_start
from stronglens.running.errors import InputError
from stronglens.running.fingerprint import step_sha256
from stronglens.running.tracker import Tracker
from stronglens.settings.member import MemberSettings
from stronglens.settings.train import Precision, TrainSettings
from stronglens.training.balance import balancing_weights
from stronglens.training.domain_task import DomainTargets, make_domain_targets, take_weights, without_more
from stronglens.training.lens_task import LensTask, make_lens_task
from stronglens.training.precision_choice import kept_in, with_chosen_precision
from stronglens.training.resume import StateKeeper, begun_in, clear_state, load_state
from stronglens.training.softening import with_measured_softening
from stronglens.training.teacher import Lesson, read_lesson
from stronglens.training.trainer import EpochRecord, FitResult, Trainer
from stronglens.training.unlabelled import Unlabelled, UnlabelledFiles, read_unlabelled
from stronglens.training.validation import Scores, score, scoring_batch_size

log = logging.getLogger(__name__)

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
    choices: Path | None = None,
    teacher: Path | None = None,
    unlabelled: Mapping[str, UnlabelledFiles] | None = None,
) -> None:
    """Train a member and write its folder.

    Writes `best.pt`, `last.pt`, `best.json`, `training_log.csv` and `results.json`. Meanwhile `progress.json`
    says how far it is, and a state is kept in `resume/`, once a minute and when SIGTERM comes, from which the
    same training goes on if it is cut short; that is removed at the end.

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
    compile_choice : str
        How steps are taken: see `stronglens.networks.compiled.Compile`.
    residence : {"auto", "always", "never"}
        See `stronglens.networks.loaded.load_samples`; changes no result.
    choices : Path, optional
        Folder where jobs share what they have measured, so that all seeds compute alike.
    teacher : Path, optional
        `train_ens.csv` of the ensemble that `settings.distil_from` names.
    unlabelled : mapping of str to UnlabelledFiles, optional
        The test sets that `settings.distil_on` names, and what that ensemble says of them.

    Raises
    ------
    InputError
        Data, split and teacher do not belong together or were changed, a class is absent or has none of the
        bands, a lens parameter to be learnt is known of no lens, training diverged, or the device is not
        there.
    """
    device = choose_device(device_name)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    settings = with_known_start(settings, seed)
    resume_folder = out_dir / RESUME
    data = load_data(
        packed_folder,
        splits_folder,
        settings,
        device,
        residence,
        seed=seed,
        name=f"{model}, seed {seed}",
        compile_choice=compile_choice,
        resume_folder=resume_folder,
        choices=choices,
        teacher=teacher,
        unlabelled=unlabelled,
    )
    settings, computing = data.settings, data.computing
    network = make_network(data)
    # Not before data and weights are known to be right: a step that refuses them leaves nothing behind.
    progress_file = ProgressFile(out_dir)
    progress_file.begin()
    with Tracker(out_dir, settings.train.tracker) as tracker:
        result = fit_network(
            network,
            data,
            resume_folder,
            compile_choice=compile_choice,
            observe=tracker,
            progress_file=progress_file,
            choices=choices,
        )
    if data.domains is not None:
        network = _moved(build_to_load(settings, data.packed.summary.size_px), data)
        result = dataclasses.replace(
            result, best=without_more(result.best, network), last=without_more(result.last, network)
        )
    network.load_state_dict(result.best)
    precision, dtype = computing.precision, kept_in(device, computing)
    loaded = data.loaded | {
        "test": load_samples(data.packed, data.chosen["test"], settings.preprocess, device, residence, dtype)
    }
    more: dict[str, Any] = {}
    with algorithms(computing):
        scores: dict[str, Any] = {"test": _plain(score(network, loaded["test"], precision))}
        if data.lens is not None:
            more["lens_parameters"] = data.lens.scaling.model_dump(mode="json")
            scores["lens_parameters"] = _lens_scores(data.lens, network, loaded, result, precision)
    _write(
        out_dir,
        settings,
        model,
        seed,
        data=data.sha256 | computed_on(device, computing) | {"way": result.way},
        packed=data.packed,
        chosen=data.chosen,
        result=result,
        scores=scores,
        more=more,
    )
    best = result.records[result.best_epoch - 1]
    log.info(
        "best epoch %d: val auc %.4f loss %.4f; test auc %s",
        best.epoch,
        best.val_auc,
        best.val_loss,
        scores["test"]["auc"],
    )
    clear_state(resume_folder)  # with the log of all tries: after the last message


@dataclasses.dataclass(frozen=True)
class MemberData:
    """What a member learns from.

    Attributes
    ----------
    packed : PackedSet
        Where it comes from.
    chosen : dict of str to Samples
        The samples of each split.
    loaded : dict of str to LoadedSamples
        Those of training and validation, preprocessed; those without labels follow those of training.
    sha256 : dict of str to JSON values
        Of cutouts, index and split, and of what else is learnt from.
    device : torch.device
        What is computed on.
    lens : LensTask or None
        Lens parameters that are learnt along.
    lesson : Lesson or None
        Probabilities that are learnt in place of labels.
    domains : DomainTargets or None
        Domains that are learnt along.
    n_unlabelled : int
        Samples without labels that are learnt from.
    settings : MemberSettings
        Those that were given, with all that is measured on the training samples.
    computing : TrainSettings
        Those of training, with the precision that is computed in here.
    seed : int
        Of the initial weights, and of all that is drawn.
    identity : dict of JSON values
        All that must be the same for a state of the training to be gone on from.
    """

    packed: PackedSet
    chosen: dict[str, Samples]
    loaded: dict[str, LoadedSamples]
    sha256: dict[str, Any]
    device: torch.device
    lens: LensTask | None
    lesson: Lesson | None
    domains: DomainTargets | None
    n_unlabelled: int
    settings: MemberSettings
    computing: TrainSettings
    seed: int
    identity: dict[str, Any]


def load_data(
    packed_folder: Path,
    splits_folder: Path,
    settings: MemberSettings,
    device: torch.device,
    residence: Residence = "auto",
    *,
    seed: int,
    name: str,
    splits: Sequence[str] = ("train", "val", "test"),
    compile_choice: Compile = "auto",
    resume_folder: Path | None = None,
    choices: Path | None = None,
    teacher: Path | None = None,
    unlabelled: Mapping[str, UnlabelledFiles] | None = None,
) -> MemberData:
    """Open packed data and their split, and load what is learnt from.

    Parameters
    ----------
    packed_folder, splits_folder, settings, residence
        See `train_member`.
    device : torch.device
        What is computed on.
    seed : int
        See `train_member`.
    name : str
        Of what is trained, for the log.
    splits : sequence of str
        Splits whose samples are chosen: train, val, and test where that is to be scored.
    resume_folder : Path, optional
        Where there is a state if this training goes on: it stays in the precision of that.
    compile_choice, choices, teacher, unlabelled
        See `train_member`.

    Raises
    ------
    InputError
        Data, split and teacher do not belong together or were changed, or a split has no samples, or no
        cutout of a class in the bands.
    """
    packed = open_packed(packed_folder)
    table = open_splits(splits_folder, packed)
    train = settings.train
    fractions = {"train": train.train_fraction, "val": train.val_fraction, "test": train.test_fraction}
    chosen = {split: _choose(packed, table, settings, split, fractions[split]) for split in splits}
    log.info(
        "%s on %s: %s",
        name,
        device_in_words(device),
        ", ".join(f"{len(samples)} {split} samples" for split, samples in chosen.items()),
    )
    measured = with_measured_softening(settings.preprocess, packed, chosen["train"])
    settings = settings.model_copy(update={"preprocess": measured})
    lens = make_lens_task(packed, chosen, settings.lens_parameters)
    lesson = read_lesson(teacher, chosen["train"], settings.distil_from)
    kept_back = table.choose(packed.index, "val") | table.choose(packed.index, "test")
    more = read_unlabelled(unlabelled or {}, settings, lesson, packed.index["pixel_hash"][kept_back])
    sources: dict[str, tuple[AnySet, Samples]] = {
        split: (packed, samples) for split, samples in chosen.items() if split != "test"
    }
    if lesson is not None and more is not None:
        lesson = dataclasses.replace(lesson, targets=torch.cat([lesson.targets, more.targets]))
        sources["train"] = _followed(packed, chosen["train"], more)
    sha256 = {
        "cutouts_sha256": packed.summary.sha256[CUTOUTS],
        "index_sha256": packed.summary.sha256[INDEX],
        "objects_sha256": table.description.objects_sha256,
        **({} if lens is None else {"parameters_sha256": packed.summary.sha256[PARAMETERS]}),
        **({} if lesson is None else {"teacher_sha256": lesson.sha256}),
        **({} if more is None else {"unlabelled": more.stated}),
    }
    identity = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        **sha256,
        "code": step_sha256(__file__),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "device": device.type,
    }
    side = side_px(packed, settings)
    computing = with_chosen_precision(
        settings.train,
        lambda: _built(settings, side),
        (settings.in_chans, side, side),
        len(sources["train"][1]),
        device,
        choices,
        _about(settings),
        compile_choice,
        None if resume_folder is None else begun_in(resume_folder, identity),
    )
    dtype = kept_in(device, computing)
    loaded = {
        split: load_samples(source, samples, settings.preprocess, device, residence, dtype)
        for split, (source, samples) in sources.items()
    }
    n_unlabelled = 0 if more is None else len(more.samples)
    weight = settings.train.domain_weight
    domains = make_domain_targets(chosen["train"].table, weight, device, n_unlabelled)
    # What `auto` takes depends on the card, and a retry may meet another one.
    identity["precision"] = computing.precision
    return MemberData(
        *(packed, chosen, loaded, sha256, device, lens, lesson, domains, n_unlabelled),
        *(settings, computing, seed, identity),
    )


def _followed(packed: PackedSet, samples: Samples, more: Unlabelled) -> tuple[AnySet, Samples]:
    """The training samples, and after them those without labels, as samples of one set."""
    joined = join_sets([packed, *more.parts])
    return joined, join_samples([samples, more.samples], [len(packed.index), more.n_cutouts])


def make_network(data: MemberData) -> torch.nn.Module:
    """The network before its first step, on the device; outputs for domains, if it learns them, are the last.

    Raises
    ------
    InputError
        There is no such network, it does not take these images, or the weights it starts from do not fit.
    """
    settings = data.settings
    torch.manual_seed(data.seed)
    network = _built(settings, side_px(data.packed, settings))
    start(network, settings)
    if data.domains is not None:
        weights = network.state_dict()
        network = build_to_load(settings, data.packed.summary.size_px, data.domains.n_domains)
        take_weights(network, weights)
    return _moved(network, data)


def _built(settings: MemberSettings, side: int) -> torch.nn.Module:
    """The network for images of `side` pixels; crops that it learns from, if any, are smaller and fit it."""
    network = build_network(settings.network, settings.in_chans, side, settings.n_outputs)
    if (crop_px := settings.train.crop_px) is not None:
        if crop_px >= side:
            raise InputError(
                f"train.crop_px: expected less than the {side} pixels of an image, found {crop_px}"
            )
        check_input(network, settings.network.name, settings.in_chans, crop_px, settings.n_outputs)
    return network


def _moved(network: torch.nn.Module, data: MemberData) -> torch.nn.Module:
    return network.to(data.device).to(memory_format=torch.channels_last)


def fit_network(
    network: torch.nn.Module,
    data: MemberData,
    resume_folder: Path,
    *,
    compile_choice: Compile = "auto",
    observe: Callable[[Mapping[str, Any]], None] | None = None,
    progress_file: ProgressFile | None = None,
    choices: Path | None = None,
) -> FitResult:
    """Train a network, from the state in a folder if there is one of exactly this training.

    Parameters
    ----------
    network, data
        From `make_network` and `load_data`.
    compile_choice, choices
        See `train_member`.
    resume_folder : Path
        Where a state is kept. It stays: `clear_state` removes it.
    observe : callable, optional
        Takes the state after each epoch, and the one that is gone on from; what it raises ends the training.
    progress_file : ProgressFile, optional
        Where it is written how far it is.

    Raises
    ------
    InputError, DivergedError, StoppedError
        See `stronglens.training.trainer.Trainer`.
    """
    train = data.computing
    trainer = Trainer(
        network,
        data.loaded["train"],
        data.loaded["val"],
        train,
        data.seed,
        compile_choice,
        balancing_weights(data.chosen["train"].table, train.balance, data.n_unlabelled),
        None if data.lens is None else data.lens.targets("train", data.device, data.n_unlabelled),
        choices,
        _about(data.settings) | {"shape": list(data.loaded["train"].image_shape)},
        None if data.lesson is None else data.lesson.targets,
        data.domains,
    )
    state = load_state(resume_folder, data.identity)
    if state is not None:
        trainer.load_state_dict(state)
        if observe is not None:
            observe(state)
    with StateKeeper(resume_folder, data.identity) as keeper, algorithms(train):
        return trainer.fit(keeper, observe, progress_file)


def _about(settings: MemberSettings) -> dict[str, Any]:
    """What of a member's network its speed depends on, for choices that jobs share."""
    return {"network": settings.network.model_dump(mode="json"), "code": step_sha256(__file__)}


def side_px(packed: PackedSet, settings: MemberSettings) -> int:
    """Side of the images that a member's network sees, in pixels: padded if the settings pad."""
    return settings.preprocess.pad_to_px or packed.summary.size_px


def share_of_objects(objects: pd.Series, fraction: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark a share of the objects, the same for every seed, by a hash of their keys.

    A larger share contains every smaller one.
    """
    if fraction >= 1:
        return np.ones(len(objects), dtype=bool)
    codes, keys = pd.factorize(objects)
    positions = [int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") for key in keys]
    kept = np.array(positions, dtype=np.float64) < fraction * 2.0**64
    return np.asarray(kept[codes], dtype=bool)


def _choose(
    packed: PackedSet, splits: SplitTable, settings: MemberSettings, split: str, fraction: float
) -> Samples:
    mask = splits.choose(packed.index, split) & share_of_objects(packed.index["object"], fraction)
    if settings.domains is not None:
        mask &= packed.index["domain"].isin(settings.domains).to_numpy()
    samples = make_samples(packed.index, settings.bands, mask, packed.summary.bands)
    if split == "train" and settings.train.skip_incomplete:
        complete = np.flatnonzero((samples.rows >= 0).all(axis=1))
        log.info(
            "%d of %d training objects lack a band and are left out",
            len(samples) - len(complete),
            len(samples),
        )
        samples = samples.take(complete)
    if len(samples) == 0:
        raise InputError(f"{packed.folder}: expected samples in split {split}{_of(settings)}, found none")
    refuse_unseen_classes(packed.folder, split, samples, settings.bands)
    return samples


def _of(settings: MemberSettings) -> str:
    return f" of {' and '.join(settings.domains)}" if settings.domains else ""


def _lens_scores(
    lens: LensTask,
    network: torch.nn.Module,
    loaded: Mapping[str, LoadedSamples],
    result: FitResult,
    precision: Precision,
) -> dict[str, Any]:
    errors = {
        split: lens.errors(
            network, loaded[split], split, precision, scoring_batch_size(loaded[split].rows.device)
        )
        for split in ("val", "test")
    }
    for name, found in errors["test"].items():
        if found["n_samples"]:
            log.info(
                "%s of %d test samples of lenses: rms error %.4g, of always answering the mean %.4g",
                name,
                found["n_samples"],
                found["rms_error"],
                found["rms_of_mean"],
            )
    return {"train_losses": result.lens_losses, **errors}


def _plain(scores: Scores) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in dataclasses.asdict(scores).items()}


def _write(
    out_dir: Path,
    settings: MemberSettings,
    model: str,
    seed: int,
    *,
    data: Mapping[str, Any],
    packed: PackedSet,
    chosen: dict[str, Samples],
    result: FitResult,
    scores: dict[str, Any],
    more: dict[str, Any],
) -> None:
    best = dataclasses.asdict(result.records[result.best_epoch - 1])
    common: dict[str, Any] = {
        "model": model,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        **data,
    }
    write_text(out_dir / "training_log.csv", training_log(result.records))
    results = {
        "best": best,
        **scores,
        "n_epochs": len(result.records),
        "n_samples": {split: len(samples) for split, samples in chosen.items()},
    }
    TrainingResults.model_validate(common | results).write(out_dir / RESULTS)
    write_weights(out_dir / LAST_WEIGHTS, result.last)
    write_member(
        out_dir,
        result.best,
        common
        | {
            "size_px": packed.summary.size_px,
            "in_chans": settings.in_chans,
            "best_epoch": result.best_epoch,
            "val_auc": best["val_auc"],
            **more,
        },
    )


def training_log(records: Sequence[EpochRecord]) -> str:
    """The figures of all epochs as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(EpochRecord))
    writer.writerows(dataclasses.astuple(record) for record in records)
    return text.getvalue()
