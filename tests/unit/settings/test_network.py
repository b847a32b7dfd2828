"""Settings of a network: one place that its first weights come from."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.network import NetworkSettings


@pytest.mark.parametrize(
    ("name", "is_on_hub"),
    [
        ("convnextv2_nano", False),
        ("vit_tiny_patch16_224.augreg_in21k", False),
        ("hf_hub:mwalmsley/zoobot-encoder", True),
        ("hf-hub:Owner/name.v2@main", True),
    ],
)
def test_names_of_timm_and_of_the_hub(name: str, is_on_hub: bool) -> None:
    assert NetworkSettings(name=name).is_on_hub == is_on_hub


@pytest.mark.parametrize("name", ["", "ConvNeXt", "a b", "hf_hub:owner", "hf_hub:a/b/c", "../a"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        NetworkSettings(name=name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": "/a", "pretrained": True}, "weights and pretrained: each names weights to start from"),
        ({"weights": "/a", "name": "hf_hub:a/b"}, "name and weights: each names weights"),
        ({"weights_sha256": "0" * 64}, "are of weights, and none are named"),
        ({"weights_licence": "MIT"}, "are of weights, and none are named"),
        ({"timm": {"in_chans": 3, "pretrained": True}}, "set elsewhere: in_chans, pretrained;"),
        ({"band_mask": True}, r"band_mask: removed after version 0\.2"),
        ({"learnt_softening": 0.1}, r"learnt_softening: removed after version 0\.2"),
    ],
)
def test_what_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NetworkSettings.model_validate(given)


def test_files_of_before_are_read_where_what_was_removed_was_off() -> None:
    assert NetworkSettings.model_validate({"band_mask": False, "learnt_softening": None}) == NetworkSettings()


def test_weights_that_are_not_named_are_in_no_record() -> None:
    assert set(NetworkSettings().model_dump(mode="json")) == {
        *("name", "drop_path", "head_init_scale", "pretrained", "timm")
    }
