"""Mixed training images: what they are made of, and that labels and weights follow."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as loss_of

from stronglens.settings.train import TrainSettings
from stronglens.training.mixing import Mixing, draw_mixing, mix, mixes

N = 4000
MIXUP, CUTMIX = TrainSettings(mixup_alpha=0.4), TrainSettings(cutmix_alpha=1.0)


def batch(size: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that say in each pixel which one they are, and labels; the second channel is ten times that."""
    number = torch.arange(1.0, N + 1)[:, None, None]
    image = number.expand(N, size, size)
    return torch.stack([image, 10 * image], dim=1), (torch.arange(N) % 2).float()


def mixed_of(
    images: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None,
    settings: TrainSettings,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    n, _, height, width = images.shape
    return mix(images, labels, weights, drawn_for([n], height, width, settings, seed))


def drawn_for(sizes: list[int], height: int, width: int, settings: TrainSettings, seed: int) -> Mixing:
    return draw_mixing(sizes, height, width, settings, np.random.default_rng(seed))


def test_nothing_is_mixed_by_default() -> None:
    assert not mixes(TrainSettings())
    assert mixes(MIXUP)
    assert mixes(CUTMIX)


@pytest.mark.parametrize("settings", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_labels_follow_the_pixels(settings: TrainSettings) -> None:
    images, labels = batch()
    mixed, targets, weights = mixed_of(images, labels, None, settings, 1)
    assert weights is None
    assert mixed.shape == images.shape
    torch.testing.assert_close(mixed[:, 1], 10 * mixed[:, 0])
    partners = drawn_for([N], 9, 9, settings, 1).partners
    own, other = images[:, 0, 0, 0], images[partners, 0, 0, 0]
    differs = own != other
    share = ((mixed[:, 0].mean(dim=(1, 2)) - other) / (own - other))[differs]
    expected = share * labels[differs] + (1 - share) * labels[partners][differs]
    torch.testing.assert_close(targets[differs], expected, rtol=0, atol=2e-3)
    alpha = max(settings.mixup_alpha, settings.cutmix_alpha)
    if settings is MIXUP:
        # Beta(a, a) has the variance 1 / (4 (2 a + 1)).
        assert share.mean().item() == pytest.approx(0.5, abs=0.03)
        assert share.var().item() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.05)
    else:
        inside = mixed[differs][:, 0] == other[differs][:, None, None]
        outside = mixed[differs][:, 0] == own[differs][:, None, None]
        assert (inside ^ outside).all()
        rectangle = inside.any(dim=1).sum(dim=1) * inside.any(dim=2).sum(dim=1)
        assert torch.equal(rectangle, inside.sum(dim=(1, 2)))
        assert 0.5 < share.mean().item() < 0.9  # a rectangle loses what lies outside the image
        assert inside.any(dim=0).all()


def test_the_loss_is_that_of_both_images_with_their_weights() -> None:
    images, labels = batch(1)
    weights = torch.rand(N, generator=torch.Generator().manual_seed(3)) + 0.5
    logits = torch.randn(N, generator=torch.Generator().manual_seed(4))
    _, targets, mixed = mixed_of(images, labels, weights, MIXUP, 2)
    drawn = drawn_for([N], 1, 1, MIXUP, 2)
    partners, share = drawn.partners, drawn.share
    assert share is not None
    each = loss_of(logits, labels, reduction="none"), loss_of(logits, labels[partners], reduction="none")
    expected = share * weights * each[0] + (1 - share) * weights[partners] * each[1]
    found = loss_of(logits, targets, mixed, reduction="none")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_of_both_each_batch_has_one() -> None:
    images, labels = batch(3)
    both = TrainSettings(mixup_alpha=1.0, cutmix_alpha=1.0)
    n_cutmix = 0
    for seed in range(60):
        mixed = mixed_of(images[:50], labels[:50], None, both, seed)[0]
        n_cutmix += bool((mixed[:, 0] % 1 == 0).all())
    assert 15 < n_cutmix < 45  # binomial: four standard deviations


def test_images_are_mixed_within_their_batch() -> None:
    both = TrainSettings(mixup_alpha=1.0, cutmix_alpha=1.0)
    drawn = drawn_for([50, 50, 50, 7], 9, 9, both, 3)
    assert len(drawn.cut) == 4
    batches = torch.split(drawn.partners, [50, 50, 50, 7])
    assert [sorted(one.tolist()) for one in batches] == [list(range(len(one))) for one in batches]
    assert not torch.equal(batches[0], batches[1])
