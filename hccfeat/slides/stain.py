"""Vahadane stain separation: fitted once per slide, applied to patches in closed form."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.config import StainRecipe
from hccfeat.errors import InputError
from hccfeat.slides.dictionary import binned, learn_dictionary, sparse_codes
from hccfeat.slides.optical import OPTICAL_DENSITY

MIN_PIXELS = 1000
MIN_ANGLE_DEGREES = 5.0
MIN_CONCENTRATION = 0.05
GLASS_MIN_LEVEL = 200
GLASS_MAX_SPREAD = 12
PERCENTILE = 99.0

_START = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_LUMINANCE = np.array([0.2126729, 0.7151522, 0.0721750], np.float32)


@dataclass(frozen=True)
class StainFit:
    """The stains of one slide.

    Attributes
    ----------
    vectors : float64 (2, 3)
        Unit optical-density vectors (red, green, blue), haematoxylin first.
    concentrations99 : float64 (2,)
        99th percentile of each stain's concentration over the tissue pixels, natural optical density.
    pixels : int
        Tissue pixels that the fit saw.
    accepted : bool
        Whether patches are normalised with it; if not they are left as they are.
    reason : str
        Why it was not accepted; empty otherwise.
    """

    vectors: NDArray[np.float64]
    concentrations99: NDArray[np.float64]
    pixels: int
    accepted: bool
    reason: str


def is_stained(rgb: NDArray[np.uint8], max_lightness: float) -> NDArray[np.bool_]:
    """Tell stained pixels by CIELAB lightness below ``max_lightness`` (sRGB, D65): uint8 (..., 3) to bool (...).

    Lightness rises with luminance alone, so the test is made there, without the colour conversion.
    """
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92).astype(np.float32)
    scaled = (max_lightness + 16) / 116
    limit = scaled**3 if scaled > 6 / 29 else 3 * (6 / 29) ** 2 * (scaled - 4 / 29)
    luminance = sum(linear[rgb[..., channel]] * _LUMINANCE[channel] for channel in range(3))
    return np.asarray(luminance < limit)


def fit_vahadane(
    rgb: NDArray[np.uint8],
    *,
    lambda1: float = 0.1,
    tissue_max_lightness: float = 80.0,
    max_pixels: int | None = None,
    seed: int = 2023,
) -> NDArray[np.float64]:
    """Stain vectors of an H&E image by non-negative sparse dictionary learning (Vahadane et al. 2016).

    Optical density is ``-ln(max(I, 1) / 255)``; tissue is CIELAB L* below ``tissue_max_lightness``. The result
    is deterministic, and within 1 degree of SPAMS's on real images.

    Parameters
    ----------
    rgb : uint8 (..., 3)
        An image, or pixels.
    lambda1 : float
        Weight of the sparsity of the codes.
    tissue_max_lightness : float
        Upper end of L* of tissue.
    max_pixels : int, optional
        Draw at most this many tissue pixels.
    seed : int
        Of that drawing.

    Returns
    -------
    float64 (2, 3)
        Unit vectors of red, green and blue optical density, haematoxylin (the larger red component) first.

    Raises
    ------
    InputError
        If no pixel is tissue.
    """
    stained = rgb[is_stained(rgb, tissue_max_lightness)]
    if len(stained) == 0:
        problem = f"no pixel is darker than L* {tissue_max_lightness:g}"
        raise InputError("stain fit", problem, "Give an image that shows stained tissue.")
    if max_pixels is not None and len(stained) > max_pixels:
        chosen = np.random.default_rng(seed).choice(len(stained), max_pixels, replace=False, shuffle=False)
        stained = stained[chosen]
    points, counts = binned(OPTICAL_DENSITY[stained].astype(np.float64))
    start = _START / np.linalg.norm(_START, axis=1, keepdims=True)
    vectors = learn_dictionary(points, counts, start, lambda1)
    vectors = vectors[np.argsort(-vectors[:, 0], kind="stable")]
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def fit_stain(tissue_pixels: NDArray[np.uint8], recipe: StainRecipe) -> StainFit:
    """Fit the stains of one slide and judge the fit.

    Not accepted are: fewer than 1,000 stained pixels, vectors less than 5 degrees apart (one stain, or none),
    a stain that hardly occurs. Then patches are left unnormalised, and the reason is kept.

    Parameters
    ----------
    tissue_pixels : uint8 (P, 3)
        Pooled over the slide; those too light to be stained are ignored.
    recipe : StainRecipe

    Returns
    -------
    StainFit
    """
    stained = tissue_pixels[is_stained(tissue_pixels, recipe.tissue_max_lightness)]
    if len(stained) > recipe.max_pixels:
        generator = np.random.default_rng(recipe.seed)
        stained = stained[generator.choice(len(stained), recipe.max_pixels, replace=False, shuffle=False)]
    if len(stained) < MIN_PIXELS:
        return StainFit(*_neutral(recipe), len(stained), False, f"only {len(stained)} stained pixels")
    vectors = fit_vahadane(stained, lambda1=recipe.lambda1, tissue_max_lightness=recipe.tissue_max_lightness)
    angle = float(np.degrees(np.arccos(np.clip(vectors[0] @ vectors[1], -1.0, 1.0))))
    if angle < MIN_ANGLE_DEGREES:
        reason = f"the two stains are only {angle:.1f} degrees apart"
        return StainFit(vectors, _neutral(recipe)[1], len(stained), False, reason)
    codes = sparse_codes(OPTICAL_DENSITY[stained].astype(np.float64), vectors, 0.0)
    concentrations = np.percentile(codes, PERCENTILE, axis=0)
    if concentrations.min() < MIN_CONCENTRATION:
        name = ("haematoxylin", "eosin")[int(concentrations.argmin())]
        return StainFit(vectors, concentrations, len(stained), False, f"hardly any {name}")
    return StainFit(vectors, concentrations, len(stained), True, "")


def _neutral(recipe: StainRecipe) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Target vectors and concentrations: with them, normalisation would change nothing."""
    vectors = np.array(recipe.target_vectors, np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.array(recipe.target_concentrations, np.float64)


def normalise(patches: torch.Tensor, fit: StainFit, recipe: StainRecipe) -> torch.Tensor:
    """Give patches the stain vectors and strengths of the recipe's target.

    Each pixel's two concentrations are its exact non-negative least squares on the slide's vectors (a clamp of
    the pseudo-inverse between 0 and the projection on one stain), scaled by the ratio of the 99th percentiles,
    and rendered with the target's vectors. Glass (every channel at least 200, and within 12 of the others)
    stays byte-identical.

    Parameters
    ----------
    patches : torch.Tensor, uint8 (N, 3, H, W)
        On any device; the work is done there.
    fit : StainFit
        Of the slide the patches are from. If not accepted, the patches are returned as they are.
    recipe : StainRecipe

    Returns
    -------
    torch.Tensor, uint8 (N, 3, H, W)
    """
    if not fit.accepted or recipe.method == "none" or len(patches) == 0:
        return patches
    target, target99 = _neutral(recipe)
    unmix = np.linalg.pinv(fit.vectors).T
    render = -(target * (target99 / fit.concentrations99)[:, None]).T

    def on_device(values: NDArray[np.floating]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=patches.device)

    apply = _Rendering(
        on_device(OPTICAL_DENSITY), on_device(np.concatenate([unmix, fit.vectors])), on_device(render)
    )
    result = torch.empty_like(patches)
    # On a CPU one patch at a time stays in the cache; a GPU wants them in larger pieces.
    step = 1 if patches.device.type == "cpu" else 64
    for start in range(0, len(patches), step):
        piece = slice(start, start + step)
        shown = apply(patches[piece].transpose(0, 1).contiguous())
        for channel in range(3):  # on a CPU faster than all at once
            result[piece, channel] = shown[channel]
    return result


class _Rendering:
    """Colours to concentrations to colours, in memory that pieces of equal size share."""

    def __init__(self, density: torch.Tensor, mixing: torch.Tensor, render: torch.Tensor) -> None:
        self.density, self.mixing, self.render = density, mixing, render
        self.optical = density.new_empty((3, 0))
        self.both = density.new_empty((4, 0))

    def __call__(self, channels: torch.Tensor) -> torch.Tensor:
        """Normalise uint8 (3, n, H, W)."""
        pixels = channels.view(3, -1)
        if self.optical.shape[1] != pixels.shape[1]:
            self.optical = self.optical.new_empty(pixels.shape)
            self.both = self.both.new_empty((4, pixels.shape[1]))
        torch.index_select(self.density, 0, pixels.view(-1).int(), out=self.optical.view(-1))
        torch.mm(self.mixing, self.optical, out=self.both)
        codes = torch.minimum(self.both[:2], self.both[2:], out=self.both[:2]).clamp_(min=0.0)
        torch.mm(self.render, codes, out=self.optical)
        # by way of int32, and without `where`: on a CPU both are several times as fast
        shown = self.optical.exp_().mul_(255.0).add_(0.5).int().to(torch.uint8)
        red, green, blue = pixels
        high = torch.maximum(torch.maximum(red, green), blue)
        low = torch.minimum(torch.minimum(red, green), blue)
        glass = (low >= GLASS_MIN_LEVEL) & (high - low <= GLASS_MAX_SPREAD)
        # modulo 256, so that this is the pixel itself where there is glass
        return shown.add_((pixels - shown).mul_(glass)).view_as(channels)
