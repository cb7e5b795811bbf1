"""P1's training augmentation on whole batches, each image with its own draw."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from hccfeat.config import AugmentationRecipe

Augmentation = Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]

ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 3.3)


def augmentation(recipe: AugmentationRecipe) -> Augmentation:
    """Build the augmentation of a recipe (P1 reading 12).

    In this order: horizontal flip, vertical flip, rotation by a uniform angle, Gaussian noise, erasing of a
    rectangle (2 to 33 % of the area, aspect 0.3 to 3.3, filled with 0). Corners that a rotation opens are
    filled by reflection, so that no black wedge tells the angle.

    Parameters
    ----------
    recipe : AugmentationRecipe

    Returns
    -------
    callable
        ``augment(images, generator)`` takes float (N, 3, H, W) in 0..1 and an optional generator of the same
        device, and returns a new tensor of the same shape, clipped to 0..1.
    """
    # A partial, not a closure: training on several devices sends it to their processes.
    return partial(_augment, recipe)


def _augment(
    recipe: AugmentationRecipe, images: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    draw = _Draw(len(images), images.device, generator)
    images = torch.where(draw.chance(recipe.horizontal_flip), images.flip(-1), images)
    images = torch.where(draw.chance(recipe.vertical_flip), images.flip(-2), images)
    if recipe.rotation_degrees > 0:
        images = _rotated(images, draw.uniform(-recipe.rotation_degrees, recipe.rotation_degrees))
    if recipe.noise_probability > 0 and recipe.noise_sigma > 0:
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        strength = draw.chance(recipe.noise_probability) * recipe.noise_sigma
        images = images + noise * strength
    if recipe.erasing_probability > 0:
        images = images.masked_fill(_erased(images, draw, recipe.erasing_probability), 0.0)
    return images.clamp(0.0, 1.0)


class _Draw:
    """Per-image random numbers, shaped (N, 1, 1, 1)."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator | None) -> None:
        self._shape = (count, 1, 1, 1)
        self._device = device
        self._generator = generator

    def uniform(self, low: float, high: float) -> torch.Tensor:
        unit = torch.rand(self._shape, generator=self._generator, device=self._device)
        return low + (high - low) * unit

    def chance(self, probability: float) -> torch.Tensor:
        return self.uniform(0.0, 1.0) < probability


def _rotated(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    radians = degrees.view(-1) * (math.pi / 180.0)
    cosine, sine = radians.cos(), radians.sin()
    height, width = images.shape[-2:]
    zero = torch.zeros_like(cosine)
    upper = torch.stack([cosine, -sine * (height / width), zero], dim=1)
    lower = torch.stack([sine * (width / height), cosine, zero], dim=1)
    matrices = torch.stack([upper, lower], dim=1).to(images.dtype)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _erased(images: torch.Tensor, draw: _Draw, probability: float) -> torch.Tensor:
    """Mask (N, 1, H, W) of one rectangle in the chosen images."""
    height, width = images.shape[-2:]
    area = draw.uniform(*ERASED_AREA) * (height * width)
    aspect = draw.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])).exp()
    tall = (area * aspect).sqrt().clamp(max=height)
    wide = (area / aspect).sqrt().clamp(max=width)
    top = draw.uniform(0.0, 1.0) * (height - tall)
    left = draw.uniform(0.0, 1.0) * (width - wide)
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
    return inside & draw.chance(probability)
