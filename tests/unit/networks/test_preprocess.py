"""Preprocessing against a slow version of each step in NumPy and SciPy, and against known values."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from noisy_sources import make_images
from stronglens.networks.preprocess import CutoutContext, preprocess, preprocess_all
from stronglens.settings.preprocess import PreprocessSettings

CPU = torch.device("cpu")
Image = npt.NDArray[np.float64]


def slow_gaussian(image: Image, sigma: float) -> Image:
    radius = math.ceil(3 * sigma)
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="constant", cval=0, radius=radius))


def slow_guided(image: Image, radius: int, eps: float) -> Image:
    def mean(values: Image) -> Image:
        surrounded = np.pad(values, radius, constant_values=np.nan)
        windows = sliding_window_view(surrounded, (2 * radius + 1, 2 * radius + 1))
        return np.asarray(np.nanmean(windows, axis=(2, 3)))

    variance = mean(image**2) - mean(image) ** 2
    slope = variance / (variance + eps)
    return mean(slope) * image + mean(mean(image) * (1 - slope))


def slow_noise(image: Image) -> float:
    inside = np.zeros(image.shape, dtype=bool)
    inside[3:-3, 3:-3] = True
    frame = image[~inside]

    def median(pixels: Image) -> np.float64:
        return np.quantile(pixels, 0.5, method="lower")  # of an even number of pixels

    return float(1.4826 * median(np.abs(frame - median(frame))))


def slow_normalise(image: Image, *, high: float | None, low: float | None, mad: bool) -> Image:
    image = image - np.quantile(image, 0.1)
    # The rank is rounded as the pipeline has to: q is a float32 there.
    top = math.inf if high is None else np.quantile(image, float(np.float32(high)))
    bottom = -math.inf if low is None else np.quantile(image, float(np.float32(low)))
    image = np.clip(image, bottom, top)
    if mad:
        centre, scale = np.median(image), 1.4826 * np.median(np.abs(image - np.median(image)))
    else:
        centre, scale = image.mean(), image.std()
    floor = 1e-6 if scale * 3e-5 >= 1e-6 else 0  # the original's, where it is rounding
    return np.asarray((image - centre) / (scale + floor))


def slow_pad(image: Image, side: int) -> Image:
    padded = np.zeros((side, side))
    start = (side - len(image)) // 2
    padded[start : start + len(image), start : start + len(image)] = image
    return padded


def slow(image: npt.NDArray[np.float32], settings: PreprocessSettings, domain: str) -> Image:
    result = image.astype(np.float64)
    if settings.smoothing == "gaussian":
        result = slow_gaussian(result, settings.gaussian_sigma_px)
    if settings.smoothing == "guided":
        eps = settings.guided_eps or settings.guided_eps_in_noise * slow_noise(result) ** 2
        result = slow_guided(result, settings.guided_radius_px, eps)
    if settings.smoothing == "psf":
        before = next((fwhm for name, fwhm in settings.psf_input_fwhm_px.items() if name == domain), math.inf)
        after = settings.psf_target_fwhm_px or 0.0
        if before < after:
            result = slow_gaussian(result, math.sqrt(after**2 - before**2) / 2.354820045)
    if settings.normalise:
        result = slow_normalise(
            result,
            high=settings.clip_quantile,
            low=settings.low_clip_quantile,
            mad=settings.scale == "mad",
        )
    return result if settings.pad_to_px is None else slow_pad(result, settings.pad_to_px)


VARIANTS: dict[str, dict[str, Any]] = {
    "raw": {"normalise": False},
    "norm": {},
    "norm_noclip": {"clip_quantile": None},
    "norm_lowclip": {"low_clip_quantile": 0.005},
    "norm_lowclip_only": {"clip_quantile": None, "low_clip_quantile": 0.3},
    "norm_clip_lowest": {"clip_quantile": 0.6},
    "norm_mad": {"scale": "mad"},
    "gauss1_norm": {"smoothing": "gaussian", "gaussian_sigma_px": 1.0},
    "gauss08_norm_pad64": {"smoothing": "gaussian", "gaussian_sigma_px": 0.8, "pad_to_px": 64},
    "gauss_wider_than_image": {"smoothing": "gaussian", "gaussian_sigma_px": 20.0},
    "guided_norm": {"smoothing": "guided"},
    "guided_in_noise": {"smoothing": "guided", "guided_eps_in_noise": 1.5, "scale": "mad"},
    "guided_as_the_original": {"smoothing": "guided", "guided_eps": 0.01},
    "guided_raw": {"smoothing": "guided", "guided_radius_px": 3, "guided_eps": 0.5, "normalise": False},
    "psf_norm": {
        "smoothing": "psf",
        "psf_target_fwhm_px": 4.5,
        "psf_input_fwhm_px": {"hsc": 3.6, "slsim": 4.5},
    },
    "pad64_raw": {"normalise": False, "pad_to_px": 64},
    "all": {
        "smoothing": "gaussian",
        "low_clip_quantile": 0.01,
        "clip_quantile": 0.99,
        "scale": "mad",
        "pad_to_px": 50,
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_slow_version(variant: str) -> None:
    settings = PreprocessSettings.model_validate(VARIANTS[variant])
    images = make_images()
    domains = ["hsc", "slsim", "unknown"] * 2
    expected = np.stack(
        [slow(image, settings, domain) for image, domain in zip(images, domains, strict=True)]
    )
    found = preprocess(torch.from_numpy(images), settings, domains)
    assert found.dtype == torch.float32
    # 1e-5 of the largest value: float32 has no more.
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_the_input_is_not_changed() -> None:
    images = torch.from_numpy(make_images())
    before = images.clone()
    for settings in VARIANTS.values():
        preprocess(images, PreprocessSettings.model_validate(settings), ["hsc"] * len(images))
    assert torch.equal(images, before)


def test_gaussian_of_a_point_is_the_kernel() -> None:
    images = torch.zeros(1, 9, 9)
    images[0, 4, 4] = 1
    smoothed = preprocess(images, PreprocessSettings(smoothing="gaussian", normalise=False))[0]
    assert smoothed.sum().item() == pytest.approx(1, abs=1e-6)
    assert smoothed[0].abs().max() == 0  # beyond three standard deviations
    ratio = (smoothed[4, 5] / smoothed[4, 4]).item(), (smoothed[5, 5] / smoothed[4, 4]).item()
    assert ratio == pytest.approx((math.exp(-0.5), math.exp(-1)), abs=1e-6)


def test_gaussian_loses_flux_at_the_border() -> None:
    smoothed = preprocess(torch.ones(1, 21, 21), PreprocessSettings(smoothing="gaussian", normalise=False))
    assert smoothed[0, 10, 10].item() == pytest.approx(1, abs=1e-6)
    kernel = [math.exp(-0.5 * offset**2) for offset in range(-3, 4)]
    inside = sum(kernel[3:]) / sum(kernel)
    assert smoothed[0, 0, 0].item() == pytest.approx(inside**2, abs=1e-6)


def test_psf_smoothing_adds_widths_in_quadrature() -> None:
    y, x = np.mgrid[:61, :61] - 30.0
    before, after = 4.0, 7.0
    sigma = before / 2.354820045
    star = np.exp(-(x**2 + y**2) / (2 * sigma**2)).astype(np.float32)
    settings = PreprocessSettings(
        smoothing="psf", psf_target_fwhm_px=after, psf_input_fwhm_px={"hsc": before}, normalise=False
    )
    smoothed = preprocess(torch.from_numpy(star)[None], settings, ["hsc"])[0].numpy()
    variance = (smoothed * x**2).sum() / smoothed.sum()
    assert math.sqrt(variance) * 2.354820045 == pytest.approx(after, rel=0.01)


def test_psf_smoothing_needs_domains() -> None:
    settings = PreprocessSettings(smoothing="psf", psf_target_fwhm_px=4.5, psf_input_fwhm_px={"hsc": 3.6})
    with pytest.raises(ValueError, match="domain of each cutout"):
        preprocess(torch.from_numpy(make_images()), settings)


def test_guided_filter_keeps_edges_and_smooths_noise() -> None:
    generator = np.random.default_rng(3)
    step = np.where(np.arange(41) < 20, 0.0, 100.0)[None, :] + generator.normal(0, 0.03, (41, 41))
    images = torch.from_numpy(step.astype(np.float32))[None]
    smoothed = preprocess(images, PreprocessSettings(smoothing="guided", normalise=False))[0]
    assert (smoothed[:, 20] - smoothed[:, 19]).min() > 99
    assert smoothed[:, 2:16].std() < 0.5 * images[0, :, 2:16].std()


def test_guided_filter_of_a_flat_bright_image_is_the_image() -> None:
    images = torch.full((1, 41, 41), 1234.567)
    smoothed = preprocess(images, PreprocessSettings(smoothing="guided", normalise=False))
    assert torch.equal(smoothed, images)


def test_guided_filter_survives_rounding_on_bright_plateaus() -> None:
    # The variance, 1e-6, is far below the rounding of the squares, 1e-2, whose sign is anyone's guess.
    generator = torch.Generator().manual_seed(0)
    level = 300 + 100 * torch.rand(400, 1, 1, generator=generator)
    images = torch.zeros(400, 41, 41)
    images[:, 8:33, 8:33] = level + 0.001 * torch.randn(400, 25, 25, generator=generator)
    smoothed = preprocess(images, PreprocessSettings(smoothing="guided", normalise=False))
    assert (smoothed - images)[:, 14:27, 14:27].abs().max() < 0.005  # five standard deviations
    settings = PreprocessSettings(smoothing="guided", guided_eps=0.01, normalise=False)
    assert (preprocess(images, settings) - images)[:, 14:27, 14:27].abs().max() < 0.005


@pytest.mark.parametrize("scale", ["std", "mad"])
@pytest.mark.parametrize("smoothing", ["none", "guided"])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e6])
def test_a_constant_image_becomes_zero(scale: str, smoothing: str, value: float) -> None:
    settings = PreprocessSettings.model_validate({"scale": scale, "smoothing": smoothing})
    assert preprocess(torch.full((2, 41, 41), value), settings).abs().max() == 0


RELATIVE = {
    name: {"normalisation": normalisation, "scale": scale, **smoothing}
    for normalisation in ("cutout", "object")
    for scale in ("std", "mad")
    for kind, smoothing in {
        "as it is": {},
        "both clipped": {"low_clip_quantile": 0.01, "clip_quantile": 0.99},
        "not clipped": {"clip_quantile": None},
        "gaussian": {"smoothing": "gaussian", "pad_to_px": 50},
        "guided": {"smoothing": "guided"},
        "psf": {"smoothing": "psf", "psf_target_fwhm_px": 4.5, "psf_input_fwhm_px": {"hsc": 3.6}},
    }.items()
    for name in [f"{normalisation}, {scale}, {kind}"]
}
"""Settings in which nothing is said in counts."""


@pytest.mark.parametrize("variant", RELATIVE)
@given(
    exponent=st.floats(-15, 15) | st.sampled_from([-15.0, -12.0, -6.0, -2.0, 6.0, 15.0]),
    background=st.sampled_from([0.0, 30.0, -3.0]),
    seed=st.integers(0, 100),
)
@hypothesis.example(exponent=2.015625, background=30.0, seed=6)
@hypothesis.settings(max_examples=15, deadline=None)
def test_pixels_in_any_unit_give_the_same_inputs(
    variant: str, exponent: float, background: float, seed: int
) -> None:
    settings = PreprocessSettings.model_validate(RELATIVE[variant])
    images = make_images(6, seed=seed) + np.float32(background)
    other = (images.astype(np.float64) * 10**exponent).astype(np.float32)
    known = {"domains": ["hsc", "slsim", "unknown"] * 2, "objects": np.array([0, 0, 1, 1, 1, 2])}
    expected, found = (preprocess(torch.from_numpy(one), settings, **known) for one in (images, other))
    # The rounding of pixels, 6e-8 of 80 counts, in units of a noise of 0.3, of which smoothing leaves some,
    # and which the scale carries to all pixels: up to 1.1e-4 seen; and ORIGINAL_FLOOR.
    assert (found - expected).abs().max() <= 3e-4 * max(1, expected.abs().max())
    assert expected.abs().max() > 1


@pytest.mark.parametrize("variant", RELATIVE)
@pytest.mark.parametrize("exponent", [-60, -40, -12, -1, 1])
def test_pixels_in_units_of_a_power_of_two_give_the_same_bits(variant: str, exponent: int) -> None:
    settings = PreprocessSettings.model_validate(RELATIVE[variant])
    images = make_images(6) * np.float32(2.0**-12)  # far from counts: no floor on either side
    known = {"domains": ["hsc", "slsim", "unknown"] * 2, "objects": np.array([0, 0, 1, 1, 1, 2])}
    other = images * np.float32(2.0**exponent)
    expected, found = (preprocess(torch.from_numpy(one), settings, **known) for one in (images, other))
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("size", "side", "before"), [(41, 64, 11), (40, 64, 12), (41, 41, 0), (41, 32, 0)])
def test_padding_is_centred_and_never_cuts(size: int, side: int, before: int) -> None:
    images = torch.ones(1, size, size)
    padded = preprocess(images, PreprocessSettings(normalise=False, pad_to_px=side))[0]
    assert padded.shape == (max(size, side), max(size, side))
    assert padded.sum() == size**2
    assert padded[before : before + size, before : before + size].min() == 1


@pytest.mark.parametrize("chunk", [1, 4, 100, None])
def test_chunks_change_nothing(chunk: int | None) -> None:
    images = make_images(20)
    domains = np.array(["hsc", "slsim", "slsim", "unknown"] * 5, dtype=object)
    settings = PreprocessSettings(
        smoothing="psf", psf_target_fwhm_px=4.5, psf_input_fwhm_px={"hsc": 3.6}, pad_to_px=45
    )
    rows = np.array([3, 19, 0, 0, 7, 8, 12, 4, 5], dtype=np.int64)
    result = preprocess_all(images, rows, settings, CutoutContext(domains), torch.device("cpu"), chunk)
    expected = preprocess(torch.from_numpy(images[rows]), settings, domains[rows])
    assert torch.equal(result, expected)


@pytest.mark.parametrize("normalisation", ["cutout", "object"])
def test_chunks_side_by_side_change_no_bit(normalisation: str) -> None:
    images, rows = make_images(60), np.random.default_rng(2).permutation(60)
    settings = PreprocessSettings.model_validate({"smoothing": "gaussian", "normalisation": normalisation})
    known = CutoutContext(objects=np.repeat(np.arange(20), 3))
    before = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            found.append(preprocess_all(images, rows, settings, known, CPU, 4))
            assert torch.get_num_threads() == n_threads
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == n_threads
        assert torch.equal(*found)
        with pytest.raises(IndexError):
            preprocess_all(images, np.append(rows, 60), settings, known, CPU, 4)
    finally:
        torch.set_num_threads(before)


def test_rows_come_from_a_memory_map_in_another_type(tmp_path: Any) -> None:
    images = make_images(5)
    np.save(tmp_path / "cutouts.npy", images)
    cutouts = np.load(tmp_path / "cutouts.npy", mmap_mode="r")
    settings, rows = PreprocessSettings(), np.array([4, 1], dtype=np.int64)
    cpu, domains = torch.device("cpu"), CutoutContext(["hsc"] * 5)
    half = preprocess_all(cutouts, rows, settings, domains, cpu, out_dtype=torch.float16)
    assert half.dtype == torch.float16
    assert torch.equal(half, preprocess(torch.from_numpy(images[rows]), settings).half())
    assert preprocess_all(cutouts, rows[:0], settings, domains, cpu).shape == (0, 41, 41)


@pytest.mark.parametrize(("normalisation", "missing"), [("object", "object"), ("asinh", "band")])
def test_what_normalisation_needs_must_be_there(normalisation: str, missing: str) -> None:
    settings = PreprocessSettings.model_validate({"normalisation": normalisation})
    with pytest.raises(ValueError, match=f"expected the {missing} of each cutout"):
        preprocess(torch.zeros(1, 9, 9), settings)
    with pytest.raises(ValueError, match=f"expected the {missing} of each cutout"):
        preprocess_all(np.zeros((1, 9, 9), np.float32), np.array([0]), settings, CutoutContext(["hsc"]), CPU)
    with pytest.raises(ValueError, match="but normalise is false"):
        PreprocessSettings.model_validate({"normalisation": normalisation, "normalise": False})


@pytest.mark.parametrize("chunk", [1, 2, 5, None])
def test_chunks_through_the_middle_of_objects_change_nothing(chunk: int | None) -> None:
    images = make_images(12)
    objects = np.array([0, 0, 0, 1, 2, 2, 2, 2, 3, 3, 4, 5])
    settings = PreprocessSettings(normalisation="object", smoothing="gaussian")
    whole = preprocess(torch.from_numpy(images), settings, objects=objects)
    for rows in (np.arange(12), np.array([1, 2, 5, 7, 8, 11])):
        known = CutoutContext(["hsc"] * 12, objects=objects)
        assert torch.equal(preprocess_all(images, rows, settings, known, CPU, chunk), whole[rows])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_computes_the_same(variant: str) -> None:
    settings = PreprocessSettings.model_validate(VARIANTS[variant])
    images = torch.from_numpy(make_images())
    domains = ["hsc", "slsim", "unknown"] * 2
    expected = preprocess(images, settings, domains)
    found = preprocess(images.to("cuda"), settings, domains).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
