"""Lens parameters as something to learn beside the label: their targets, their loss, their errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from stronglens.formats.packed import PARAMETERS, PackedSet, read_lens_values, values_of_lenses
from stronglens.networks.forward import outputs_of
from stronglens.networks.lens_scaling import LensScaling, fit_scaling
from stronglens.networks.lens_widths import gaussian_losses, gaussians_of, log_stds_of
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast_dtype
from stronglens.networks.samples import Samples
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import LensParameterSettings, std_column
from stronglens.settings.train import Precision

LEAST_SHARE = 1e-6
"""In place of a batch's sum of weights where nothing in it is known, and the loss is 0."""


@dataclass(frozen=True)
class LensTargets:
    """What is learnt.

    Attributes
    ----------
    values : Tensor of float32, shape (n_samples, n_parameters)
        In standard deviations from the mean; NaN where it is not known. On the samples' device.
    weight : float
        Of the loss, beside that of the label.
    uncertain : bool
        Whether the network gives a width beside each estimate.
    """

    values: Tensor
    weight: float
    uncertain: bool = False

    def loss(self, outputs: Tensor, numbers: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Loss of the estimates of some samples.

        Parameters
        ----------
        outputs : Tensor of float32, shape (n, n_parameters) or (n, 2 n_parameters)
            What the network gives after the logit: estimates, and after them widths, see
            `stronglens.networks.lens_widths.log_stds_of`, where it gives some.
        numbers : Tensor of int64, shape (n,)
            Which samples these are.
        weights : Tensor of float32, shape (n,), optional
            Weight of each sample; all alike if not given.

        Returns
        -------
        total, share : Tensor, scalars
            Sum of the weighted losses of all known values, smooth L1 or with widths the likelihood's, and of
            their weights: the mean loss is `mean_of` the two. An unknown value has no part in either, nor in
            a gradient.
        """
        targets = self.values[numbers]
        known = targets.isfinite()
        # Not a product with the mask: 0 times NaN is NaN, in the gradient too.
        targets = torch.where(known, targets, 0.0)
        if self.uncertain:
            means, raw = outputs.chunk(2, dim=1)
            losses = gaussian_losses(means, log_stds_of(raw), targets)
        else:
            losses = smooth_l1_loss(outputs, targets, reduction="none")
        of_each = known.float() if weights is None else known * weights[:, None]
        return (losses * of_each).sum(), of_each.sum()


def mean_of(total: Tensor, share: Tensor) -> Tensor:
    """The mean loss: 0 where nothing was known, without asking a GPU whether that is so."""
    return total / share.clamp(min=LEAST_SHARE)


@dataclass(frozen=True)
class LensTask:
    """The lens parameters of a member.

    Attributes
    ----------
    settings : LensParameterSettings
        Which, and their weight.
    scaling : LensScaling
        Units of the outputs.
    truth : mapping of str to ndarray of float64, shape (n_samples, n_parameters)
        For each split, in units of the parameters; NaN where it is not known.
    """

    settings: LensParameterSettings
    scaling: LensScaling
    truth: Mapping[str, npt.NDArray[np.float64]]

    def targets(self, split: str, device: torch.device, n_unlabelled: int = 0) -> LensTargets:
        """What is learnt from a split, and from samples that follow and of which nothing is known."""
        values = self.scaling.to_outputs(self.truth[split]).astype(np.float32)
        values = np.pad(values, ((0, n_unlabelled), (0, 0)), constant_values=np.nan)
        return LensTargets(
            torch.from_numpy(values).to(device), self.settings.weight, self.settings.uncertainties
        )

    def errors(
        self, network: nn.Module, samples: LoadedSamples, split: str, precision: Precision, batch_size: int
    ) -> dict[str, dict[str, float | int | None]]:
        """Errors of a network's estimates, over the samples of a split whose value is known.

        Returns
        -------
        dict
            For each parameter n_samples, mean_error and rms_error (estimate minus truth), and rms_of_mean:
            the rms error of always answering the training split's mean; with widths rms_pull, of the errors
            in units of their widths as the network gives them, which are not calibrated. None where no value
            is known.
        """
        dtype = autocast_dtype(samples.rows.device, precision)
        outputs = outputs_of(network, samples, dtype, batch_size)[:, 1:].double()
        if self.settings.uncertainties:
            outputs = torch.cat(gaussians_of(outputs), dim=1)
        estimates, found = self.scaling.columns(outputs.cpu().numpy()), {}
        for number, name in enumerate(self.scaling.names):
            truth = self.truth[split][:, number]
            known = np.isfinite(truth)
            errors = (estimates[name] - truth)[known]
            off_mean = self.scaling.means[number] - truth[known]
            found[name] = {
                "n_samples": len(errors),
                "mean_error": float(errors.mean()) if len(errors) else None,
                "rms_error": _rms(errors),
                "rms_of_mean": _rms(off_mean),
            }
            if self.settings.uncertainties:
                found[name]["rms_pull"] = _rms(errors / estimates[std_column(name)][known])
        return found


def make_lens_task(
    packed: PackedSet, chosen: Mapping[str, Samples], settings: LensParameterSettings | None
) -> LensTask | None:
    """Find what is known of the lenses of each split.

    Parameters
    ----------
    packed : PackedSet
        Where `parameters.parquet` lies.
    chosen : mapping of str to Samples
        Those of each split; the units come from `train`.
    settings : LensParameterSettings or None
        None: there is nothing to learn but the label.

    Raises
    ------
    InputError
        The parameters were changed since they were packed, or no lens of the training split has a value of
        one that is to be learnt.
    """
    if settings is None:
        return None
    known = read_lens_values([packed.folder], settings.targets)
    truth = {
        split: values_of_lenses(known, samples.table["object"], samples.table["label"].to_numpy(np.int64))
        for split, samples in chosen.items()
    }
    # A lens counts once, however many of its bands are samples.
    once = ~chosen["train"].table["object"].duplicated().to_numpy()
    n_known = np.isfinite(truth["train"]).sum(axis=0)
    lacking = [name for name, n in zip(settings.targets, n_known.tolist(), strict=True) if not n]
    if lacking:
        raise InputError(
            f"{packed.folder / PARAMETERS}: expected values of {', '.join(lacking)} for lenses of the "
            "training split, found none; leave them out of lens_parameters.targets, or give parameters.fits"
        )
    return LensTask(settings, fit_scaling(settings.targets, truth["train"][once]), truth)


def _rms(values: npt.NDArray[np.float64]) -> float | None:
    return math.sqrt(float(np.mean(values**2))) if len(values) else None
