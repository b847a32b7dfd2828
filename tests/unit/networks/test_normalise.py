"""Normalisation: of each cutout, of an object, by a fixed stretch, against NumPy's in double precision."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from noisy_sources import make_images
from stronglens.inspecting.cutout_statistics import frame_noise
from stronglens.networks.normalise import (
    _sums_by_halves,
    divisor_of,
    noise_of,
    normalise,
    normalise_cutouts,
    power_of_two,
    quantile,
    row_means,
)
from stronglens.networks.preprocess import preprocess
from stronglens.running.errors import InputError
from stronglens.settings.preprocess import PreprocessSettings


def test_the_original_s_floor_is_added_where_it_is_rounding() -> None:
    scale = torch.tensor([0.0, 1e-12, 0.03, 0.04, 50.0])
    expected = torch.tensor([1.0, 1e-12, 0.03, 0.04 + 1e-6, 50 + 1e-6])
    torch.testing.assert_close(divisor_of(scale), expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("size", [5, 6, 7, 41])
def test_the_noise_is_that_of_the_frame(size: int) -> None:
    images = make_images(9, size)
    found = noise_of(torch.from_numpy(images))[:, 0].numpy()
    # Of an even number of pixels, one of the two in the middle stands for their mean.
    np.testing.assert_allclose(found, frame_noise(images), rtol=0.3 if size < 40 else 0.03)


def test_images_that_are_mostly_constant_keep_a_finite_scale() -> None:
    images = torch.zeros(1, 41, 41)
    images[0, :10] = torch.from_numpy(make_images(1))[0, :10]
    result = preprocess(images, PreprocessSettings(scale="mad"))
    assert result.abs().max() < 100
    assert result.std() > 0.1


@pytest.mark.parametrize("size", [1, 2, 40, 41])
def test_any_size_is_normalised(size: int) -> None:
    result = preprocess(torch.from_numpy(make_images(4, size)), PreprocessSettings())
    assert result.isfinite().all()
    if size > 2:
        torch.testing.assert_close(result.mean(dim=(1, 2)), torch.zeros(4), rtol=0, atol=1e-5)
        torch.testing.assert_close(result.std(dim=(1, 2), correction=0), torch.ones(4), rtol=0, atol=1e-4)


@pytest.mark.parametrize("q", [0.0, 0.005, 0.1, 0.5, 0.6, 0.99, 0.997, 1.0])
@pytest.mark.parametrize("n_pixels", [1, 2, 100, 1681])
def test_quantile_is_that_of_torch(q: float, n_pixels: int) -> None:
    pixels = torch.randn(5, n_pixels, generator=torch.Generator().manual_seed(n_pixels)).exp()
    torch.testing.assert_close(
        quantile(pixels, q), torch.quantile(pixels, q, dim=1, keepdim=True), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("scale", ["std", "mad"])
def test_one_scale_for_an_object_keeps_its_colours(scale: str) -> None:
    images = make_images(4)
    images[1] = 3 * images[0]  # one object, three times as bright in its other band
    objects = np.array([0, 0, 1, 2])
    settings = PreprocessSettings.model_validate(
        {"normalisation": "object", "clip_quantile": None, "scale": scale}
    )
    found = preprocess(torch.from_numpy(images), settings, objects=objects)
    torch.testing.assert_close(found[1], 3 * found[0], rtol=1e-4, atol=1e-5)
    both = np.concatenate([image - np.quantile(image, 0.1) for image in images[:2].astype(np.float64)])

    def median(pixels: npt.NDArray[np.float64]) -> np.float64:
        return np.quantile(pixels, 0.5, method="lower")  # of an even number of pixels

    spread = both.std() if scale == "std" else 1.4826 * median(np.abs(both - median(both)))
    np.testing.assert_allclose(found[:2].numpy().reshape(both.shape), both / spread, rtol=0, atol=1e-4)
    by_itself = preprocess(torch.from_numpy(images), PreprocessSettings(clip_quantile=None))
    torch.testing.assert_close(by_itself[1], by_itself[0], rtol=1e-3, atol=1e-3)  # colours are lost


def test_one_clipping_level_for_an_object() -> None:
    images = make_images(3)
    settings = PreprocessSettings(normalisation="object", clip_quantile=0.9, low_clip_quantile=0.05)
    found = preprocess(torch.from_numpy(images), settings, objects=np.array([7, 7, 7])).numpy()
    above = np.stack([image - np.quantile(image, 0.1) for image in images.astype(np.float64)])
    low, high = np.quantile(above, [0.05, 0.9])
    clipped = np.clip(above, low, high)
    np.testing.assert_allclose(found, clipped / clipped.std(), rtol=0, atol=1e-3)


def test_an_object_is_scaled_the_same_in_any_company() -> None:
    images = torch.from_numpy(make_images(9))
    objects = np.array([4, 4, 4, 5, 6, 6, 7, 7, 7])
    settings = PreprocessSettings(normalisation="object")
    together = preprocess(images, settings, objects=objects)
    for number in (4, 5, 6, 7):
        chosen = torch.from_numpy(objects == number)
        alone = preprocess(images[chosen], settings, objects=objects[objects == number])
        assert torch.equal(alone, together[chosen])
    order = np.array([8, 3, 1, 0, 5, 7, 2, 4, 6])
    shuffled = preprocess(images[order], settings, objects=objects[order])
    torch.testing.assert_close(shuffled, together[order], rtol=1e-5, atol=1e-5)
    assert preprocess(torch.full((2, 9, 9), 5.0), settings, objects=np.array([0, 0])).abs().max() == 0


def test_asinh_has_a_softening_for_each_band() -> None:
    images = make_images(3)
    settings = PreprocessSettings(
        normalisation="asinh", asinh_softening=0.2, asinh_softening_of_band={"g": 0.05}, pad_to_px=43
    )
    found = preprocess(torch.from_numpy(images), settings, bands=["r", "g", "y"]).numpy()
    expected = np.arcsinh(images.astype(np.float64) / np.array([0.2, 0.05, 0.2])[:, None, None])
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected, rtol=1e-6, atol=1e-6)
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("n_pixels", [1, 2, 3, 40, 1681])
def test_means_as_on_a_gpu_do_not_depend_on_the_other_rows(n_pixels: int) -> None:
    """There a reduction adds in another order for another number of rows, or another place of the row."""
    pixels = torch.randn(7, n_pixels, generator=torch.Generator().manual_seed(1))
    sums = _sums_by_halves(pixels)
    for number, row in enumerate(pixels):
        assert torch.equal(_sums_by_halves(row[None]), sums[number : number + 1])
    torch.testing.assert_close(sums[:, 0], pixels.sum(dim=1), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("clip", [None, 0.9])
@pytest.mark.parametrize("scale", ["std", "mad"])
def test_a_cutout_is_centred_and_scaled_by_itself(scale: str, clip: float | None) -> None:
    """Five pixels worked out by hand: 10, 20, 30, 40 and a bright 110, of which 10 is the background."""
    image = torch.tensor([30.0, 10.0, 110.0, 20.0, 40.0]).view(1, 1, 5)
    settings = PreprocessSettings.model_validate({"scale": scale, "clip_quantile": clip})
    # Without the background 0, 10, 20, 30, 100; the quantile 0.9 is 30 + 0.6 x 70 = 72.
    above = np.array([20, 0, 100 if clip is None else 72, 10, 30], dtype=np.float64)
    if scale == "std":
        centre, spread = above.mean(), above.std()
    else:
        centre, spread = 20.0, 1.4826 * 10  # deviations 0, 20, 80 (52), 10, 10
    found = normalise_cutouts(image, settings)[0, 0].numpy()
    np.testing.assert_allclose(found, (above - centre) / spread, rtol=0, atol=2e-6)


def test_the_way_is_chosen_by_the_settings() -> None:
    images = torch.from_numpy(make_images(2))
    plain = PreprocessSettings()
    assert torch.equal(normalise(images, plain, None, None), normalise_cutouts(images, plain))
    stretched = PreprocessSettings(normalisation="asinh", asinh_softening=2.0)
    torch.testing.assert_close(normalise(images, stretched, ["g", "r"], None), torch.asinh(images / 2))
    of_object = PreprocessSettings(normalisation="object", clip_quantile=None)
    found = normalise(images, of_object, None, np.array([3, 3]))
    assert found.std(correction=0).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "bands", "named"),
    [
        ({"asinh_softening_of_band": {"g": 0.1}}, ["g", "y", "r"], "found none for band r, y"),
        ({"asinh_softening_in_noise": 1.0}, ["g", "r"], "found none for band g, r"),
    ],
)
def test_a_stretch_needs_softenings_in_counts(
    settings: dict[str, object], bands: list[str], named: str
) -> None:
    stretched = PreprocessSettings.model_validate({"normalisation": "asinh", **settings})
    images = torch.zeros(len(bands), 3, 3)
    with pytest.raises(InputError, match=f"expected softenings in counts, measured in training, {named}"):
        normalise(images, stretched, bands, None)


def test_powers_of_two_lie_just_below_the_largest_value() -> None:
    rows = torch.tensor([[0.0, 0.0], [1.0, -0.5], [3.9, 1.0], [-4.0, 2.0], [0.0, 1e-30], [-1e38, 1e30]])
    expected = [1.0, 1.0, 2.0, 4.0, 2.0**-100, 2.0**126]
    assert power_of_two(rows)[:, 0].tolist() == expected


def test_means_on_a_cpu_are_those_of_the_rows() -> None:
    rows = torch.tensor([[1.0, 2.0, 6.0], [-1.0, 0.0, 1.0]])
    assert row_means(rows).tolist() == [[3.0], [0.0]]
