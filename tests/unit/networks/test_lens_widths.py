"""The likelihood that widths are learnt with."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from stronglens.networks.lens_widths import LOG_STD_RANGE, gaussian_losses, gaussians_of, log_stds_of


def drawn(n: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Means, logarithms of widths, targets."""
    generator = torch.Generator().manual_seed(1)
    means, log_stds, targets = torch.randn((3, n, 2), generator=generator, dtype=torch.float64)
    return means, log_stds, targets


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_it_is_the_likelihood_of_pytorch_and_scipy(beta: float) -> None:
    means, log_stds, targets = drawn()
    losses = gaussian_losses(means, log_stds, targets, beta)
    theirs = torch.nn.GaussianNLLLoss(reduction="none")(means, targets, torch.exp(2 * log_stds))
    torch.testing.assert_close(losses, theirs)
    of_scipy = -norm.logpdf(targets.numpy(), means.numpy(), np.exp(log_stds.numpy()))
    assert np.allclose(losses.numpy() + math.log(2 * math.pi) / 2, of_scipy)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_gradients_are_weighted_by_a_power_of_the_width(beta: float) -> None:
    means, log_stds, targets = drawn()
    means.requires_grad_()
    log_stds.requires_grad_()
    gaussian_losses(means, log_stds, targets, beta).sum().backward()
    errors, stds = means.detach() - targets, torch.exp(log_stds.detach())
    assert means.grad is not None
    assert log_stds.grad is not None
    # Seitzer et al. (2022), eq. 5 and 6, the latter by the logarithm of sigma.
    torch.testing.assert_close(means.grad, errors * stds ** (2 * beta - 2))
    torch.testing.assert_close(log_stds.grad, (1 - (errors / stds) ** 2) * stds ** (2 * beta))


def test_widths_stay_within_limits_and_keep_a_gradient() -> None:
    raw = torch.linspace(-20, 20, 401, requires_grad=True)
    log_stds = log_stds_of(raw)
    low, high = LOG_STD_RANGE
    assert low <= log_stds.min() < low + 1e-3
    assert high - 1e-3 < log_stds.max() <= high
    assert (log_stds.diff() >= 0).all()
    inside = torch.linspace(low, high, 41, requires_grad=True)
    log_stds_of(inside).sum().backward()
    assert inside.grad is not None
    assert (inside.grad > 0.4).all()  # a clamp would have none at a limit
    assert log_stds_of(torch.zeros(1)).item() == pytest.approx(0, abs=0.03)  # a new network begins at 1


def test_absurd_outputs_give_a_finite_loss_and_gradient() -> None:
    outputs = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [3.0, -1e30]], requires_grad=True)
    means, raw = outputs.chunk(2, dim=1)
    loss = gaussian_losses(means, log_stds_of(raw), torch.zeros_like(means)).sum()
    loss.backward()
    assert loss.isfinite()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


def test_outputs_are_means_and_then_widths() -> None:
    means, stds = gaussians_of(torch.tensor([[[0.5, -2.0, -1.0, 100.0]]]))
    assert means.tolist() == [[[0.5, -2.0]]]
    assert stds.numpy() == pytest.approx(np.exp([[[-1.0, 3.0]]]))


def test_the_width_that_is_learnt_is_that_of_the_errors() -> None:
    generator = torch.Generator().manual_seed(2)
    targets = 0.7 + 0.25 * torch.randn((4000, 1), generator=generator)
    outputs = torch.zeros((1, 2), requires_grad=True)
    optimiser = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(400):
        means, raw = outputs.expand(len(targets), 2).chunk(2, dim=1)
        optimiser.zero_grad()
        gaussian_losses(means, log_stds_of(raw), targets).mean().backward()
        optimiser.step()
    mean, std = gaussians_of(outputs.detach())
    assert mean.item() == pytest.approx(targets.mean().item(), abs=2e-3)
    assert std.item() == pytest.approx(targets.std().item(), rel=1e-2)
