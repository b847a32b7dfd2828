"""Weights and their description: what is written is read, and nothing else is."""

import json
from pathlib import Path

import pytest
import torch

from stronglens.formats.member_files import read_member, write_member, write_weights
from stronglens.running.errors import InputError

DESCRIPTION = {"model": "nano", "seed": 42, "settings": {}, "size_px": 41, "in_chans": 1}


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "head.weight": torch.randn(1, 4, generator=generator),
        "steps": torch.tensor(7),
        "half": torch.randn(3, generator=generator).half(),
    }


def test_a_member_is_read_as_written(tmp_path: Path) -> None:
    write_member(tmp_path / "seed_42", weights(), DESCRIPTION)
    description, state_dict = read_member(tmp_path / "seed_42")
    assert description.as_json() == DESCRIPTION | {"format": 1, "weights_sha256": description.weights_sha256}
    assert list(state_dict) == list(weights())
    for name, tensor in weights().items():
        assert state_dict[name].dtype == tensor.dtype
        assert torch.equal(state_dict[name], tensor)


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    # As views of one storage, with strides and gradients: only names and values may count.
    image = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    shared = torch.stack([image, image + 1])
    write_weights(tmp_path / "best.pt", {"a": image, "b": image + 1})
    write_weights(
        tmp_path / "other" / "last.pt",
        {
            "a": torch.nn.Parameter(shared[0].to(memory_format=torch.channels_last)),
            "b": shared[1],
        },
    )
    assert (tmp_path / "best.pt").read_bytes() == (tmp_path / "other" / "last.pt").read_bytes()
    write_weights(tmp_path / "best.pt", {"a": image, "b": image})
    assert (tmp_path / "best.pt").read_bytes() != (tmp_path / "other" / "last.pt").read_bytes()


def test_weights_of_another_member_are_refused(tmp_path: Path) -> None:
    write_member(tmp_path, weights(), DESCRIPTION)
    write_weights(tmp_path / "best.pt", {"head.weight": torch.zeros(1, 4)})
    with pytest.raises(InputError, match=r"best\.pt: expected sha256 .* as .*best\.json states, found"):
        read_member(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.json: expected a JSON file"):
        read_member(tmp_path)
    write_member(tmp_path, weights(), DESCRIPTION)
    (tmp_path / "best.pt").unlink()
    with pytest.raises(InputError, match=r"best\.pt: expected the file"):
        read_member(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    write_member(tmp_path, weights(), DESCRIPTION)
    description = json.loads((tmp_path / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**description, "format": 2}))
    with pytest.raises(InputError, match=r"best\.json: format 2 is newer than this version reads"):
        read_member(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_at_loading(tmp_path: Path, value: float) -> None:
    state = weights()
    state["half"][1] = value
    write_member(tmp_path, state, DESCRIPTION)
    with pytest.raises(
        InputError, match=r"best\.pt: expected finite weights, found NaN.* in half of 3 tensors"
    ):
        read_member(tmp_path)
