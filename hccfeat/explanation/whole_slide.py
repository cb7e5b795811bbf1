"""Risks of the patches of a slide that its stored sample left out, read a few at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.errors import SlideError
from hccfeat.models import Encoder
from hccfeat.slides.base import Slide
from hccfeat.slides.patches import focus, is_blank
from hccfeat.slides.stain import StainFit, normalise
from hccfeat.slides.tissue import TissueRule, tissue_rule
from hccfeat.training.embed import embed
from hccfeat.units import Level0Px

BATCH = 128


def risks_of_unsampled(
    slide: Slide,
    coords: NDArray[np.int64],
    side: Level0Px,
    stain: StainFit | None,
    recipe: Recipe,
    encoder: Encoder,
    *,
    device: str = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read, judge, normalise and classify candidate patches that sampling passed over.

    Parameters
    ----------
    slide : Slide
        Open.
    coords : int64, (M, 2)
        Level-0 corners of the candidates.
    side : Level0Px
        Side of a patch on level 0.
    stain : StainFit or None
        Of the slide, as its stored patches were normalised; None leaves the colours.
    recipe : Recipe
        Of the feature set: the same rules decide which patch is usable.
    encoder : Encoder
        Of the feature set.
    device : str
        Where to compute.

    Returns
    -------
    coords : int64, (N, 2)
        Corners of the usable ones, N <= M, in order.
    probability : float32, (N,)
        Of recurrence.
    """
    rule = tissue_rule(slide.thumbnail(recipe.tissue.thumbnail_mpp).rgb, recipe.tissue)
    kept: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    risks: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for corners, patches in _usable_batches(slide, coords, side, rule, recipe):
        if stain is not None:
            tensor = torch.from_numpy(patches).to(device).permute(0, 3, 1, 2)
            patches = normalise(tensor, stain, recipe.stain).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        kept.append(corners)
        risks.append(embed(encoder, patches, device=device)[1])
    return np.concatenate(kept), np.concatenate(risks)


def _usable_batches(
    slide: Slide, coords: NDArray[np.int64], side: Level0Px, rule: TissueRule, recipe: Recipe
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    corners: list[NDArray[np.int64]] = []
    patches: list[NDArray[np.uint8]] = []
    for corner in coords:
        try:
            patch = slide.read(Level0Px(int(corner[0])), Level0Px(int(corner[1])), side, recipe.patches.size_px)
        except SlideError:
            continue
        if not _usable(patch, rule, recipe):
            continue
        corners.append(corner)
        patches.append(patch)
        if len(patches) == BATCH:
            yield np.stack(corners), np.stack(patches)
            corners, patches = [], []
    if patches:
        yield np.stack(corners), np.stack(patches)


def _usable(patch: NDArray[np.uint8], rule: TissueRule, recipe: Recipe) -> bool:
    """Judge a patch as ``prepare_image`` does."""
    if is_blank(patch) or 1.0 - float(rule.is_tissue(patch).mean()) > recipe.patches.max_background:
        return False
    return recipe.quality.min_focus <= 0 or focus(patch) >= recipe.quality.min_focus
