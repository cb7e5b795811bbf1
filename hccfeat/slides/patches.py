"""Where patches lie on a slide, and what disqualifies one."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hccfeat.config import PatchRecipe
from hccfeat.slides.base import SlideInfo
from hccfeat.slides.optical import OPTICAL_DENSITY, planes
from hccfeat.units import Level0Px

BLANK_SPREAD = 2
"""A patch whose grey levels spread less than this in every channel shows nothing."""


class PatchStatus(IntEnum):
    """What became of one candidate patch; stored as uint8 in a shard's ``skipped/status``."""

    USABLE = 0
    BACKGROUND = 1
    READ_ERROR = 2
    BLANK = 3
    BLURRED = 4
    NOT_SAMPLED = 5


def patch_size_level0(info: SlideInfo, recipe: PatchRecipe) -> Level0Px:
    """Side of a patch on the full-resolution level, rounded to whole pixels."""
    return Level0Px(max(1, round(recipe.size_px * recipe.target_mpp / info.mpp)))


def plan_grid(
    info: SlideInfo, mask: NDArray[np.bool_], downsample: float, recipe: PatchRecipe
) -> NDArray[np.int64]:
    """Candidate patches: the cells of a non-overlapping grid that the mask does not rule out.

    The mask is coarse, so a cell stays a candidate from half the tissue on that the recipe asks for; the
    patch's own pixels decide later. Cells that would cross the slide's edge do not exist.

    Parameters
    ----------
    info : SlideInfo
    mask : bool (h, w)
        Tissue on the thumbnail.
    downsample : float
        Level-0 pixels per mask pixel.
    recipe : PatchRecipe

    Returns
    -------
    int64 (N, 2)
        Level-0 x and y of the top-left corners, row by row.
    """
    size = patch_size_level0(info, recipe)
    columns, rows = info.width // size, info.height // size
    if columns == 0 or rows == 0:
        return np.empty((0, 2), np.int64)
    share = _share_per_cell(mask, size / downsample, rows, columns)
    needed = (1.0 - recipe.max_background) / 2
    row, column = np.nonzero((share > 0) & (share >= needed))
    return np.stack([column * size, row * size], axis=1).astype(np.int64)


def _share_per_cell(mask: NDArray[np.bool_], cell_px: float, rows: int, columns: int) -> NDArray[np.float64]:
    """Mean of the mask over each grid cell, (rows, columns), from a summed-area table."""
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    table[1:, 1:] = mask.cumsum(0).cumsum(1)

    def edges(count: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        start = np.minimum(np.floor(np.arange(count) * cell_px + 0.5).astype(np.int64), limit - 1)
        stop = np.floor((np.arange(count) + 1) * cell_px + 0.5).astype(np.int64)
        return start, np.clip(stop, start + 1, limit)

    top, bottom = edges(rows, mask.shape[0])
    left, right = edges(columns, mask.shape[1])
    area = (bottom - top)[:, None] * (right - left)[None, :]
    inside = table[bottom][:, right] - table[top][:, right] - table[bottom][:, left] + table[top][:, left]
    return np.asarray(inside / area)


def is_blank(patch: NDArray[np.uint8]) -> bool:
    """Tell whether a uint8 (S, S, 3) patch shows nothing: the 1st to 99th percentiles almost agree."""
    counts = np.array(Image.fromarray(patch).histogram()).reshape(3, 256).cumsum(axis=1)
    # as numpy.percentile: linear between the two nearest of the sorted values
    place = np.array([0.01, 0.99]) * (counts[0, -1] - 1)
    below = np.floor(place).astype(np.int64)
    for channel in counts:
        low, high = (channel.searchsorted(rank, side="right") for rank in (below, below + 1))
        first, last = low + (high - low) * (place - below)
        if last - first >= BLANK_SPREAD:
            return False
    return True


def focus(patch: NDArray[np.uint8]) -> float:
    """Sharpness of a patch: the variance of the Laplacian of its optical density.

    The optical density is the mean over the channels, so that the measure does not depend on the brightness
    of the lamp; the Laplacian has four neighbours, one pixel away. Compare only patches of one mpp.

    Parameters
    ----------
    patch : uint8 (S, S, 3)

    Returns
    -------
    float
        In squared natural optical-density units; small means blurred.
    """
    red, green, blue = (OPTICAL_DENSITY.take(plane) for plane in planes(patch))
    density = ((red + green + blue) / np.float32(3)).reshape(patch.shape[:2])
    laplacian = density[:-2, 1:-1] + density[2:, 1:-1]
    laplacian += density[1:-1, :-2]
    laplacian += density[1:-1, 2:]
    laplacian -= 4 * density[1:-1, 1:-1]
    return float(laplacian.var())
