"""The widths of estimated lens parameters: standard deviations, as a network gives them."""

import torch
from torch import Tensor

LOG_STD_RANGE = (-5.0, 3.0)
"""Limits of the natural logarithm of a width, in standard deviations of the parameter: 0.7 % and 20. A width
that goes to 0 makes the loss of the next error infinite."""

_CENTRE = (LOG_STD_RANGE[0] + LOG_STD_RANGE[1]) / 2
_HALF = (LOG_STD_RANGE[1] - LOG_STD_RANGE[0]) / 2

BETA = 0.5
"""Of `gaussian_losses`; the value that its authors advise."""


def log_stds_of(outputs: Tensor) -> Tensor:
    """Natural logarithms of widths, within `LOG_STD_RANGE`, from the outputs of a network; of the same shape.

    Near the middle of the range this is the output itself. A clamp would give outputs beyond a limit no
    gradient, and they would stay there; this bends towards the limits.
    """
    return _CENTRE + _HALF * torch.tanh((outputs - _CENTRE) / _HALF)


def gaussian_losses(means: Tensor, log_stds: Tensor, targets: Tensor, beta: float = BETA) -> Tensor:
    """Negative log-likelihood of each target under its Gaussian, with gradients weighted by sigma^(2 beta).

    Parameters
    ----------
    means, log_stds : Tensor of float32, shape (n, n_parameters)
        Of the Gaussians; natural logarithms.
    targets : Tensor of float32, shape (n, n_parameters)
        Without NaN.
    beta : float
        0: the likelihood as it is. 1: gradients of the means are those of the squared error.

    Returns
    -------
    Tensor of float32, shape (n, n_parameters)
        The likelihood as it is, without the constant log(2 pi) / 2: it may be negative, and falls as a
        network gets better, which weighted by sigma^(2 beta) it need not. Its gradients are weighted.

    Notes
    -----
    Seitzer, Tavakoli, Antic & Martius (2022), On the Pitfalls of Heteroscedastic Uncertainty Estimation with
    Probabilistic Neural Networks, ICLR 2022, eq. 4: with the likelihood alone the gradient of a mean is the
    error / sigma^2, so what a network is unsure of it hardly learns. No gradient goes through the weight.
    """
    losses = 0.5 * ((targets - means) * torch.exp(-log_stds)) ** 2 + log_stds
    weighted = losses * torch.exp(2 * beta * log_stds.detach())
    return losses.detach() + (weighted - weighted.detach())


def gaussians_of(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Means and widths, in standard deviations of the parameters.

    Parameters
    ----------
    outputs : Tensor, shape (..., 2 n_parameters)
        What a network gives after the logit: all means, then what `log_stds_of` takes.

    Returns
    -------
    means, stds : Tensor, shape (..., n_parameters)
    """
    means, raw = outputs.chunk(2, dim=-1)
    return means, torch.exp(log_stds_of(raw))
