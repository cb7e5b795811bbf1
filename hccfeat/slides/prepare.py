"""From a slide file to normalised patches ready for an encoder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.base import Slide, SlideInfo
from hccfeat.slides.patches import PatchStatus, focus, is_blank, patch_size_level0, plan_grid
from hccfeat.slides.readers import open_slide
from hccfeat.slides.stain import StainFit, fit_stain, is_stained, normalise
from hccfeat.slides.tissue import TissueRule, tissue_mask, tissue_rule
from hccfeat.units import Level0Px

MAX_UPSAMPLING = 1.5
MAX_READ_ERRORS = 0.5


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


def prepare_image(
    path: Path, image_id: str, recipe: Recipe, *, mpp: float | None = None, device: str | torch.device = "cpu"
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

    Returns
    -------
    PreparedImage

    Raises
    ------
    SlideError
        If the file cannot be used at all, or most of its patches cannot be read.
    """
    with open_slide(path, mpp) as slide:
        size = patch_size_level0(slide.info, recipe.patches)
        thumbnail = slide.thumbnail(recipe.tissue.thumbnail_mpp)
        mask = tissue_mask(thumbnail.rgb, slide.info.mpp * thumbnail.downsample, recipe.tissue)
        fraction = float(mask.mean())
        problem = _unfit(slide.info, fraction, recipe)
        if problem:
            return _excluded(image_id, slide.info, size, fraction, _Cut.empty(recipe), problem)
        rule = tissue_rule(thumbnail.rgb, recipe.tissue)
        # What the thumbnail could not read stays a candidate: the patch then fails with a status of its own.
        candidates = plan_grid(slide.info, mask | thumbnail.unread, thumbnail.downsample, recipe.patches)
        cut = _cut(slide, candidates, size, rule, recipe, image_id)
        info = slide.info
    problem = _unusable(cut, recipe)
    if problem:
        return _excluded(image_id, info, size, fraction, cut, problem)
    return _finished(image_id, info, size, fraction, cut, recipe, device)


@dataclass(frozen=True)
class _Cut:
    """Candidates in row order with their status, and the pixels of the usable ones."""

    coords: NDArray[np.int64]
    status: NDArray[np.uint8]
    patches: NDArray[np.uint8]

    @classmethod
    def empty(cls, recipe: Recipe) -> "_Cut":
        side = recipe.patches.size_px
        none = np.empty((0, side, side, 3), np.uint8)
        return cls(np.empty((0, 2), np.int64), np.empty(0, np.uint8), none)

    def count(self, status: PatchStatus) -> int:
        return int((self.status == status).sum())

    def blurred_fraction(self) -> float:
        blurred, usable = self.count(PatchStatus.BLURRED), self.count(PatchStatus.USABLE)
        return blurred / (blurred + usable) if blurred + usable else 0.0


def _cut(
    slide: Slide, candidates: NDArray[np.int64], size: Level0Px, rule: TissueRule, recipe: Recipe, image_id: str
) -> _Cut:
    status = np.full(len(candidates), PatchStatus.NOT_SAMPLED, np.uint8)
    kept: dict[int, NDArray[np.uint8]] = {}
    wanted = recipe.patches.per_image if recipe.patches.per_image is not None else len(candidates)
    for index in _visiting_order(len(candidates), recipe.patches.seed, image_id):
        if len(kept) == wanted:
            break
        x, y = (Level0Px(int(value)) for value in candidates[index])
        try:
            patch = slide.read(x, y, size, recipe.patches.size_px)
        except SlideError:
            status[index] = PatchStatus.READ_ERROR
            continue
        status[index] = _judged(patch, rule, recipe)
        if status[index] == PatchStatus.USABLE:
            kept[index] = patch
    _refuse_if_damaged(slide.path, status)
    side = recipe.patches.size_px
    patches = np.empty((len(kept), side, side, 3), np.uint8)
    for place, index in enumerate(sorted(kept)):
        patches[place] = kept.pop(index)
    return _Cut(candidates, status, patches)


def _visiting_order(count: int, seed: int, image_id: str) -> list[int]:
    digest = hashlib.sha256(f"{seed}:{image_id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return [int(index) for index in generator.permutation(count)]


def _judged(patch: NDArray[np.uint8], rule: TissueRule, recipe: Recipe) -> PatchStatus:
    if is_blank(patch):
        return PatchStatus.BLANK
    if 1.0 - float(rule.is_tissue(patch).mean()) > recipe.patches.max_background:
        return PatchStatus.BACKGROUND
    if recipe.quality.min_focus > 0 and focus(patch) < recipe.quality.min_focus:
        return PatchStatus.BLURRED
    return PatchStatus.USABLE


def _refuse_if_damaged(path: Path, status: NDArray[np.uint8]) -> None:
    tried = int((status != PatchStatus.NOT_SAMPLED).sum())
    failed = int((status == PatchStatus.READ_ERROR).sum())
    if tried and failed / tried > MAX_READ_ERRORS:
        problem = f"{failed} of {tried} patches cannot be read"
        raise SlideError(FailureKind.UNREADABLE, str(path), problem, "Copy or scan the slide again.")


def _unfit(info: SlideInfo, tissue_fraction: float, recipe: Recipe) -> str:
    if info.mpp > MAX_UPSAMPLING * recipe.patches.target_mpp:
        return f"too coarse: {info.mpp:.3g} um/px, patches need {recipe.patches.target_mpp:.3g} um/px"
    if tissue_fraction < recipe.quality.min_tissue_fraction:
        least = recipe.quality.min_tissue_fraction
        return f"lost tissue: {tissue_fraction:.1%} of the image is tissue, less than {least:.1%}"
    return ""


def _unusable(cut: _Cut, recipe: Recipe) -> str:
    blurred, most = cut.blurred_fraction(), recipe.quality.max_blurred_fraction
    if blurred > most:
        return f"out of focus: {blurred:.0%} of the tissue patches are blurred, more than {most:.0%}"
    if len(cut.patches) == 0:
        counts = [
            f"{cut.count(status)} {status.name.lower().replace('_', ' ')}"
            for status in PatchStatus
            if cut.count(status)
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


def _finished(
    image_id: str,
    info: SlideInfo,
    size: int,
    tissue_fraction: float,
    cut: _Cut,
    recipe: Recipe,
    device: str | torch.device,
) -> PreparedImage:
    usable = cut.status == PatchStatus.USABLE
    red, green, blue = (float(value) for value in cut.patches.mean(axis=(0, 1, 2)))
    stain = None
    patches = cut.patches
    if recipe.stain.method != "none":
        stain = fit_stain(_pooled_pixels(patches, recipe), recipe.stain)
        tensor = torch.from_numpy(patches).to(device).permute(0, 3, 1, 2)
        patches = normalise(tensor, stain, recipe.stain).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return PreparedImage(
        image_id=image_id,
        patches=patches,
        coords=cut.coords[usable],
        skipped_coords=cut.coords[~usable],
        skipped_status=cut.status[~usable],
        info=info,
        patch_size_level0=size,
        stain=stain,
        tissue_fraction=tissue_fraction,
        blurred_fraction=cut.blurred_fraction(),
        mean_rgb=(red, green, blue),
        status="ok",
        reason="",
    )


def _excluded(
    image_id: str, info: SlideInfo, size: int, tissue_fraction: float, cut: _Cut, reason: str
) -> PreparedImage:
    """An image without patches; usable ones that are given up count as not sampled."""
    status = np.where(cut.status == PatchStatus.USABLE, PatchStatus.NOT_SAMPLED, cut.status).astype(np.uint8)
    return PreparedImage(
        image_id=image_id,
        patches=cut.patches[:0],
        coords=cut.coords[:0],
        skipped_coords=cut.coords,
        skipped_status=status,
        info=info,
        patch_size_level0=size,
        stain=None,
        tissue_fraction=tissue_fraction,
        blurred_fraction=cut.blurred_fraction(),
        mean_rgb=(0.0, 0.0, 0.0),
        status="excluded",
        reason=reason,
    )
