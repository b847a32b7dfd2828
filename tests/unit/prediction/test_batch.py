"""The batch that is predicted fastest, measured on networks that know how much they bear."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stronglens.networks.ways import (
    ChoiceFile,
    LostDeviceError,
)
from stronglens.prediction import batch


class Unlike(nn.Module):
    """A network that knows how large batches may be."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.flatten(1)[:, :1]


def test_a_batch_of_prediction_is_measured_within_memory_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ChoiceFile(tmp_path, {"card": "any"})
    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, kept, (4, 16, 64))
    size, forward = batch.fastest_batch(Unlike(16), *arguments, compile_choice="never")
    assert size in (4, 16)
    assert forward is None
    monkeypatch.setattr(ChoiceFile, "choose", None)  # the next job measures nothing
    assert batch.fastest_batch(Unlike(16), *arguments)[0] == size


def test_where_compiling_is_demanded_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []

    def compiled(
        network: nn.Module, shape: tuple[int, ...], *given: object, graphs: bool, **more: object
    ) -> Any:
        asked.append((shape[0], graphs))
        return network.forward

    monkeypatch.setattr(batch, "compiled", compiled)
    for choice, graphs in (("always", False), ("graphs", True)):
        arguments = ((1, 3, 3), torch.device("cpu"), None, 10**9, ChoiceFile(None, {}), (4, 16))
        _, forward = batch.fastest_batch(Unlike(16), *arguments, compile_choice=choice)  # type: ignore[arg-type]
        assert forward is not None
        assert asked == [(4, graphs), (16, graphs)]
        asked.clear()


@pytest.mark.parametrize(("n_in_piece", "size"), [(100, 100), (130, 65)])
def test_what_a_batch_is_filled_up_with_costs_time_as_well(
    n_in_piece: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock larger ones are faster: 100 at once take 10 s, 65 of them 7."""
    now = [0.0]

    class Slow(Unlike):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            now[0] += {100: 10.0, 65: 7.0}[len(images)]
            return super().forward(images)

    monkeypatch.setattr(batch.time, "monotonic", lambda: now[0])
    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, ChoiceFile(None, {}), (65, 100))
    found = batch.fastest_batch(Slow(1000), *arguments, n_in_piece=n_in_piece, compile_choice="never")
    assert found[0] == size


def test_of_a_batch_that_was_asked_for_only_compiling_is_measured() -> None:
    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, ChoiceFile(None, {}), (8,))
    assert batch.fastest_batch(Unlike(16), *arguments, compile_choice="never") == (8, None)


def test_a_gpu_that_is_lost_while_batches_are_measured_ends_the_job() -> None:
    """Other batches would only fail as well, and the last of them be taken."""

    def lost(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, ChoiceFile(None, {}))
    with pytest.raises(LostDeviceError, match="goes on from the last saved state"):
        batch.fastest_batch(Unlike(0), *arguments, compile_choice="never", probe=lost)
