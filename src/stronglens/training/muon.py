"""Muon: steps of the same size in all directions of a kernel, where AdamW's follow a few of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

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
    take many times as long (`benchmarks/optimisers.py`). PyTorch's takes no kernels. Matrices of one shape
    are worked on together, and all other parameters by one kernel: a step of a small network is hundreds of
    operations otherwise, more than forward and backward have. No step asks the device for anything, so that
    it can be recorded; but a `GradScaler` does before it.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step with the gradients that are there."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["matrices"]:
                alike: dict[torch.Size, list[Tensor]] = {}
                for parameter in parameters:
                    alike.setdefault(parameter.shape, []).append(parameter)
                for those in alike.values():
                    self._orthogonal(those, group["lr"], group["weight_decay"])
            elif parameters:
                self._adam(parameters, group["lr"], group["weight_decay"])

    def _orthogonal(self, parameters: list[Tensor], rate: float | Tensor, weight_decay: float) -> None:
        gradients = _gradients(parameters)
        momenta = []
        for parameter, gradient in zip(parameters, gradients, strict=True):
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            momenta.append(state["momentum"].lerp_(gradient, 1 - MOMENTUM))
        matrices = torch.stack(gradients).lerp(torch.stack(momenta), MOMENTUM).flatten(2)
        directions = orthonormal(matrices) * (0.2 * max(matrices.shape[1:]) ** 0.5)
        # The rate last, and by itself: the same bits whether it is a number or lies on the device.
        changes = directions.add(torch.stack(parameters).flatten(2), alpha=weight_decay) * rate
        for parameter, change in zip(parameters, changes, strict=True):
            parameter.sub_(change.view(parameter.shape))

    def _adam(self, parameters: list[Tensor], rate: float | Tensor, weight_decay: float) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                # Not `step`: that of a state that is loaded would not be moved to the device.
                state["n_steps"] = torch.zeros((), device=parameter.device)
                state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        mean, square, n_steps = (
            [self.state[parameter][name] for parameter in parameters]
            for name in ("mean", "square", "n_steps")
        )
        adamw(
            parameters,
            _gradients(parameters),
            mean,
            square,
            [],
            n_steps,
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=rate,
            weight_decay=weight_decay,
            eps=SMALLEST,
            maximize=False,
        )


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def orthonormal(matrices: Tensor) -> Tensor:
    """The nearest matrices with orthonormal rows or columns, whichever are fewer, roughly.

    Parameters
    ----------
    matrices : Tensor of float32, shape (n, n_rows, n_columns)
        Of any scale, each its own.

    Returns
    -------
    Tensor of float32, shape (n, n_rows, n_columns)
        Their singular values are between 0.6 and 1.2, but for those that were below a few thousandths of the
        largest of the same matrix; their singular vectors are those of the input.
    """
    a, b, c = COEFFICIENTS
    turned = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if turned else matrices
    found = found / (torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True) + SMALLEST)
    for _ in range(N_ITERATIONS):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.mT if turned else found


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
