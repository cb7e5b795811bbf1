"""From a slide file to normalised patches ready for an encoder."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.cores import Shares, spread
from hccfeat.slides.base import SlideInfo
from hccfeat.slides.cut import Cut, cut
from hccfeat.slides.optical import planes
from hccfeat.slides.patches import PatchStatus, patch_size_level0, plan_grid
from hccfeat.slides.readers import open_slide
from hccfeat.slides.stain import StainFit, fit_stain, is_stained, normalise
from hccfeat.slides.tissue import tissue_mask, tissue_rule

MAX_UPSAMPLING = 1.5
STAIN_BATCH = 32


@dataclass(frozen=True)
class PreparedImage:
    """The usable patches of one image, and what became of the others.

    Attributes
    ----------
    image_id : str
    patches : uint8 (N, S, S, 3)
        Stain-normalised, row by row.
    coords : int64 (N, 2)
        Level-0 x, y of their top-left corners.
    skipped_coords : int64 (M, 2)
        Of the candidates that gave no patch, row by row.
    skipped_status : uint8 (M,)
        Their :class:`~hccfeat.slides.patches.PatchStatus`.
    info : SlideInfo
    patch_size_level0 : int
        Side of a patch on level 0.
    stain : StainFit or None
        None if the recipe asks for no normalisation or there is no patch.
    tissue_fraction : float
        Share of the slide that is tissue.
    blurred_fraction : float
        Share of the judged tissue patches that are out of focus.
    mean_rgb : tuple of float
        Mean red, green and blue (0 to 255) of the usable patches before normalisation; zeros without any.
    status : str
        "ok" or "excluded".
    reason : str
        Why it was excluded.
    seconds : dict
        Where the time went: read (waiting for the file), decode, tissue (the judging of patches too), stain; added
        up over the cores.
    """

    image_id: str
    patches: NDArray[np.uint8]
    coords: NDArray[np.int64]
    skipped_coords: NDArray[np.int64]
    skipped_status: NDArray[np.uint8]
    info: SlideInfo
    patch_size_level0: int
    stain: StainFit | None
    tissue_fraction: float
    blurred_fraction: float
    mean_rgb: tuple[float, float, float]
    status: str
    reason: str
    seconds: dict[str, float] = field(default_factory=dict)


def prepare_image(
    path: Path,
    image_id: str,
    recipe: Recipe,
    *,
    mpp: float | None = None,
    device: str | torch.device = "cpu",
    scratch: Path | None = None,
) -> PreparedImage:
    """Open a slide, find tissue, cut and judge patches, fit the stains and normalise.

    Candidates are visited in a random order that depends on ``recipe.patches.seed`` and ``image_id`` only,
    until ``recipe.patches.per_image`` are usable. An image that lost its tissue, is largely out of focus or
    has no usable patch is returned as excluded, without patches (P1 reading 34d).

    Parameters
    ----------
    path : Path
    image_id : str
        Seeds the sampling.
    recipe : Recipe
    mpp : float, optional
        Override of the slide's micrometres per pixel.
    device : str or torch.device
        Where the normalisation runs.
    scratch : Path, optional
        Folder of an unnamed file that holds the patches where they take much memory.

    Returns
    -------
    PreparedImage

    Raises
    ------
    SlideError
        If the file cannot be used at all, or most of its patches cannot be read.
    """
    shares = Shares()
    with shares.of_reading():
        slide = open_slide(path, mpp)
    with slide:
        info = slide.info
        size = patch_size_level0(info, recipe.patches)
        with shares.of_reading():
            thumbnail = slide.thumbnail(recipe.tissue.thumbnail_mpp)
        with shares.of("tissue"):
            mask = tissue_mask(thumbnail.rgb, info.mpp * thumbnail.downsample, recipe.tissue)
            fraction = float(mask.mean())
            facts = _Facts(image_id, info, size, fraction)
            problem = _unfit(info, fraction, recipe)
            if problem:
                return _excluded(facts, Cut.empty(recipe), problem, shares)
            rule = tissue_rule(thumbnail.rgb, recipe.tissue)
            # What the thumbnail could not read stays a candidate: the patch then fails with a status of its own.
            candidates = plan_grid(info, mask | thumbnail.unread, thumbnail.downsample, recipe.patches)
        found = cut(slide, candidates, size, rule, recipe, image_id, shares, scratch)
    problem = _unusable(found, recipe)
    if problem:
        return _excluded(facts, found, problem, shares)
    with shares.of("stain"):
        stain = fit_stain(_pooled_pixels(found.patches, recipe), recipe.stain) if _stains(recipe) else None
    red, green, blue = _normalise_in_place(found.patches, stain, recipe, device, shares)
    return facts.prepared(found, stain=stain, mean_rgb=(red, green, blue), seconds=shares.seconds())


class _Facts(NamedTuple):
    """What is known of an image before its patches are."""

    image_id: str
    info: SlideInfo
    patch_size_level0: int
    tissue_fraction: float

    def prepared(self, found: Cut, **rest: Any) -> PreparedImage:
        usable = found.status == PatchStatus.USABLE
        return PreparedImage(
            **self._asdict(),
            patches=found.patches,
            coords=found.coords[usable],
            skipped_coords=found.coords[~usable],
            skipped_status=found.status[~usable],
            blurred_fraction=found.blurred_fraction(),
            **{"stain": None, "mean_rgb": (0.0, 0.0, 0.0), "status": "ok", "reason": "", **rest},
        )


def _unfit(info: SlideInfo, tissue_fraction: float, recipe: Recipe) -> str:
    if info.mpp > MAX_UPSAMPLING * recipe.patches.target_mpp:
        return f"too coarse: {info.mpp:.3g} um/px, patches need {recipe.patches.target_mpp:.3g} um/px"
    if tissue_fraction < recipe.quality.min_tissue_fraction:
        least = recipe.quality.min_tissue_fraction
        return f"lost tissue: {tissue_fraction:.1%} of the image is tissue, less than {least:.1%}"
    return ""


def _unusable(found: Cut, recipe: Recipe) -> str:
    blurred, most = found.blurred_fraction(), recipe.quality.max_blurred_fraction
    if blurred > most:
        return f"out of focus: {blurred:.0%} of the tissue patches are blurred, more than {most:.0%}"
    if len(found.patches) == 0:
        counts = [
            f"{found.count(status)} {status.name.lower().replace('_', ' ')}"
            for status in PatchStatus
            if found.count(status)
        ]
        return f"no usable patch ({', '.join(counts) or 'the image is smaller than a patch'})"
    return ""


def _pooled_pixels(patches: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """Stained pixels of all patches, the same number from each so that memory stays small, (P, 3)."""
    each = max(1, -(-4 * recipe.stain.max_pixels // len(patches)))
    generator = np.random.default_rng(recipe.stain.seed)
    pools = []
    for patch in patches:
        pixels = patch.reshape(-1, 3)
        if each < len(pixels):
            pixels = pixels[generator.choice(len(pixels), each, replace=False, shuffle=False)]
        pools.append(pixels[is_stained(pixels, recipe.stain.tissue_max_lightness)])
    return np.concatenate(pools)


def _stains(recipe: Recipe) -> bool:
    return recipe.stain.method != "none"


def _normalise_in_place(
    patches: NDArray[np.uint8],
    stain: StainFit | None,
    recipe: Recipe,
    device: str | torch.device,
    shares: Shares,
) -> list[float]:
    """Normalise patches where they lie; returns the means of red, green and blue before."""

    def normalise_batch(start: int) -> NDArray[np.int64]:
        batch = patches[start : start + STAIN_BATCH]
        with shares.of("stain"):
            sums = np.sum([planes(patch).sum(axis=1, dtype=np.int64) for patch in batch], axis=0)
            if stain is not None:
                tensor = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
                batch[:] = normalise(tensor, stain, recipe.stain).permute(0, 2, 3, 1).cpu().numpy()
        return np.asarray(sums)

    sums = spread(normalise_batch, range(0, len(patches), STAIN_BATCH))
    return [float(value) for value in np.sum(sums, axis=0) / (patches.size // 3)]


def _excluded(facts: _Facts, found: Cut, reason: str, shares: Shares) -> PreparedImage:
    """An image without patches; usable ones that are given up count as not sampled."""
    status = np.where(found.status == PatchStatus.USABLE, PatchStatus.NOT_SAMPLED, found.status).astype(np.uint8)
    given_up = Cut(found.coords, status, found.patches[:0])
    blurred = found.blurred_fraction()
    image = facts.prepared(given_up, status="excluded", reason=reason, seconds=shares.seconds())
    return replace(image, blurred_fraction=blurred)
