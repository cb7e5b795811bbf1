"""The grid of patches, blankness and focus."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hccfeat.config import PatchRecipe
from hccfeat.slides.base import SlideInfo
from hccfeat.slides.patches import PatchStatus, focus, is_blank, patch_size_level0, plan_grid
from hccfeat.units import Level0Px, MicronsPerPx
from tests.slides.he import he_image


def info(width: int, height: int, mpp: float = 0.5) -> SlideInfo:
    return SlideInfo("pillow", Level0Px(width), Level0Px(height), MicronsPerPx(mpp), "override", (1.0,))


def test_status_codes_are_the_stored_ones() -> None:
    names = [status.name for status in PatchStatus]
    assert names == ["USABLE", "BACKGROUND", "READ_ERROR", "BLANK", "BLURRED", "NOT_SAMPLED"]
    assert [int(status) for status in PatchStatus] == list(range(6))


@pytest.mark.parametrize(("mpp", "size"), [(0.5, 224), (0.4942, 227), (0.25, 448), (1.0, 112)])
def test_patch_size_follows_the_resolution(mpp: float, size: int) -> None:
    assert patch_size_level0(info(1000, 1000, mpp), PatchRecipe()) == size


@settings(max_examples=50, deadline=None)
@given(st.integers(30, 700), st.integers(30, 700), st.floats(0.25, 2), st.floats(1, 16))
def test_grid_is_inside_row_major_and_does_not_overlap(width: int, height: int, mpp: float, down: float) -> None:
    recipe = PatchRecipe(size_px=32)
    slide = info(width, height, mpp)
    mask = np.ones((max(1, round(height / down)), max(1, round(width / down))), bool)
    coords = plan_grid(slide, mask, down, recipe)
    size = patch_size_level0(slide, recipe)
    assert coords.dtype == np.int64
    assert len(coords) == (width // size) * (height // size)
    if len(coords):
        assert coords.min() >= 0
        assert (coords[:, 0] + size).max() <= width
        assert (coords[:, 1] + size).max() <= height
        assert (coords % size == 0).all()
        assert len(np.unique(coords, axis=0)) == len(coords)
        assert (np.lexsort((coords[:, 0], coords[:, 1])) == np.arange(len(coords))).all()


def test_cells_without_tissue_are_no_candidates() -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:32, 32:48] = True
    mask[32:48, 0:3] = True
    coords = plan_grid(info(512, 512), mask, 8.0, PatchRecipe(size_px=128))
    assert coords.tolist() == [[256, 128]]
    everything = plan_grid(info(512, 512), mask, 8.0, PatchRecipe(size_px=128, max_background=1.0))
    assert everything.tolist() == [[256, 128], [0, 256]]


def test_blank_patches() -> None:
    assert is_blank(np.full((64, 64, 3), 255, np.uint8))
    assert is_blank(np.zeros((64, 64, 3), np.uint8))
    assert not is_blank(he_image(64, 64))
    speck = np.full((64, 64, 3), 240, np.uint8)
    speck[0, 0] = 0
    assert is_blank(speck)


def test_focus_falls_with_blur_and_ignores_the_lamp() -> None:
    sharp = he_image(96, 96)
    blurred = [gaussian_filter(sharp, (sigma, sigma, 0)) for sigma in (1.0, 2.0, 3.0)]
    values = [focus(patch) for patch in (sharp, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * values[2]
    dimmer = np.rint(sharp * 0.8).astype(np.uint8)
    assert focus(dimmer) == pytest.approx(focus(sharp), rel=0.1)
    assert focus(np.full((64, 64, 3), 200, np.uint8)) == 0
