"""Predicting with one member: from packed cutouts and weights to a probability per sample.

And to estimates of lens parameters, where the member gives some.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from stronglens.formats.member_files import MemberDescription, read_member
from stronglens.formats.packed import (
    CUTOUTS,
    INDEX,
    PIECE_ROWS,
    PackedPieces,
    PackedSet,
    open_packed,
    open_pieces,
)
from stronglens.formats.prediction_files import prediction_files
from stronglens.formats.split_table import open_splits
from stronglens.networks.compiled import Compile, Forward, compiled, runs_compiled, worth_compiling
from stronglens.networks.device import choose_device
from stronglens.networks.forward import Room, outputs_of
from stronglens.networks.lens_scaling import LensScaling
from stronglens.networks.lens_widths import gaussians_of
from stronglens.networks.mixture import mixture
from stronglens.networks.network import build_to_load
from stronglens.networks.precision import algorithms, as_trained, autocast_dtype, computed_on, resolved
from stronglens.networks.preprocess import CutoutContext, context_of
from stronglens.networks.resident import load_resident
from stronglens.networks.samples import Samples, report_unseen
from stronglens.networks.streamed import stream_samples
from stronglens.networks.symmetries import N_SYMMETRIES, dihedral
from stronglens.networks.ways import ChoiceFile, card_of
from stronglens.prediction.batch import BATCH_SIZE, BATCH_SIZES, fastest_batch
from stronglens.prediction.in_turn import InTurn
from stronglens.prediction.sample_pieces import SamplePieces
from stronglens.running.errors import InputError
from stronglens.running.fingerprint import step_sha256
from stronglens.running.gpu_lock import jobs_per_gpu
from stronglens.running.progress import progress
from stronglens.settings.lens_parameters import columns_of, std_column
from stronglens.settings.member import MemberSettings, PredictSettings

log = logging.getLogger(__name__)

CHUNK_ON_CPU, CHUNK_ON_GPU = 8192, 65_536
"""Between two looks at the progress, in whole batches: on a CPU cutouts, which are preprocessed at once; on a
GPU samples, of which a batch is preprocessed at once, and the next ones are copied to it meanwhile. Memory
does not grow with the number of objects."""

DECIMALS = 6
"""Decimals of estimated parameters: far below their errors, and about the rounding of a network."""


def predict_member(
    member_folder: Path,
    packed_folder: Path,
    out_dir: Path,
    *,
    which: str,
    split: str | None = None,
    splits_folder: Path | None = None,
    batch_size: int | None = None,
    device_name: str = "auto",
    n_threads: int | None = None,
    max_samples: int | None = None,
    compile_choice: Compile = "auto",
    predict_settings: PredictSettings | None = None,
    choices: Path | None = None,
) -> None:
    """Predict a split of the labelled data, or a whole packed set, with one member.

    Writes the files of `stronglens.formats.prediction_files`: `pred` is prob >= 0.5, `label` is -1 where
    it is unknown, and a lens parameter holds if the object is a lens. The set is read, predicted and written
    piece by piece.

    Parameters
    ----------
    member_folder : Path
        Folder with `best.pt` and `best.json`.
    packed_folder : Path
        Folder of a packed set.
    out_dir : Path
        Where the predictions go.
    which : str
        Names the files.
    split : str, optional
        train, val, test or all: the part of the labelled data; needs `splits_folder`. The whole set if not
        given.
    splits_folder : Path, optional
        Folder of the split; the member must have been trained with this very split, else its scores would be
        those of images it has learnt.
    batch_size : int, optional
        Samples that go through the network at once. If not given, 512 on a CPU, and on a GPU the fastest of
        some, found by measuring.
    device_name : str
        See `stronglens.networks.device.choose_device`.
    n_threads : int, optional
        Threads on a CPU.
    max_samples : int, optional
        Predict only the first so many samples, for quick looks.
    compile_choice : {"auto", "always", "graphs", "never"}
        Whether the network is compiled; auto: where that saves time, estimated on a CPU, measured on a GPU.
    predict_settings : PredictSettings, optional
        How the member is applied; the defaults if not given.
    choices : Path, optional
        Folder where jobs share what they have measured, so that all parts of a set are computed alike.

    Raises
    ------
    InputError
        Member, data and split do not belong together, or a file was changed.
    """
    device = choose_device(device_name)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    description, weights = read_member(member_folder)
    settings = MemberSettings.model_validate(description.settings)
    settings = as_trained(device, settings, description.precision)
    packed = open_pieces(packed_folder)
    _check_size(member_folder, description, packed)
    chosen, objects_sha256 = None, None
    if split is not None:
        if splits_folder is None:
            raise InputError(f"split {split!r} is asked for, but no folder of splits is given")
        chosen, objects_sha256 = _choose(packed_folder, splits_folder, split)
        _check_same_split(member_folder, description, packed, objects_sha256)
    pieces = SamplePieces(packed, settings.bands, chosen, max_samples)
    count = pieces.count()
    if count.n_samples == 0 and len(packed.cutouts) > 0:  # a part of a small set may be empty
        raise InputError(
            f"{packed_folder}: expected samples to predict{f' in split {split}' if split else ''}, found none"
        )
    report_unseen(
        f"{packed_folder}, for {member_folder}", settings.bands, count.n_samples, count.blind, count.n_blind
    )
    network = build_to_load(settings, packed.summary.size_px)
    network.load_state_dict(weights)
    network.to(device).to(memory_format=torch.channels_last)
    scaling = _scaling(member_folder, description, settings)
    names = list(scaling.names) if scaling else []
    columns = columns_of(names) if settings.has_uncertainties else names
    augmented = predict_settings is not None and predict_settings.test_time_augmentation
    n_views = N_SYMMETRIES if augmented else 1
    origin: dict[str, Any] = {
        "model": description.model,
        "seed": description.seed,
        "weights_sha256": description.weights_sha256,
        "cutouts_sha256": packed.summary.sha256[CUTOUTS],
        "index_sha256": packed.summary.sha256[INDEX],
        "objects_sha256": objects_sha256,
        "bands": settings.bands,
        **({"test_time_augmentation": True} if augmented else {}),
        **({"lens_parameters": names} if names else {}),
        **({"uncertainties": True} if settings.has_uncertainties else {}),
    }
    with algorithms(settings.train):
        side = settings.preprocess.pad_to_px or packed.summary.size_px
        work = _Work((settings.in_chans, side, side), count.n_samples, n_views, packed.summary.parts)
        batch_size, forward = _ways_to_predict(
            network, settings, device, work, batch_size, compile_choice, choices
        )
        room = Room(batch_size)
        with (
            prediction_files(out_dir, which, count.n_samples, origin, columns) as files,
            InTurn(files.add) as add,
        ):
            for samples, probs, outputs in predict_pieces(
                network, pieces, count.n_samples, settings, device, batch_size, forward, n_views, room
            ):
                estimates = scaling.columns(outputs) if scaling else {}
                add(samples.table, probs, {name: _rounded(name, estimates[name]) for name in columns})
            if device.type == "cuda":
                was_compiled = forward is not None and runs_compiled(forward) and room.most == batch_size
                how = {"batch_size": room.most, "compiled": was_compiled}
                origin["computed"] = computed_on(device, settings.train) | how
    log.info("%s: %d samples of %d objects", out_dir, files.n_samples, files.n_objects)


@dataclass(frozen=True)
class _Work:
    """What is predicted: images of a shape, of so many samples in so many views, in one of so many parts."""

    image_shape: tuple[int, int, int]
    n_samples: int
    n_views: int
    n_parts: int


def _ways_to_predict(
    network: nn.Module,
    settings: MemberSettings,
    device: torch.device,
    work: _Work,
    batch_size: int | None,
    compile_choice: Compile,
    choices: Path | None,
) -> tuple[int, Forward | None]:
    """The batch, and the network compiled for it or None: by estimate on a CPU, by measuring on a GPU."""
    train, image_shape, n_shown = settings.train, work.image_shape, work.n_views * work.n_samples
    dtype = autocast_dtype(device, train.precision)
    demanded = batch_size is not None and compile_choice != "auto"
    if device.type == "cpu" or demanded or train.deterministic:
        batch_size = batch_size or BATCH_SIZE
        # By all parts of a set, which give the bytes that the whole would give.
        if not worth_compiling(compile_choice, network, image_shape, n_shown * work.n_parts, learn=False):
            return batch_size, None
        shape, graphs = (batch_size, *image_shape), compile_choice == "graphs"
        return batch_size, compiled(network, shape, device, dtype, learn=False, graphs=graphs)
    sizes = BATCH_SIZES if batch_size is None else (batch_size,)
    depends_on = {
        "work": "prediction",
        "code": step_sha256(__file__),
        "network": settings.network.model_dump(mode="json"),
        "shape": list(image_shape),
        "precision": resolved(device, train.precision),
        "compile": compile_choice,
        "sizes": list(sizes),
        "jobs_on_the_card": jobs_per_gpu(),
        "n_parts": work.n_parts,
        # The parts of a set are about of one size, and computed alike.
        "n_images_below_2_to": n_shown.bit_length() if work.n_parts == 1 else None,
    }
    return fastest_batch(
        *(network, image_shape, device, dtype, n_shown),
        ChoiceFile(choices, card_of(device) | depends_on),
        sizes,
        n_in_piece=min(work.n_samples, PIECE_ROWS // settings.in_chans),
        compile_choice=compile_choice,
    )


def _rounded(column: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Estimates as they are written; a standard deviation does not become 0, by which errors are divided."""
    rounded = values.round(DECIMALS)
    return np.maximum(rounded, 10.0**-DECIMALS) if column.endswith(std_column("")) else rounded


def _choose(packed_folder: Path, splits_folder: Path, split: str) -> tuple[npt.NDArray[np.bool_], str]:
    """The cutouts of a split, as a mask, and the SHA-256 of the table of splits.

    Holds the whole index meanwhile, by which leaks are seen: that of the labelled data, which have no parts.
    """
    packed = open_packed(packed_folder, check=False)
    splits = open_splits(splits_folder, packed)
    return splits.choose(packed.index, split), splits.description.objects_sha256


def predict_pieces(
    network: nn.Module,
    pieces: Iterable[tuple[PackedSet, Samples]],
    n_samples: int,
    settings: MemberSettings,
    device: torch.device,
    batch_size: int,
    forward: Forward | None = None,
    n_views: int = 1,
    room: Room | None = None,
) -> Iterator[tuple[Samples, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Probability of being a lens for each sample, and its other outputs, streamed from the memory map.

    Parameters
    ----------
    network : Module
        What predicts; lies on the device.
    pieces : iterable of (PackedSet, Samples)
        Samples, and where their pixels lie.
    n_samples : int
        How many there are in all, for whoever watches.
    settings : MemberSettings
        Of the member.
    device : torch.device
        Where it runs.
    batch_size : int
        Samples that go through the network at once.
    forward : callable, optional
        The network compiled, if it is, for batches of `batch_size`.
    n_views : int
        The first so many of the eight symmetries of the square are shown, and the mean of their probabilities
        taken; and of the other outputs, since lens parameters stay the same. Of Gaussians it is the mixture.
    room : Room, optional
        See `stronglens.networks.forward.outputs_of`.

    Yields
    ------
    samples : Samples
        Some thousands of them, in order.
    probs : ndarray of float64, shape (len(samples),)
        From 0 to 1.
    estimates : ndarray of float64, shape (len(samples), n_outputs - 1)
        What the network gives after the logit: lens parameters, then their standard deviations if it gives
        some, both in units of the outputs.
    """
    dtype, room = autocast_dtype(device, settings.train.precision), room or Room(batch_size)
    load, n_at_once = (
        (stream_samples, CHUNK_ON_GPU)
        if device.type == "cuda"
        else (load_resident, CHUNK_ON_CPU // settings.in_chans)
    )
    step = max(1, n_at_once // batch_size) * batch_size
    run = forward if n_views == 1 else _in_views(forward or network, n_views)
    chunks = _chunks(pieces, settings, step)
    shown = progress(chunks, n_samples, "predict", "samples", size_of=lambda chunk: len(chunk[1]))
    for packed, samples, context in shown:
        loaded = load(packed, samples, settings.preprocess, device, context=context)
        outputs = outputs_of(network, loaded, dtype, batch_size, fill=True, forward=run, room=room).double()
        of_views = outputs.view(len(samples), n_views, settings.n_outputs).unbind(dim=1)
        of_lens = [torch.sigmoid(outputs[:, 0]) for outputs in of_views]
        probs = torch.stack(of_lens).mean(dim=0).cpu().numpy()
        others = torch.stack([outputs[:, 1:] for outputs in of_views])
        if settings.has_uncertainties:
            means, stds = (values.cpu().numpy() for values in gaussians_of(others))
            estimates = np.concatenate(mixture(means, stds), axis=1)
        else:
            estimates = others.mean(dim=0).cpu().numpy()
        finite = np.isfinite(probs) & np.isfinite(estimates).all(axis=1)
        if not finite.all():
            first = samples.table.iloc[int(np.argmin(finite))]
            raise InputError(f"{first['path']}: expected a probability, found one that is not finite")
        yield samples, probs, estimates


def _chunks(
    pieces: Iterable[tuple[PackedSet, Samples]], settings: MemberSettings, step: int
) -> Iterator[tuple[PackedSet, Samples, CutoutContext]]:
    for packed, samples in pieces:
        context = context_of(packed, settings.preprocess)
        for start in range(0, len(samples), step):
            yield packed, samples.part(start, start + step), context


def _in_views(forward: Forward, n_views: int) -> Forward:
    """Give the outputs for each symmetry, one after the other: images are read and prepared once for all."""
    return lambda images: torch.cat([forward(dihedral(images, number)) for number in range(n_views)], dim=1)


def _scaling(
    member_folder: Path, description: MemberDescription, settings: MemberSettings
) -> LensScaling | None:
    """Units of the member's estimates of lens parameters, if it gives some."""
    if settings.lens_parameters is None:
        return None
    scaling = LensScaling.model_validate(description.lens_parameters or {})
    targets = settings.lens_parameters.targets
    if list(scaling.names) != targets:
        raise InputError(
            f"{member_folder}/best.json: expected the units of {', '.join(targets)}, "
            f"found those of {', '.join(scaling.names) or 'none'}"
        )
    return scaling


def _check_size(member_folder: Path, description: MemberDescription, packed: PackedPieces) -> None:
    expected, found = description.size_px, packed.summary.size_px
    if expected != found:
        raise InputError(
            f"{packed.folder}: expected cutouts of {expected} px, on which {member_folder} was trained, "
            f"found {found} px"
        )


def _check_same_split(
    member_folder: Path, description: MemberDescription, packed: PackedPieces, objects_sha256: str
) -> None:
    if description.imported:
        log.warning(
            "%s was trained elsewhere: it may have learnt objects of this split, which flatters its scores",
            member_folder,
        )
        return
    trained_on = (description.cutouts_sha256, description.objects_sha256)
    if trained_on != (packed.summary.sha256[CUTOUTS], objects_sha256):
        raise InputError(
            f"{member_folder}/best.json: expected weights trained on {packed.folder} with this split, "
            "found others; train the member again"
        )
