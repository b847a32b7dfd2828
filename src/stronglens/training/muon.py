"""Muon: steps of the same size in all directions of a kernel, where AdamW's follow a few of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 5
BETAS = (0.9, 0.95)
SMALLEST = 1e-8


class Muon(torch.optim.Optimizer):
    """Muon for matrices and the kernels of convolutions, and AdamW for all other parameters.

    Parameters
    ----------
    groups : list of dict
        As `matrices_apart` gives them.
    lr : float
        Learning rate. Steps of both kinds are about as large as AdamW's with the same rate.
    weight_decay : float
        Decoupled, on all parameters alike.

    Notes
    -----
    Jordan et al. (2024), https://kellerjordan.github.io/posts/muon: the momentum of the gradient, as a matrix
    of one row per output, is replaced by the nearest one with orthonormal rows or columns, up to the errors
    of five Newton-Schulz iterations. A step is scaled by 0.2 sqrt(longer side), with which its root mean
    square is that of AdamW's steps (Liu et al. 2025, arXiv:2502.16982, eq. 4).

    In single precision, where PyTorch's and timm's are in bfloat16: on a CPU without its instructions theirs
    take many times as long (`benchmarks/optimisers.py`). PyTorch's takes no kernels. No step asks the
    device for anything, so that it can be recorded.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step with the gradients that are there."""
        for group in self.param_groups:
            rate, change = group["lr"], self._orthogonal if group["matrices"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - rate * group["weight_decay"])
                    parameter.sub_(change(parameter, parameter.grad) * rate)

    def _orthogonal(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        matrix = gradient.lerp(momentum, MOMENTUM).flatten(1)
        return orthonormal(matrix).mul(0.2 * max(matrix.shape) ** 0.5).view(parameter.shape)

    def _adam(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            # Not `step`: that of a state that is loaded would not be moved to the device.
            state["n_steps"] = torch.zeros((), device=parameter.device)
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        n_steps = state["n_steps"].add_(1)
        mean: Tensor = state["mean"].lerp_(gradient, 1 - BETAS[0]) / (1 - BETAS[0] ** n_steps)
        square: Tensor = state["square"].lerp_(gradient.square(), 1 - BETAS[1]) / (1 - BETAS[1] ** n_steps)
        return mean / (square.sqrt() + SMALLEST)


def orthonormal(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, whichever are fewer, roughly.

    Parameters
    ----------
    matrix : Tensor of float32, shape (n_rows, n_columns)
        Of any scale.

    Returns
    -------
    Tensor of float32, shape (n_rows, n_columns)
        Its singular values are between 0.6 and 1.2, but for those that were below a few thousandths of the
        largest; its singular vectors are those of the input.
    """
    a, b, c = COEFFICIENTS
    turned = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if turned else matrix
    found = found / (found.norm() + SMALLEST)
    for _ in range(N_ITERATIONS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if turned else found


def matrices_apart(network: nn.Module, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups of parameters, split into those that Muon takes and those that it leaves to AdamW.

    Parameters
    ----------
    network : Module
        As `stronglens.networks.network.build_network` makes it.
    groups : sequence of mappings
        Groups of its parameters for an optimiser.

    Returns
    -------
    list of dict
        The same, each with `matrices`. Vectors are none, nor are kernels that see one channel each, nor the
        last layer, whose rows are few and mean different things.
    """
    classifier: nn.Module = network.get_classifier()  # type: ignore[operator] # every network of timm has it
    last = {id(parameter) for parameter in classifier.parameters()}

    def is_matrix(parameter: nn.Parameter) -> bool:
        return parameter.ndim > 1 and min(parameter.shape[:2]) > 1 and id(parameter) not in last

    split = []
    for group in groups:
        for wanted in (True, False):
            chosen = [parameter for parameter in group["params"] if is_matrix(parameter) == wanted]
            if chosen:
                split.append({**group, "params": chosen, "matrices": wanted})
    return split
