"""Compiled networks: the same results in less time, where that is worth the time of compiling."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stronglens.networks.device import check_after, compute_a_little, first_line
from stronglens.networks.precision import autocast
from stronglens.networks.ways import Candidate, Measured, choose

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
"""Takes images of shape (n, n_channels, height, width), gives outputs of shape (n, n_outputs): the logit
first."""

Compile = Literal["auto", "always", "graphs", "whole", "whole_compiled", "never"]
"""auto: on a GPU the fastest way of all, found by measuring; on a CPU compiled where that saves time, by
estimate. always:
compiled. graphs: compiled, and on a GPU replayed as CUDA graphs. whole, whole_compiled: a whole step of
training, not only the network, replayed as one CUDA graph."""

EAGER, COMPILED = Candidate("eager", "eager"), Candidate("compiled", "compiled")
"""Ways to run a network on a CPU."""


@dataclass(frozen=True)
class Rates:
    """Of convnextv2_atto on two threads: seconds to compile it, images/s eager and compiled."""

    compile_s: float
    eager: float
    compiled: float


LEARNING, LOOKING = Rates(56.0, 303.0, 433.0), Rates(27.0, 822.0, 1856.0)
"""Measured: geometric means over two machines, medians of 5. Two AVX2 cores: learning 71 s, 170 and 244;
prediction 35 s, 629 and 1,086. Two AVX-512 cores: 44 s, 540 and 769; 21 s, 1,074 and 3,172."""
_ATTO_FLOP, _ATTO_LAYERS, _THREADS = 26.2e6, 137, 2
"""What these were measured with: operations for an image of 41 pixels, layers, threads."""


def estimated(
    network: nn.Module, image_shape: tuple[int, int, int], *, learn: bool, n_threads: int
) -> dict[str, Measured]:
    """What `EAGER` and `COMPILED` are thought to cost on a CPU: seconds of set-up, and seconds an image.

    Parameters
    ----------
    network : Module
        It is shown one empty image, and stays as it is.
    image_shape : tuple of int
        (n_channels, height, width).
    learn : bool
        Whether it is to learn; else it only predicts.
    n_threads : int
        Threads that compute.

    Notes
    -----
    Estimated, and not measured as on a GPU: by the clock equal runs would make unequal choices, and a CPU
    is to give equal bytes again. Time for an image is taken to grow with its operations (of convolutions and
    products), time to compile with the number of layers.
    """
    rates = LEARNING if learn else LOOKING
    layers = sum(not list(module.children()) for module in network.modules())
    atto_images = n_operations(network, image_shape) / _ATTO_FLOP * _THREADS / n_threads
    return {
        EAGER.name: Measured(0.0, atto_images / rates.eager),
        COMPILED.name: Measured(rates.compile_s * layers / _ATTO_LAYERS, atto_images / rates.compiled),
    }


def worth_compiling(
    choice: Compile, network: nn.Module, image_shape: tuple[int, int, int], n_images: int, *, learn: bool
) -> bool:
    """Whether to compile a network for so many images, epochs counted: by demand, or on a CPU by estimate.

    On a GPU by demand alone: what is fastest there is measured. For the other parameters see `estimated`.
    """
    if choice != "auto":
        return choice in ("always", "graphs")
    if next(network.parameters()).device.type != "cpu":
        return False
    costs = estimated(network, image_shape, learn=learn, n_threads=torch.get_num_threads())
    return choose((EAGER, COMPILED), costs.__getitem__, n_images).name == COMPILED.name


def n_operations(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Additions and multiplications of a network's convolutions and products for one image; runs it on a CPU.

    `image_shape` is (n_channels, height, width).
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network(torch.zeros((1, *image_shape)))
    finally:
        network.train(was_training)
    return int(counter.get_total_flops())


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
    return _Compiled(fast, network, shape, device, graphs, probe)


class _Compiled:
    """A compiled network, and the network itself for batches of another shape, or once the other fails.

    `works` is false from then on.
    """

    def __init__(
        self,
        fast: Forward,
        network: nn.Module,
        shape: tuple[int, ...],
        device: torch.device,
        graphs: bool,
        probe: Callable[[torch.device], None],
    ) -> None:
        self._fast, self._network, self._shape = fast, network, shape
        self._device, self._graphs, self._probe = device, graphs, probe
        self.works = True

    def __call__(self, images: Tensor) -> Tensor:
        if self.works and tuple(images.shape) == self._shape:
            try:
                if self._graphs:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                logits: Tensor = self._fast(images)
                # The next replay writes its logits where these lie.
                return logits.clone() if self._graphs else logits
            except Exception as error:
                # While a graph is recorded the device cannot be asked: who records it deals with this.
                if self._device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                    raise
                _fall_back(error, self._device, self._probe)
                self.works = False
        whole: Tensor = self._network(images)
        return whole


def runs_compiled(forward: Forward) -> bool:
    """Whether that is a compiled network, and has not failed."""
    return isinstance(forward, _Compiled) and forward.works


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
