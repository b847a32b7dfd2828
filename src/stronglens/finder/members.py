"""The members of a capsule as networks of PyTorch, computing as the workflow does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import ValidationError
from safetensors.torch import load as load_safetensors
from torch import nn

from stronglens.ensembling.combination import Combination, MemberScores, logit_of
from stronglens.ensembling.lens_estimates import combine_estimates
from stronglens.finder.pixels import Pixels
from stronglens.formats.capsule import MANIFEST, CapsuleMember, Manifest
from stronglens.formats.member_files import refuse_non_finite
from stronglens.formats.packed import CUTOUTS, INDEX, PackedSet, PackSummary
from stronglens.networks.device import choose_device
from stronglens.networks.lens_scaling import LensScaling
from stronglens.networks.mixture import mixture_by_group
from stronglens.networks.network import build_to_load
from stronglens.networks.precision import algorithms, as_trained
from stronglens.networks.samples import make_samples
from stronglens.networks.symmetries import N_SYMMETRIES
from stronglens.prediction.batch import BATCH_SIZE
from stronglens.prediction.predict_member import predict_pieces
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import std_column
from stronglens.sources.names import NO_BAND

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TorchMember:
    """One network.

    Attributes
    ----------
    stated : CapsuleMember
        What it is.
    network : Module
        With its weights, on the device.
    """

    stated: CapsuleMember
    network: nn.Module

    def scores(
        self, pixels: Pixels, bands: list[str], batch_size: int | None, *, each_band: bool
    ) -> tuple[MemberScores, Mapping[str, Floats]]:
        """Probabilities, and estimates of lens parameters, of the objects that have a cutout.

        Parameters
        ----------
        pixels : Pixels
            Their cutouts.
        bands : list of str
            All bands of the capsule.
        batch_size : int or None
            Samples at once.
        each_band : bool
            Whether logits of bands are wanted, one by one.
        """
        device = next(self.network.parameters()).device
        settings = as_trained(device, self.stated.settings, self.stated.trained_in)
        index = pd.DataFrame(
            {
                "object": pixels.objects,
                "band": pixels.bands,
                "path": [f"object {number}" for number in pixels.objects],
                "domain": pixels.domains,
                "label": np.full(len(pixels.objects), -1),
            }
        )
        summary = PackSummary(
            dataset="memory",
            labelled=False,
            size_px=pixels.cutouts.shape[1],
            bands=list(bands),
            n_cutouts=len(index),
            n_objects=index["object"].nunique(),
            sha256=dict.fromkeys((CUTOUTS, INDEX), ""),
        )
        packed = PackedSet(Path("pixels in memory"), pixels.cutouts, index, summary)
        samples = make_samples(index, settings.bands, np.ones(len(index), dtype=bool), bands)
        # As many as there are: filling a batch of 512 up for one object takes as long as 512.
        size = batch_size or max(1, min(BATCH_SIZE, len(samples)))
        n_views = N_SYMMETRIES if self.stated.test_time_augmentation else 1
        probs, outputs = [np.empty(0)], [np.empty((0, settings.n_outputs - 1))]
        with algorithms(settings.train):
            for _, of_chunk, others in predict_pieces(
                self.network, [(packed, samples)], len(samples), settings, device, size, n_views=n_views
            ):
                probs.append(of_chunk)
                outputs.append(others)
        objects, sample_of = np.unique(samples.table["object"].to_numpy(np.int64), return_inverse=True)
        n_samples = np.bincount(sample_of, minlength=len(objects))

        def mean(values: Floats) -> Floats:
            return np.asarray(np.bincount(sample_of, values, len(objects)) / n_samples)

        of_samples = np.concatenate(probs)
        scaling = self.stated.lens_scaling
        estimates: dict[str, Floats] = {}
        if scaling is not None:
            columns = LensScaling(**scaling.model_dump()).columns(np.concatenate(outputs))
            for name in scaling.names:
                width = columns.get(std_column(name))
                if width is None:
                    estimates[name] = mean(columns[name])
                    continue
                estimates[name], estimates[std_column(name)] = mixture_by_group(
                    columns[name], width, sample_of, mean
                )
        names = samples.table["band"].to_numpy(dtype=object)
        found = tuple(sorted(set(names)))
        if not each_band or not {*bands, NO_BAND}.issuperset(found):  # of a stack there is nothing to combine
            return MemberScores(mean(of_samples), (), np.empty((len(objects), 0))), estimates
        of_bands = np.full((len(objects), len(found)), np.nan)
        of_bands[sample_of, [found.index(name) for name in names]] = of_samples
        logits = np.nan_to_num(logit_of(of_bands), nan=0.0)
        return MemberScores(mean(of_samples), found, logits), estimates


class TorchEngine:
    """The members of an ensemble, combined as the workflow does.

    Parameters
    ----------
    told : str
        Where they come from, for errors.
    manifest : Manifest
        How they are combined.
    members : sequence of TorchMember
        In the order of the manifest.
    """

    def __init__(self, told: str, manifest: Manifest, members: Sequence[TorchMember]) -> None:
        self._manifest = manifest
        self._members = members
        try:
            self._combination = Combination.model_validate(manifest.combination)
        except ValidationError as error:
            raise InputError(f"{told}: {MANIFEST}: combination: {error.errors()[0]['msg']}") from error
        found = self._combination
        for fitted in (found.member_weights, found.band_weights):
            if fitted and len(fitted) != len(members):
                raise InputError(
                    f"{told}: {MANIFEST}: combination: expected a weight for each of {len(members)} members, "
                    f"found {len(fitted)}"
                )

    def outputs(self, pixels: Pixels, batch_size: int | None) -> dict[str, Floats]:
        """See `stronglens.finder.engine.Engine.outputs`."""
        each_band = self._combination.settings.combine_bands != "mean"
        bands = list(self._manifest.bands)
        found = [member.scores(pixels, bands, batch_size, each_band=each_band) for member in self._members]
        scores = [of_member for of_member, _ in found]
        combined = self._combination.apply(scores)
        said = {
            "prob": combined.prob,
            "prob_std": combined.prob_std,
            "prob_raw": combined.prob,
            **combined.columns(),
            "members": self._combination.of_members(scores),
            **combine_estimates([estimates for _, estimates in found]),
        }
        for name, factor in self._manifest.width_factors.items():
            said[std_column(name)] = said[std_column(name)] * factor
        present = np.unique(pixels.objects)

        def at_all(values: Floats) -> Floats:
            whole = np.full((*values.shape[:-1], len(pixels.flags)), np.nan)
            whole[..., present] = values
            return whole

        return {name: at_all(values) for name, values in said.items()}


def load_members(
    told: str, manifest: Manifest, read: Callable[[str], bytes], device_name: str
) -> list[TorchMember]:
    """Build the networks of an ensemble, with their weights.

    Parameters
    ----------
    told : str
        Where they come from, for errors.
    manifest : Manifest
        What they are.
    read : callable
        Gives the content of a file of weights by its name.
    device_name : str
        See `stronglens.networks.device.choose_device`.

    Raises
    ------
    InputError
        The device is not there, timm does not know a network, or weights do not fit it.
    """
    device = choose_device(device_name)
    return [
        _load(f"{told}: {member.weights}", member, manifest.size_px, read(member.weights), device)
        for member in manifest.members
    ]


def _load(
    told: str, member: CapsuleMember, size_px: int, content: bytes, device: torch.device
) -> TorchMember:
    settings = member.settings
    network = build_to_load(settings, size_px)
    try:
        weights = load_safetensors(content)
        network.load_state_dict(weights)
    except Exception as error:  # safetensors and PyTorch raise errors of several kinds
        expected = f"{told}: expected the weights of {settings.network.name}"
        raise InputError(f"{expected}, found: {error}") from error
    refuse_non_finite(Path(told), weights)
    return TorchMember(member, network.to(device).to(memory_format=torch.channels_last))
