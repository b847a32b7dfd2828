"""Networks: what they give, what the settings change, and how wrong settings are told."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stronglens.networks.network import build_network, build_to_load
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import NetworkSettings


def build(in_chans: int = 1, size_px: int = 41, seed: int = 0, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(NetworkSettings.model_validate(settings), in_chans, size_px)


@pytest.mark.parametrize("name", ["convnextv2_atto", "convnextv2_nano", "convnextv2_tiny", "resnet10t"])
@pytest.mark.parametrize("in_chans", [1, 5])
def test_one_logit_and_a_gradient_for_every_parameter(name: str, in_chans: int) -> None:
    network = build(in_chans, name=name)
    assert network.training
    images = torch.randn(3, in_chans, 41, 41, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    assert logits.shape == (3, 1)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_equal_seeds_give_equal_weights() -> None:
    first, second, other = (build(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_network_sees_neither_the_batch_nor_chance_when_evaluated() -> None:
    network = build(drop_path=0.5).eval()
    images = torch.randn(4, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[2:3], network(images[2:3]), rtol=0, atol=1e-6)


def test_drop_path_acts_in_training() -> None:
    images = torch.randn(1, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    for drop_path, differs in ((0.0, False), (0.9, True)):
        network = build(drop_path=drop_path)
        with torch.no_grad():
            logits = torch.stack([network(images) for _ in range(4)])
        assert (logits.std() > 1e-6) == differs


@pytest.mark.parametrize("name", ["convnextv2_atto", "resnet10t"])
def test_head_init_scale_multiplies_the_last_layer(name: str) -> None:
    usual, scaled = build(name=name).eval(), build(name=name, head_init_scale=0.25).eval()
    images = torch.randn(2, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(scaled(images), 0.25 * usual(images))


def test_keywords_of_timm_pass_through() -> None:
    assert build(timm={"patch_size": 2}).get_submodule("stem.0").stride == (2, 2)
    vit = build(name="vit_tiny_patch16_224", timm={"img_size": 41, "patch_size": 8})
    assert vit(torch.zeros(2, 1, 41, 41)).shape == (2, 1)


@pytest.mark.parametrize(("key", "off", "on"), [("learnt_softening", None, 0.5), ("band_mask", False, True)])
def test_what_helped_nobody_is_gone_and_members_of_before_are_read(key: str, off: object, on: object) -> None:
    assert NetworkSettings.model_validate({key: off}) == NetworkSettings()
    assert key not in NetworkSettings().model_dump()
    with pytest.raises(ValidationError, match=f"{key}: removed after version 0.2"):
        NetworkSettings.model_validate({key: on})


STAGES = {
    "as it is": ({}, [10, 5, 2, 1]),
    "{patch_size: 2}": ({"patch_size": 2}, [10, 5, 2, 1]),
    "{stem_type: overlap_act}": ({"stem_type": "overlap_act"}, [11, 5, 2, 1]),
    "{patch_size: 3}": ({"patch_size": 3}, [13, 6, 3, 1]),
    "{output_stride: 8}": ({"output_stride": 8}, [10, 5, 5, 5]),
    "{patch_size: 1}": ({"patch_size": 1}, [41, 20, 10, 5]),
}
"""Keywords of timm for ConvNeXt V2, and sides of the stages' features for images of 41 px."""


@pytest.mark.parametrize("name", ["convnextv2_atto", "convnextv2_nano"])
@pytest.mark.parametrize("written", STAGES)
def test_stems_for_small_images_cost_what_the_page_says(written: str, name: str) -> None:
    keywords, sides = STAGES[written]
    network = build(5, name=name, timm=keywords).eval()
    found: list[int] = []
    for number in range(4):
        stage = network.get_submodule(f"stages.{number}")
        stage.register_forward_hook(lambda module, given, features: found.append(features.shape[-1]))
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        assert network(torch.zeros(1, 5, 41, 41)).shape == (1, 1)
    assert found == sides
    # A multiplication and an addition are two operations.
    millions = counter.get_total_flops() / 2 / 1e6
    n_millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    cells = f"{name.removeprefix('convnextv2_')} | {n_millions:.2f} | {millions:.1f} |"
    line = f"| `{written}` | {', '.join(map(str, sides))} | {cells}".replace("`as it is`", "as it is")
    assert line in (Path(__file__).parents[3] / "docs" / "five_bands.md").read_text(), line


@pytest.mark.parametrize("written", ["{stem_type: overlap_act}", "{patch_size: 3}"])
def test_stems_for_small_images_learn(written: str) -> None:
    network = build(5, timm=STAGES[written][0])
    images = torch.randn(2, 5, 41, 41, generator=torch.Generator().manual_seed(0))
    network(images).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_pretrained_weights_are_taken_in_timm_s_own_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    published = timm.create_model("convnextv2_atto", in_chans=3, num_classes=0)
    torch.save(published.state_dict(), tmp_path / "published.pt")
    make = timm.create_model

    def from_file(name: str, **keywords: Any) -> nn.Module:
        overlay = {"file": str(tmp_path / "published.pt")} if keywords.get("pretrained") else None
        return make(name, pretrained_cfg_overlay=overlay, **keywords)

    monkeypatch.setattr(timm, "create_model", from_file)
    network = build(pretrained=True)
    image = torch.randn(2, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        # One channel stands for three equal ones, as timm adapts the first layer.
        expected = published.eval()(image.expand(-1, 3, -1, -1))
        found = network.eval().forward_head(network.forward_features(image), pre_logits=True)  # type: ignore[operator]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_an_unknown_network_is_told_with_names_close_to_it() -> None:
    with pytest.raises(InputError, match=r"no network 'convnextv2_nanno'; it has convnextv2_nano"):
        build(name="convnextv2_nanno")
    with pytest.raises(InputError, match=r"no network 'zzzzzzzz'; for example convnextv2_nano"):
        build(name="zzzzzzzz")


@pytest.mark.parametrize(
    ("settings", "size_px", "message"),
    [
        ({"timm": {"patch_sise": 2}}, 41, "cannot be built with .*patch_sise=2: .*unexpected keyword"),
        ({"name": "vgg11", "drop_path": 0.1}, 41, r"vgg11 cannot be built with .*drop_path_rate=0\.1: "),
        ({"name": "vit_tiny_patch16_224"}, 41, r"does not take images of 1 x 41 x 41 .*: .*41.*224"),
        ({}, 3, r"convnextv2_atto does not take images of 1 x 3 x 3 \(channel, y, x\)"),
        ({"timm": {"global_pool": ""}}, 64, r"expected one logit for each, found an output of shape"),
    ],
)
def test_what_a_network_does_not_take_is_told(settings: dict[str, Any], size_px: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(1, size_px, **settings)


def test_a_network_to_be_loaded_looks_for_no_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = timm.create_model, []

    def watched(name: str, pretrained: bool = False, **keywords: Any) -> nn.Module:
        asked.append(pretrained)
        return create(name, **keywords)

    monkeypatch.setattr(timm, "create_model", watched)
    settings = MemberSettings.model_validate(
        {
            "network": {"name": "resnet10t", "pretrained": True},
            "bands": ["g", "r"],
            "preprocess": {"pad_to_px": 64},
            "lens_parameters": {"targets": ["Rein"]},
        }
    )
    assert build_to_load(settings, 41, 2)(torch.zeros(3, 2, 64, 64)).shape == (3, 1 + 1 + 2)
    assert asked == [False]
    build_network(settings.network, 2, 64)
    assert asked[1:] == [False, True]
