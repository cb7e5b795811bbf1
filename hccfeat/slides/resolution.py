"""Micrometres per pixel: where they may come from, and which values are believed."""

import math
from pathlib import Path
from typing import NamedTuple

from hccfeat.errors import FailureKind, SlideError
from hccfeat.units import MicronsPerPx

SMALLEST_MPP = 0.05
LARGEST_MPP = 16.0
LARGEST_ANISOTROPY = 0.05
MICRONS_PER_INCH = 25_400.0
MICRONS_PER_CM = 10_000.0
MICRONS_PER_M = 1_000_000.0


class Resolution(NamedTuple):
    """Horizontal and vertical micrometres per pixel as a file states them, and which of its fields says so."""

    x: float
    y: float
    source: str


def resolve_mpp(path: Path, override: float | None, stated: Resolution | None) -> tuple[MicronsPerPx, str]:
    """Decide the resolution of a slide.

    An override wins. A value in the file counts only if it is physical: given per inch, centimetre or metre,
    between 0.05 and 16 um per pixel, and square within 5 %. The 72, 96 or 300 dots per inch that image
    programs write by habit are 353, 265 and 85 um per pixel, hence refused. Nothing is ever guessed, neither
    from a magnification nor from the image.

    Parameters
    ----------
    path : Path
        Named in the error.
    override : float or None
        Micrometres per pixel from the manifest.
    stated : Resolution or None
        What the file says.

    Returns
    -------
    mpp : MicronsPerPx
        Mean of both axes.
    source : str
        "override" or the field of the file.

    Raises
    ------
    SlideError
        ``NO_MPP`` if there is no believable value.
    """
    remedy = "Give it in the manifest (column mpp)."
    if override is not None:
        if _plausible(override):
            return MicronsPerPx(float(override)), "override"
        problem = f"the given mpp {override:g} is not between {SMALLEST_MPP:g} and {LARGEST_MPP:g} um/px"
        raise SlideError(FailureKind.NO_MPP, str(path), problem, "Correct it in the manifest (column mpp).")
    if stated is None:
        raise SlideError(FailureKind.NO_MPP, str(path), "the file states no physical resolution (mpp)", remedy)
    if not (_plausible(stated.x) and _plausible(stated.y)):
        problem = f"its {stated.source} means {stated.x:.4g} um/px, which is no microscope's resolution"
        raise SlideError(FailureKind.NO_MPP, str(path), problem, remedy)
    if abs(stated.x - stated.y) > LARGEST_ANISOTROPY * max(stated.x, stated.y):
        problem = f"its pixels are not square ({stated.x:.4g} by {stated.y:.4g} um)"
        raise SlideError(FailureKind.NO_MPP, str(path), problem, remedy)
    return MicronsPerPx((stated.x + stated.y) / 2), stated.source


def per_length(x: float, y: float, microns: float, source: str) -> Resolution | None:
    """Turn pixels per unit of length into micrometres per pixel; None if they are not positive numbers."""
    if not all(math.isfinite(value) and value > 0 for value in (x, y)):
        return None
    return Resolution(microns / x, microns / y, source)


def _plausible(mpp: float) -> bool:
    return math.isfinite(mpp) and SMALLEST_MPP <= mpp <= LARGEST_MPP
