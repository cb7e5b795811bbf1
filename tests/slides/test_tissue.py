"""Tissue, glass and pen."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from hccfeat.config import TissueRecipe
from hccfeat.slides.tissue import HIGHEST_THRESHOLD, tissue_mask, tissue_rule
from tests.slides.he import he_image, on_glass

RECIPE = TissueRecipe()


def thumbnail(height: int = 96, width: int = 96) -> np.ndarray:
    """H&E as it looks from afar."""
    return uniform_filter(he_image(height, width), (5, 5, 0))


def test_tissue_is_found_and_glass_is_not() -> None:
    mask = tissue_mask(on_glass(thumbnail(), 200, 200), 8.0, RECIPE)
    assert mask[:96, :96].mean() > 0.98
    assert mask[100:, :].mean() == 0
    assert mask[:, 100:].mean() == 0


@pytest.mark.parametrize("glass", [255, 245, 225])
def test_empty_glass_has_no_tissue(glass: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (80, 80, 3))
    assert tissue_mask((np.clip(glass + noise, 0, 255)).astype(np.uint8), 8.0, RECIPE).sum() == 0


def test_an_image_that_is_all_tissue_is_not_split() -> None:
    rgb = thumbnail()
    assert tissue_rule(rgb, RECIPE).min_saturation == HIGHEST_THRESHOLD
    assert tissue_mask(rgb, 8.0, RECIPE).mean() > 0.98


@pytest.mark.parametrize("ink", [(30, 60, 160), (20, 120, 60), (15, 15, 20), (60, 150, 200)])
def test_pen_is_not_tissue(ink: tuple[int, int, int]) -> None:
    field = on_glass(thumbnail(), 200, 200)
    field[140:170, 20:180] = ink
    mask = tissue_mask(field, 8.0, RECIPE)
    assert mask[140:170, 20:180].sum() == 0
    assert mask[:96, :96].mean() > 0.98


def test_small_pieces_are_dropped() -> None:
    field = np.full((100, 100, 3), 245, np.uint8)
    field[10:13, 10:13] = (200, 120, 170)
    field[40:60, 40:60] = (200, 120, 170)
    mask = tissue_mask(field, 8.0, RECIPE)
    assert not mask[:20].any()
    assert mask[40:60, 40:60].all()
    assert tissue_mask(field, 8.0, TissueRecipe(min_area_um2=0))[10:13, 10:13].all()


def test_one_colour_does_not_break_the_threshold() -> None:
    assert tissue_mask(np.full((9, 9, 3), 255, np.uint8), 8.0, RECIPE).sum() == 0
    assert tissue_mask(np.full((9, 9, 3), 0, np.uint8), 8.0, RECIPE).sum() == 0
