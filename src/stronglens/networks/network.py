"""Networks by their name in timm, with a logit as output, and more outputs where they are asked for."""

import difflib
from typing import Any

import timm
import torch
from torch import nn

import stronglens.networks.cutout_resnet  # noqa: F401 - with it timm knows the network by its name
from stronglens.networks.depthwise import fit_kernels
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import NetworkSettings


def build_network(settings: NetworkSettings, in_chans: int, size_px: int, n_outputs: int = 1) -> nn.Module:
    """Build a network and see that it takes the images.

    Parameters
    ----------
    settings : NetworkSettings
        Name in timm, and options.
    in_chans : int
        Channels of an image.
    size_px : int
        Side of the images, in pixels, after padding.
    n_outputs : int
        The logit, and what else is to be estimated.

    Returns
    -------
    Module
        Takes float32 images of shape (n, in_chans, size_px, size_px), gives outputs of shape (n, n_outputs),
        the logit first. In training mode, on the CPU; initial weights are drawn from PyTorch's global
        generator.

    Raises
    ------
    InputError
        timm has no such network, or it does not take the options or the images.
    """
    if settings.is_on_hub:
        raise InputError(
            f"network: {settings.name} was not looked up: training does that; give the network's name in timm"
        )
    if not timm.is_model(settings.name):
        close = difflib.get_close_matches(settings.name, timm.list_models(), n=3)
        raise InputError(
            f"network: timm {timm.__version__} has no network {settings.name!r}"
            + (f"; it has {', '.join(close)}" if close else "; for example convnextv2_nano")
        )
    # Networks without residual branches do not know this keyword at all.
    drop_path = {"drop_path_rate": settings.drop_path} if settings.drop_path > 0 else {}
    keywords: dict[str, Any] = {"num_classes": n_outputs, "in_chans": in_chans, **drop_path, **settings.timm}
    try:
        network: nn.Module = timm.create_model(settings.name, **{**_faster_form(settings.name), **keywords})
        if settings.pretrained:
            # Published weights have the shapes of timm's own form.
            published = timm.create_model(settings.name, pretrained=True, **keywords).state_dict()
            shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
            network.load_state_dict({name: published[name].reshape(shape) for name, shape in shapes.items()})
    except (
        TypeError,
        ValueError,
        RuntimeError,
        AssertionError,
        OSError,
        LookupError,
        AttributeError,
    ) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
        source = " and pretrained weights" if settings.pretrained else ""
        raise InputError(f"network: {settings.name} cannot be built with {shown}{source}: {error}") from error
    if settings.head_init_scale != 1:
        _scale_head(network, settings)
    fit_kernels(network)
    check_input(network, settings.name, in_chans, size_px, n_outputs)
    return network


def build_to_load(settings: MemberSettings, size_px: int, n_more: int = 0) -> nn.Module:
    """Build a member's network for weights that are at hand: no published ones are looked for.

    Parameters
    ----------
    settings : MemberSettings
        Of the member.
    size_px : int
        Side of a cutout in pixels, before padding.
    n_more : int
        Outputs after those that the settings ask for.

    Raises
    ------
    InputError
        See `build_network`.
    """
    network = settings.network.model_copy(update={"pretrained": False})
    side = settings.preprocess.pad_to_px or size_px
    return build_network(network, settings.in_chans, side, settings.n_outputs + n_more)


def _faster_form(name: str) -> dict[str, bool]:
    """Keywords for the faster of two forms that compute the same, where timm has two.

    ConvNeXt's layers over channels can be linear layers or convolutions of 1 x 1 pixel. Measured: one AVX-512
    core, convnextv2_atto, batches of 128, linear against convolution: inference 710 against 418 images/s as
    built, 1,720 against 1,230 channels-last and compiled; training 234 against 234, and 363 against 331.
    """
    return {"conv_mlp": False} if name.startswith("convnext") else {}


def _scale_head(network: Any, settings: NetworkSettings) -> None:
    head = network.get_classifier()
    if not isinstance(head, nn.Linear | nn.Conv2d):
        raise InputError(
            f"network: {settings.name} has no single last layer that head_init_scale could act on, "
            f"found {type(head).__name__}; leave head_init_scale at 1"
        )
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(settings.head_init_scale)


def check_input(network: nn.Module, name: str, in_chans: int, size_px: int, n_outputs: int) -> None:
    """See that a network, on the CPU, takes images of a side.

    Raises
    ------
    InputError
        It does not give its outputs, that many, for each of two such images.
    """
    problem = f"network: {name} does not take images of {in_chans} x {size_px} x {size_px} (channel, y, x)"
    network.eval()
    try:
        with torch.inference_mode():
            outputs = network(torch.zeros(2, in_chans, size_px, size_px))
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise InputError(f"{problem}: {error}") from error
    network.train()
    if outputs.shape != (2, n_outputs):
        expected = "one logit" if n_outputs == 1 else f"{n_outputs} outputs"
        raise InputError(
            f"{problem}: expected {expected} for each, found an output of shape {tuple(outputs.shape)}"
        )
