"""Tell tissue from glass and pen marks."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from skimage.measure import label

from hccfeat.config import TissueRecipe
from hccfeat.slides.optical import planes

HIGHEST_THRESHOLD = 0.12
"""Otsu splits an image that is all tissue into dark and pale tissue; no glass is more saturated than this."""

_PEN_MARGIN = 12
_PEN_SATURATION = 0.25
_BLACK_VALUE = 64
_BLACK_SATURATION = 0.35


class TissueRule(NamedTuple):
    """The rule for one slide: a pixel is tissue if its HSV saturation exceeds the threshold and it is no pen."""

    min_saturation: float

    def is_tissue(self, rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Apply the rule to uint8 RGB of shape (..., 3); returns bool (...)."""
        saturation, pen = _saturation_and_pen(rgb)
        return (saturation > self.min_saturation) & ~pen


def tissue_rule(thumbnail: NDArray[np.uint8], recipe: TissueRecipe) -> TissueRule:
    """Otsu's threshold on the saturation of a slide, kept between the recipe's floor and 0.12.

    Parameters
    ----------
    thumbnail : uint8 (h, w, 3)
        The whole slide, small.
    recipe : TissueRecipe
        Its ``min_saturation`` is the floor.

    Returns
    -------
    TissueRule
    """
    saturation, pen = _saturation_and_pen(thumbnail)
    values = saturation[~pen]
    if values.size == 0 or float(np.ptp(values)) < 1e-6:
        return TissueRule(recipe.min_saturation)
    otsu = float(threshold_otsu(values))
    return TissueRule(max(recipe.min_saturation, min(otsu, HIGHEST_THRESHOLD)))


def tissue_mask(thumbnail: NDArray[np.uint8], mpp: float, recipe: TissueRecipe) -> NDArray[np.bool_]:
    """Mask of tissue on a thumbnail (P1 reading 24: saturation, Otsu).

    Blue, green and black ink is not tissue. Red ink cannot be told from eosin and stays. Pieces smaller than
    ``recipe.min_area_um2`` are dropped.

    Parameters
    ----------
    thumbnail : uint8 (h, w, 3)
        The whole slide, small.
    mpp : float
        Micrometres per thumbnail pixel.
    recipe : TissueRecipe

    Returns
    -------
    bool (h, w)
    """
    mask = tissue_rule(thumbnail, recipe).is_tissue(thumbnail)
    pieces = label(mask, connectivity=2)
    big_enough = np.bincount(pieces.ravel()) * mpp**2 >= recipe.min_area_um2
    big_enough[0] = False
    return np.asarray(big_enough[pieces])


def _saturation_and_pen(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """HSV saturation, and whether a pixel is blue, green or black ink.

    Haematoxylin and eosin both absorb green more than red, so that stained tissue is never greener than red;
    ink that is, and saturated, is a pen's.
    """
    red, green, blue = planes(rgb)
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    saturation = np.subtract(high, low, dtype=np.float32) / np.maximum(high, 1)
    greener = np.maximum(green, red) - red > _PEN_MARGIN
    pen = greener & (saturation > _PEN_SATURATION)
    pen |= (high < _BLACK_VALUE) & (saturation < _BLACK_SATURATION)
    return saturation.reshape(rgb.shape[:-1]), pen.reshape(rgb.shape[:-1])
