"""The graph of an ensemble prepares pixels as packing and networks do."""

from typing import Any

import numpy as np
import pytest
import torch

from stronglens.settings.preprocess import PreprocessSettings


@pytest.mark.parametrize(
    "preprocess",
    [
        {"normalise": False},
        {"smoothing": "psf", "psf_target_fwhm_px": 5, "psf_input_fwhm_px": {"unknown": 3.5}},
        {
            "smoothing": "guided",
            "guided_eps": 0.01,
            "low_clip_quantile": 0.01,
            "scale": "mad",
            "pad_to_px": 40,
        },
        {"smoothing": "gaussian", "clip_quantile": None},
        {"normalisation": "object", "scale": "mad", "low_clip_quantile": 0.005},
        {"normalisation": "asinh", "asinh_softening": 0.3, "asinh_softening_of_band": {"i": 1.0}},
    ],
)
def test_the_graph_prepares_pixels_as_networks_are_shown_them(preprocess: dict[str, Any]) -> None:
    from stronglens.finder import onnx_graph
    from stronglens.networks.preprocess import preprocess as of_networks

    settings = PreprocessSettings.model_validate(preprocess)
    generator = np.random.default_rng(0)
    images = generator.gamma(0.5, 3, (6, 5, 33, 33)).astype(np.float32) + generator.normal(0, 1, (6, 5, 1, 1))
    images = images.astype(np.float32)
    images[1, 3:], images[2, 0], images[3, 1:] = np.nan, np.nan, np.nan
    clean, good = onnx_graph._as_packed(torch.from_numpy(images), "reject")
    found = onnx_graph._preprocess(clean, good, settings, list("grizy"))
    objects, bands = np.nonzero(good.numpy())
    names = np.array(list("grizy"), dtype=object)[bands]
    expected = of_networks(clean[good], settings, ["unknown"] * len(bands), names, objects)
    assert torch.equal(good, ~torch.from_numpy(images).isnan().any(dim=(2, 3)))
    assert float((found[good] - expected).abs().max()) < 1e-5
    assert not found[~good].any()


def test_the_graph_fills_pixels_as_packing_does() -> None:
    from stronglens.finder import onnx_graph
    from stronglens.finder.pixels import from_images

    generator = np.random.default_rng(0)
    images = generator.normal(0, 1, (40, 1, 9, 9))
    for number, image in enumerate(images):
        image.reshape(-1)[generator.permutation(81)[: 2 * number]] = np.nan if number % 2 else np.inf
    expected = from_images(images, "g", ["g"], 9, "fill", "unknown")
    found, good = onnx_graph._as_packed(torch.from_numpy(images).float(), "fill")
    assert good[:, 0].nonzero().flatten().tolist() == expected.objects.tolist() == list(range(21))
    assert np.abs(found[good].numpy() - expected.cutouts).max() < 1e-6
