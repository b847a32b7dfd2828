"""Augmentation: which changes occur, how often, and what never changes."""

from collections import Counter

import numpy as np
import pytest
import torch

from stronglens.networks.augment import augment, centre
from stronglens.settings.train import TrainSettings

NOTHING = TrainSettings(augment=False)


def images(n: int, n_channels: int = 2, size: int = 7) -> torch.Tensor:
    return torch.randn(n, n_channels, size, size, generator=torch.Generator().manual_seed(3))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_symmetries_of_the_square_occur_equally_often_and_nothing_else() -> None:
    n = 8000
    image = images(1)
    symmetries = {
        (turns, mirrored): np.rot90(image[0] if not mirrored else image[0].flip(2), turns, axes=(1, 2))
        for turns in range(4)
        for mirrored in (False, True)
    }
    names = {symmetry.tobytes(): name for name, symmetry in symmetries.items()}
    assert len(names) == 8
    # A KeyError here would be a change that is no symmetry.
    counts = Counter(
        names[result.numpy().tobytes()]
        for result in augment(image.expand(n, -1, -1, -1), TrainSettings(), generator())
    )
    assert len(counts) == 8
    # Binomial with p = 1/8: five standard deviations.
    assert max(abs(count - n / 8) for count in counts.values()) < 5 * (n / 8 * 7 / 8) ** 0.5


def test_each_image_is_changed_by_itself() -> None:
    before = images(64)
    after = augment(before, TrainSettings(), generator())
    assert after.shape == before.shape
    torch.testing.assert_close(
        after.flatten(1).sort(dim=1).values, before.flatten(1).sort(dim=1).values, rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "settings", [TrainSettings(), TrainSettings(augment_noise=0.1, augment_gamma=0.2)], ids=["turns", "all"]
)
def test_the_generator_decides_alone(settings: TrainSettings) -> None:
    torch.manual_seed(1)
    first = augment(images(32), settings, generator(5))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = augment(images(32), settings, generator(5))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, augment(images(32), settings, generator(6)))


def test_nothing_is_changed_where_all_is_off() -> None:
    before = images(8)
    used = generator()
    state = used.get_state()
    assert augment(before, NOTHING, used) is before
    assert torch.equal(used.get_state(), state)


def test_the_input_is_not_changed() -> None:
    before = images(8)
    copy = before.clone()
    augment(before, TrainSettings(augment_noise=0.1, augment_gamma=0.2), generator())
    assert torch.equal(before, copy)


def test_noise_has_the_width_asked_for() -> None:
    before = images(200, size=41)
    noise = augment(before, NOTHING.model_copy(update={"augment_noise": 0.05}), generator()) - before
    assert noise.mean().item() == pytest.approx(0, abs=5 * 0.05 / noise.numel() ** 0.5)
    assert noise.std().item() == pytest.approx(0.05, rel=0.01)
    assert noise[0, 0].std().item() == pytest.approx(noise[1, 1].std().item(), rel=0.2)
    assert not torch.equal(noise[0, 0], noise[0, 1])


def test_contrast_keeps_signs_and_one_exponent_a_sample() -> None:
    before = images(500)
    after = augment(before, NOTHING.model_copy(update={"augment_gamma": 0.2}), generator())
    assert torch.equal(after.sign(), before.sign())
    exponents = (after.abs().log() / before.abs().log())[:, :, 3, 3]
    torch.testing.assert_close(exponents[:, 0], exponents[:, 1], rtol=1e-3, atol=1e-3)
    assert 0.8 < exponents.min() < 0.82
    assert 1.18 < exponents.max() < 1.2


def test_a_missing_band_stays_missing() -> None:
    before = images(4, n_channels=3)
    before[1, 2] = 0
    after = augment(before, TrainSettings(augment_noise=0.1, augment_gamma=0.2), generator())
    assert (after[1, 2] == 0).all()
    assert (after.flatten(2).abs().amax(dim=2) == 0).sum() == 1


def test_bands_are_dropped_as_often_as_asked_but_never_all() -> None:
    n, chance = 20_000, 0.4
    before = images(n, n_channels=3, size=2)
    before[: n // 2, 0] = 0  # missing already
    after = augment(before, NOTHING.model_copy(update={"band_dropout": chance}), generator())
    there = after.flatten(2).any(dim=2)
    assert torch.equal(after[there], before[there])
    assert there.any(dim=1).all()
    assert not there[: n // 2, 0].any()
    for part, n_bands in ((there[: n // 2, 1:], 2), (there[n // 2 :], 3)):
        # Where all would go, one stays.
        expected = 1 - chance + chance**n_bands / n_bands
        sigma = (expected * (1 - expected) / len(part)) ** 0.5
        assert (part.double().mean(dim=0) - expected).abs().max().item() < 5 * sigma


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_generator_on_the_gpu_works_there() -> None:
    settings = TrainSettings(augment_noise=0.1, augment_gamma=0.2)
    on_gpu = images(16).to("cuda")
    first = augment(on_gpu, settings, torch.Generator("cuda").manual_seed(1))
    assert first.device.type == "cuda"
    assert torch.equal(first, augment(on_gpu, settings, torch.Generator("cuda").manual_seed(1)))


def spots(n: int, x: float, y: float, size: int = 41) -> torch.Tensor:
    """Round spots x and y pixels from the centre, shape (n, 2, size, size); the second channel is missing."""
    axis = torch.arange(size) - (size - 1) / 2
    spot = torch.exp(-((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * 1.5**2))
    return torch.stack([spot, torch.zeros(size, size)]).expand(n, -1, -1, -1)


def centroids(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    light = images[:, 0]
    total = light.sum(dim=(1, 2))
    return (light * axis).sum(dim=(1, 2)) / total, (light * axis[:, None]).sum(dim=(1, 2)) / total


def test_any_angle_is_as_likely_as_any_other_and_the_centre_stays() -> None:
    after = augment(spots(4000, 6, 0), TrainSettings(augment_any_angle=True), generator())
    x, y = centroids(after)
    torch.testing.assert_close(torch.hypot(x, y), torch.full((4000,), 6.0), atol=0.05, rtol=0)
    counts = torch.histc(torch.atan2(y, x), 16, -np.pi, np.pi)
    # Chi-squared with 15 degrees of freedom: above 37.7 once in a thousand.
    assert ((counts - 250) ** 2 / 250).sum() < 37.7
    assert not after[:, 1].any()


@pytest.mark.parametrize("any_angle", [True, False])
def test_half_of_the_images_are_mirrored(any_angle: bool) -> None:
    long, short = spots(1, 9, 0), spots(1, 0, 5)
    both = (long + 0.5 * short).expand(2000, -1, -1, -1)
    settings = TrainSettings(augment_any_angle=any_angle, augment_shift_px=1e-3)
    after = augment(both, settings, generator())[:, 0]
    axis = torch.arange(41) - 20.0
    # About the centre, the fainter spot is a quarter turn behind the brighter one or ahead of it.
    bright = after.flatten(1).argmax(dim=1)
    x, y = axis[bright % 41], axis[bright // 41]
    side = (x[:, None, None] * axis[:, None] - y[:, None, None] * axis) / 9
    behind = (after * (side > 2.5)).sum(dim=(1, 2)) > (after * (side < -2.5)).sum(dim=(1, 2))
    assert abs(behind.float().mean() - 0.5) < 5 * 0.5 / 2000**0.5


def test_shifts_are_even_and_no_longer_than_stated() -> None:
    settings = TrainSettings(augment_shift_px=2.5)
    for found in centroids(augment(spots(4000, 0, 0), settings, generator())):
        assert found.abs().max() <= 2.51
        counts = torch.histc(found, 10, -2.5, 2.5)
        # Chi-squared with 9 degrees of freedom: above 27.9 once in a thousand.
        assert ((counts - 400) ** 2 / 400).sum() < 27.9


@pytest.mark.parametrize(("size", "side", "first"), [(7, 3, 2), (7, 7, 0), (7, 4, 1), (8, 4, 2)])
def test_the_centre_is_as_far_from_every_edge(size: int, side: int, first: int) -> None:
    whole = images(2, size=size)
    assert torch.equal(centre(whole, side), whole[:, :, first : first + side, first : first + side])


def test_moves_without_augmentation_are_refused() -> None:
    with pytest.raises(ValueError, match="need augment: true"):
        TrainSettings(augment=False, augment_shift_px=1)
