"""Compiled networks: the same results in less time, where that is worth the time of compiling."""

import functools
import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from stronglens.networks.device import check_after, compute_a_little, first_line
from stronglens.networks.precision import autocast

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
"""Takes images of shape (n, n_channels, height, width), gives outputs of shape (n, n_outputs): the logit
first."""

Compile = Literal["auto", "always", "graphs", "whole", "whole_compiled", "never"]
"""auto: on a GPU the fastest way of all, found by measuring; on a CPU compiled where that is worth it.
always: compiled. graphs: compiled, and on a GPU replayed as CUDA graphs. whole, whole_compiled: a whole step
of training, not only the network, replayed as one CUDA graph."""

WORTH_COMPILING_FROM = 50_000
"""So many samples through a network are worth compiling it.

Measured: convnextv2_atto, rates are medians of 5. Two AVX2 cores: for learning, compiling takes 71 s and
gives 244 images/s instead of 170, paid back by 40,000 images; for prediction 35 s, and 1,086 instead of 629,
by 52,000. Two AVX-512 cores: 44 s, 769 and 540, by 81,000; 21 s, 3,172 and 1,074, by 35,000.
One fixed number all the same: equal runs make equal choices and give equal bytes.
"""


def is_worth_compiling(choice: Compile, n_samples: int) -> bool:
    """Whether a network should be compiled that so many samples, epochs counted, are going to pass."""
    return choice in ("always", "graphs") or (choice == "auto" and n_samples >= WORTH_COMPILING_FROM)


def compiled(
    network: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    learn: bool,
    graphs: bool = False,
    probe: Callable[[torch.device], None] = compute_a_little,
) -> Forward:
    """Compile a network for batches of one shape; batches of another shape pass it as it is.

    Where it cannot be compiled (no C++ compiler, say), that is said and the network runs as it is, also if
    that turns out later.

    Parameters
    ----------
    network : Module
        Lies on the device. It is not changed, nor are PyTorch's generators.
    shape : tuple of int
        Shape of a batch: (n, n_channels, height, width).
    device : torch.device
        Where it runs.
    dtype : torch.dtype or None
        See `stronglens.networks.precision.autocast`.
    learn : bool
        Compile for learning, gradients included; else for `inference_mode` and a network in evaluation mode.
    graphs : bool
        On a GPU, record each pass as a CUDA graph and replay it: one launch instead of hundreds. On a CPU
        nothing changes.
    probe : callable
        Shows after a failure whether the device still works.

    Returns
    -------
    callable
        Follows the network: its weights, and whether it is in training mode.

    Raises
    ------
    LostDeviceError
        Compiling has failed in a way after which the device computes no more.
    OutOfMemoryError
        The device has no room for it.
    """
    # Dropped paths are drawn as the network itself would draw them.
    fast = torch.compile(
        network, dynamic=False, options={"fallback_random": True, "triton.cudagraphs": graphs}
    )
    try:
        _try_out(fast, network, shape, device, dtype, learn=learn, graphs=graphs)
    except Exception as error:  # noqa: BLE001 - of Triton, graph trees, subprocesses: any kind
        _fall_back(error, device, probe)
        return network
    works = True

    def forward(images: Tensor) -> Tensor:
        nonlocal works
        if works and tuple(images.shape) == shape:
            try:
                if graphs:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                logits: Tensor = fast(images)
                # The next replay writes its logits where these lie.
                return logits.clone() if graphs else logits
            except Exception as error:  # noqa: BLE001
                _fall_back(error, device, probe)
                works = False
        whole: Tensor = network(images)
        return whole

    return forward


def _try_out(
    fast: Forward,
    network: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    learn: bool,
    graphs: bool,
) -> None:
    """Run a batch of zeros through, so that all is compiled; leave no trace in the network.

    CUDA graphs are recorded in the second run and replayed from the third on.
    """
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    was_training = network.training
    network.train(learn)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for _ in range(3 if graphs else 1):
                if graphs:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                network.zero_grad(set_to_none=True)
                # Images as they will be: of the same layout, and made in the same mode.
                with torch.inference_mode(not learn), autocast(device, dtype):
                    logits = fast(torch.zeros(shape, device=device))
                if learn:
                    logits.float().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        network.zero_grad(set_to_none=True)
        network.load_state_dict(before)  # averages of batch normalisation, where a network has them
        network.train(was_training)


def _fall_back(error: Exception, device: torch.device, probe: Callable[[torch.device], None]) -> None:
    """Say that the network runs as it is; raise where it cannot."""
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    check_after(error, device, probe)
    _say_once(
        f"the network cannot be compiled here, it runs as it is, slower: {type(error).__name__}: "
        + first_line(error)
    )


@functools.cache
def _say_once(message: str) -> None:
    """Training compiles for learning and for scoring: both fail for the same reason."""
    log.warning(message)
