"""Augmentation: each step by itself, determinism, and per-image draws."""

import pytest
import torch

from hccfeat.config import AugmentationRecipe
from hccfeat.slides.augment import augmentation

OFF = dict.fromkeys(
    ("horizontal_flip", "vertical_flip", "rotation_degrees", "noise_probability", "erasing_probability"), 0.0
)


def recipe(**on: float) -> AugmentationRecipe:
    return AugmentationRecipe(**{**OFF, **on})


def images(count: int = 64, side: int = 16) -> torch.Tensor:
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(0))


def test_everything_off_changes_nothing() -> None:
    assert torch.equal(augmentation(recipe())(images(), None), images())


def test_flips_are_per_image_and_exact() -> None:
    x = images()
    assert torch.equal(augmentation(recipe(horizontal_flip=1))(x, None), x.flip(-1))
    assert torch.equal(augmentation(recipe(vertical_flip=1))(x, None), x.flip(-2))
    half = augmentation(recipe(horizontal_flip=0.5))(x, torch.Generator().manual_seed(1))
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(half, x, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(half, x, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 16 < sum(flipped) < 48


def test_rotation_stays_in_range_and_opens_no_black_corners() -> None:
    x = torch.full((32, 3, 32, 32), 0.7)
    turned = augmentation(recipe(rotation_degrees=90))(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(turned, x)


def test_rotation_turns_by_the_angle() -> None:
    x = torch.zeros((200, 1, 33, 33))
    x[:, :, 16, 24:] = 1.0
    turned = augmentation(recipe(rotation_degrees=90))(x, torch.Generator().manual_seed(0))
    grid = torch.arange(33.0) - 16
    weight = turned.sum((1, 2, 3))
    column = (turned.sum((1, 2)) * grid).sum(1) / weight
    row = (turned.sum((1, 3)) * grid).sum(1) / weight
    angle = torch.rad2deg(torch.atan2(row, column))
    assert angle.abs().max() <= 92
    assert angle.min() < -70
    assert angle.max() > 70
    assert angle.mean().abs() < 12


def test_noise_has_the_stated_strength() -> None:
    x = torch.full((400, 3, 16, 16), 0.5)
    noisy = augmentation(recipe(noise_probability=0.5))(x, torch.Generator().manual_seed(0)) - x
    spread = noisy.std((1, 2, 3))
    touched = spread > 0
    assert 0.4 < touched.float().mean() < 0.6
    assert spread[touched].mean() == pytest.approx(0.05, rel=0.05)


def test_erasing_blackens_one_rectangle() -> None:
    x = torch.ones((400, 3, 32, 32))
    erased = augmentation(recipe(erasing_probability=0.25))(x, torch.Generator().manual_seed(0))
    area = (erased[:, 0] == 0).float().mean((1, 2))
    assert 0.17 < (area > 0).float().mean() < 0.33
    assert area.max() < 0.4
    for mask in (erased[area > 0][:, 0] == 0)[:20]:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == rows * columns


def test_seeded_in_range_and_not_in_place() -> None:
    x = images()
    copy = x.clone()
    augment = augmentation(AugmentationRecipe())
    first = augment(x, torch.Generator().manual_seed(7))
    assert torch.equal(first, augment(x, torch.Generator().manual_seed(7)))
    assert not torch.equal(first, augment(x, torch.Generator().manual_seed(8)))
    assert torch.equal(x, copy)
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert first.min() >= 0
    assert first.max() <= 1
