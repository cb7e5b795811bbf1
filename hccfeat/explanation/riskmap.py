"""Patch risks of one slide: classes at a threshold, colours, and an overlay in the slide's geometry."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from hccfeat.errors import InputError
from hccfeat.units import Level0Px, MicronsPerPx

Rgb = tuple[int, int, int]
HIGH, BETWEEN, LOW = 1, 0, -1
# Vermilion and blue of Okabe and Ito: told apart by every kind of colour vision, and no colour of H&E.
COLOURS: dict[int, Rgb] = {HIGH: (213, 94, 0), BETWEEN: (235, 225, 205), LOW: (0, 114, 178)}
NAMES = {HIGH: "high risk", BETWEEN: "between", LOW: "low risk"}
OPACITY = 0.6
LONGEST_OVERLAY_PX = 4096

_SCALE = LinearSegmentedColormap.from_list(
    "risk", [tuple(c / 255 for c in COLOURS[k]) for k in (LOW, BETWEEN, HIGH)]
)


@dataclass(frozen=True)
class RiskMap:
    """Recurrence probability of the patches of one slide.

    Attributes
    ----------
    coords : int64, (N, 2)
        Level-0 x, y of the patches' top-left corners.
    side : Level0Px
        Side of a patch on level 0.
    probability : float32, (N,)
        Of recurrence, by patch.
    width, height : Level0Px
        Of the slide's level 0.
    mpp : MicronsPerPx
        Micrometres per pixel of level 0.

    Raises
    ------
    InputError
        If arrays disagree, a probability is none, or a patch lies outside the slide.
    """

    coords: NDArray[np.int64]
    side: Level0Px
    probability: NDArray[np.float32]
    width: Level0Px
    height: Level0Px
    mpp: MicronsPerPx

    def __post_init__(self) -> None:
        if self.coords.shape != (len(self.probability), 2):
            raise InputError("risk map", "needs one x, y per probability", "Give the rows of one shard.")
        if not ((self.probability >= 0) & (self.probability <= 1)).all():
            raise InputError("risk map", "has values that are no probabilities", "Give numbers from 0 to 1.")
        if len(self.coords) and (
            self.coords.min() < 0 or ((self.coords + self.side) > (self.width, self.height)).any()
        ):
            raise InputError("risk map", "has patches outside the slide", "Give the slide they were cut from.")

    def classes(self, threshold: float) -> NDArray[np.int8]:
        """Class of each patch, (N,): HIGH from ``threshold`` on, LOW up to ``1 - threshold``, else BETWEEN.

        The four thresholds of P1's Figure 3B-C are mirrored for low risk (P1 reading 38).

        Raises
        ------
        InputError
            If the threshold is below 0.5, where the classes would overlap, or not below 1.
        """
        if not 0.5 <= threshold < 1:
            raise InputError(f"risk threshold {threshold}", "is not from 0.5 to below 1", "Give another.")
        classes = np.full(len(self.probability), BETWEEN, np.int8)
        classes[self.probability <= np.float32(1 - threshold)] = LOW
        classes[self.probability >= np.float32(threshold)] = HIGH
        return classes

    def counts(self, threshold: float) -> dict[int, int]:
        """Number of patches of each class."""
        classes = self.classes(threshold)
        return {kind: int((classes == kind).sum()) for kind in COLOURS}


def class_colours(classes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Colours of classes, uint8 (N, 3)."""
    table = np.array([COLOURS[kind] for kind in (LOW, BETWEEN, HIGH)], np.uint8)
    return table[classes.astype(np.int64) + 1]


def risk_colours(probability: NDArray[np.floating], low: float = 0.0, high: float = 1.0) -> NDArray[np.uint8]:
    """Colours of probabilities from ``low`` (blue) over pale to ``high`` (vermilion): uint8 (..., 3)."""
    span = high - low
    values = np.asarray(probability, np.float64)
    share = (values - low) / span if span > 0 else np.full_like(values, 0.5)
    return np.asarray(_SCALE(np.clip(share, 0, 1), bytes=True)[..., :3])


def painted(risk: RiskMap, colours: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay the patches' colours over a picture of the whole slide, whose own colours fade to grey.

    Parameters
    ----------
    risk : RiskMap
        Where the patches lie.
    colours : uint8, (N, 3)
        One per patch.
    background : uint8, (h, w, 3)
        The slide at any scale.

    Returns
    -------
    uint8, (h, w, 3)
    """
    grey = (background.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
    result = np.repeat(grey[..., None], 3, axis=2)
    scale = np.array([background.shape[1] / risk.width, background.shape[0] / risk.height])
    corners = np.rint(risk.coords * scale).astype(np.int64)
    ends = np.maximum(np.rint((risk.coords + risk.side) * scale).astype(np.int64), corners + 1)
    for (left, top), (right, bottom), colour in zip(corners, ends, colours, strict=True):
        under = result[top:bottom, left:right].astype(np.float32)
        mixed = (1 - OPACITY) * under + OPACITY * colour.astype(np.float32)
        result[top:bottom, left:right] = np.rint(mixed).astype(np.uint8)
    return result


def overlay_factor(risk: RiskMap, longest: int = LONGEST_OVERLAY_PX) -> int:
    """Smallest power of two that brings the slide's longer side to at most ``longest`` pixels."""
    factor = 1
    while max(risk.width, risk.height) > longest * factor:
        factor *= 2
    return factor
