"""What `precision: auto` is on a card: that in which the steps of a member are done first, by measuring."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stronglens.networks.augment import computes_on_pixels
from stronglens.networks.compiled import Compile
from stronglens.networks.device import check_after, compute_a_little
from stronglens.networks.precision import algorithms, autocast_dtype, candidates_for_auto, resolved
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.ways import Candidate, ChoiceFile, Measured, card_of, in_words
from stronglens.settings.train import Precision, TrainSettings
from stronglens.training.mixing import mixes
from stronglens.training.trainer import N_COMPARED, N_TIMED, Trainer, work_of

log = logging.getLogger(__name__)

NEED_NO_COMPILER = ("eager", "whole")
"""Ways in which each precision is tried: those that are set up in seconds."""

FURTHEST = 0.1
"""What is further than that from the losses of the first is refused: that is nonsense, not rounding. float16
passes over the first steps, until its gradients are finite."""


def with_chosen_precision(
    settings: TrainSettings,
    build: Callable[[], nn.Module],
    image_shape: tuple[int, int, int],
    n_samples: int,
    device: torch.device,
    choices: Path | None,
    about: Mapping[str, Any],
    compile_choice: Compile = "auto",
    begun_in: Precision | None = None,
) -> TrainSettings:
    """Settings with the precision that is computed in on this device, which is never `auto`.

    Comes before samples are loaded, as what they are kept in follows from it: so it is measured on noise.
    That in float32 they may have no room on the device where in bfloat16 they have, is not weighed.

    Parameters
    ----------
    settings : TrainSettings
        `auto` is measured on a GPU where training is long enough, equal bytes are not asked for, and there is
        a folder in which the next try of the job finds the choice. Else it is what
        `stronglens.networks.precision.resolved` says.
    build : callable
        Gives the network before its first step, on a CPU.
    image_shape : tuple of int
        What it learns from: (n_channels, height, width).
    n_samples : int
        Samples of training.
    device : torch.device
        What is computed on.
    choices : Path or None
        Folder where jobs share what they have measured.
    about : dict of JSON values
        What the network is, as far as its speed depends on it.
    compile_choice : str
        How steps are to be taken: one of `stronglens.networks.compiled.Compile`.
    begun_in : Precision, optional
        What an earlier try of this training was computed in: `auto` stays that, on another card too, where
        the device has it.

    Raises
    ------
    LostDeviceError
        The GPU does not answer any more.
    """
    tried = candidates_for_auto(device)
    if settings.precision == "auto" and begun_in in tried:
        return _with(settings, begun_in)
    ways = NEED_NO_COMPILER if compile_choice != "never" else NEED_NO_COMPILER[:1]
    n_steps = settings.epochs * math.ceil(n_samples / settings.batch_size)
    # What is tried is to be a small part of what follows.
    long_enough = n_steps >= 50 * len(tried) * len(ways) * (N_COMPARED + N_TIMED)
    measurable = settings.precision == "auto" and not settings.deterministic and choices is not None
    if not measurable or len(tried) == 1 or not long_enough:
        return _with(settings, resolved(device, settings.precision))

    def measure(name: str) -> Measured:
        try:
            return tried_in(*words[name])
        except Exception as error:
            check_after(error, device, compute_a_little)
            raise

    def tried_in(precision: Precision, way: str) -> Measured:
        # Twice through the noise, so that enough steps are timed however few epochs there are.
        own = settings.model_copy(update={"precision": precision, "epochs": max(2, settings.epochs)})
        torch.manual_seed(1)  # alike in all
        samples = _noise(image_shape, N_COMPARED * own.batch_size, device, kept_in(device, own))
        network = build().to(device).to(memory_format=torch.channels_last)
        with algorithms(own):
            found, _ = Trainer(network, samples, samples, own, seed=1).measure(way)
        # Without the set-up: the first pays for all that a process does once.
        return replace(found, setup_s=0.0)

    words = {f"{precision} {way}": (precision, way) for precision in tried for way in ways}
    key = card_of(device) | work_of(settings, n_steps) | {"shape": list(image_shape)} | dict(about)
    kept = ChoiceFile(choices, key | {"precisions": list(words)})
    if (name := kept.read()) in words:
        log.info("precision: taken as other jobs have found to be fastest here: %s", name)
        return _with(settings, words[name][0])
    among = [Candidate(name, name) for name in words]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        choice = kept.choose(among, measure, n_steps, FURTHEST)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    log.info("precision: %s", in_words(choice, among, "images", settings.batch_size))
    # Also where one had no room: all seeds compute alike, and the next try of this job as this one.
    name = kept.keep(choice) if choice.measured else choice.name
    return _with(settings, words.get(name, words[choice.name])[0])


def _with(settings: TrainSettings, precision: Precision) -> TrainSettings:
    return settings.model_copy(update={"precision": precision})


def kept_in(device: torch.device, settings: TrainSettings) -> torch.dtype:
    """What samples live in: what the network casts them to, if nothing is computed on them before."""
    changed_before = computes_on_pixels(settings) or mixes(settings)
    dtype = None if changed_before else autocast_dtype(device, settings.precision)
    return torch.float32 if dtype is None else dtype


def _noise(
    image_shape: tuple[int, int, int], n_samples: int, device: torch.device, dtype: torch.dtype
) -> ResidentSamples:
    """Samples of normal noise, every other one a lens."""
    n_channels, height, width = image_shape
    images = torch.randn((n_samples * n_channels, height, width), device=device).to(dtype)
    rows = torch.arange(n_samples * n_channels, device=device).view(n_samples, n_channels)
    return ResidentSamples(images, rows, (rows[:, 0] // n_channels % 2).float(), has_gaps=False)
