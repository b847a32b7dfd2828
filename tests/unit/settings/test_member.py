"""Settings of a member: short forms, outputs and channels, and what does not go together."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.member import MemberSettings


def test_names_and_paths_are_short_for_blocks() -> None:
    short = MemberSettings.model_validate({"network": "resnet10t", "init_from": "/a.pt", "bands": ["each"]})
    long = MemberSettings.model_validate({"network": {"name": "resnet10t"}, "init_from": {"path": "/a.pt"}})
    assert short == long
    assert short.bands == "each"


@pytest.mark.parametrize(
    ("given", "in_chans", "n_outputs"),
    [
        ({}, 1, 1),
        ({"bands": ["i"]}, 1, 1),
        ({"bands": ["g", "r", "i"]}, 3, 1),
        ({"lens_parameters": {"targets": ["Rein", "zlens"]}}, 1, 3),
    ],
)
def test_channels_and_outputs(given: dict[str, Any], in_chans: int, n_outputs: int) -> None:
    settings = MemberSettings.model_validate(given)
    assert (settings.in_chans, settings.n_outputs) == (in_chans, n_outputs)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bands": []}, "found no band, or one twice"),
        ({"bands": ["g", "g"]}, "found no band, or one twice"),
        ({"train": {"band_dropout": 0.1}}, r"train\.band_dropout: expected a stack of bands"),
        (
            {"train": {"band_dropout": 0.1, "skip_incomplete": True}, "bands": ["g"]},
            r"train\.band_dropout and train\.skip_incomplete: expected a stack of bands",
        ),
        (
            {"lens_parameters": {"targets": ["Rein"]}, "train": {"mixup_alpha": 1, "cutmix_alpha": 1}},
            r"remove lens_parameters, or train\.mixup_alpha and train\.cutmix_alpha",
        ),
        (
            {"init_from": "/a.pt", "network": {"name": "resnet10t", "pretrained": True}},
            "init_from and network both name weights to start from",
        ),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MemberSettings.model_validate(given)


def test_a_stack_may_drop_bands() -> None:
    assert MemberSettings.model_validate({"train": {"band_dropout": 0.1}, "bands": ["g", "r"]}).in_chans == 2


def test_what_came_later_and_is_off_is_in_no_record() -> None:
    assert set(MemberSettings().model_dump(mode="json")) == {
        "network",
        "bands",
        "domains",
        "preprocess",
        "train",
    }
