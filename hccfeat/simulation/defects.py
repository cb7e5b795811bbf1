"""Faults of real images: folds, pen marks, areas or whole images out of focus."""

import numpy as np
from scipy.ndimage import gaussian_filter

OUT_OF_FOCUS_UM = 4.0
"""Standard deviation of the blur of what is out of focus."""

_INKS = np.array([[0.16, 0.22, 0.72], [0.10, 0.48, 0.22], [0.10, 0.10, 0.12]], np.float32)


def fold(concentrations: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Double the tissue along a slightly bent band 14 to 30 um wide; concentrations (2, H, W)."""
    along, across = _line(concentrations.shape[1:], mpp, rng)
    side = concentrations.shape[1] * mpp
    bend = 0.06 * side * np.sin(2 * np.pi * along / side + rng.uniform(0, 6))
    band = np.clip((rng.uniform(7, 15) - np.abs(across + bend)) / 2 + 0.5, 0, 1).astype(np.float32)
    return concentrations * (1 + 1.1 * band)


def pen(rgb: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """A blue, green or black stroke 35 to 70 um wide across a corner; rgb float32 (H, W, 3), 0 to 255."""
    along, across = _line(rgb.shape[:2], mpp, rng, off_centre=0.3)
    side = rgb.shape[0] * mpp
    across = across + 0.04 * side * np.sin(2.5 * np.pi * along / side + rng.uniform(0, 6))
    ink = np.clip((rng.uniform(17, 35) - np.abs(across)) / 5 + 0.5, 0, 1).astype(np.float32)[..., None] * 0.93
    colour = _INKS[rng.integers(len(_INKS))] * 255
    return rgb * (1 - ink) + colour * (0.75 + 0.25 * rgb / 255) * ink


def blurred_area(concentrations: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Put 15 to 35 % of the width out of focus, on one side."""
    _, across = _line(concentrations.shape[1:], mpp, rng, off_centre=0.0)
    side = concentrations.shape[1] * mpp
    across = across - side * (0.5 - rng.uniform(0.15, 0.35))
    weight = np.clip(across / 20 + 0.5, 0, 1).astype(np.float32)
    return concentrations * (1 - weight) + out_of_focus(concentrations, mpp) * weight


def out_of_focus(concentrations: np.ndarray, mpp: float) -> np.ndarray:
    """Blur all of both stains, (2, H, W)."""
    return blur(concentrations, OUT_OF_FOCUS_UM, mpp)


def blur(concentrations: np.ndarray, sigma_um: float, mpp: float) -> np.ndarray:
    """Gaussian blur of each stain, (2, H, W)."""
    return np.stack(
        [gaussian_filter(stain, sigma_um / mpp, mode="nearest", truncate=3.0) for stain in concentrations]
    )


def _line(
    shape: tuple[int, ...], mpp: float, rng: np.random.Generator, off_centre: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Distance along and across a random line near the centre, micrometres, two arrays (H, W)."""
    angle, side = rng.uniform(0, 2 * np.pi), shape[0] * mpp
    rows = (np.arange(shape[0])[:, None] + 0.5) * mpp - side / 2
    columns = (np.arange(shape[1])[None, :] + 0.5) * mpp - side / 2
    shift = rng.uniform(-0.1, 0.1) * side + off_centre * side
    along = -np.sin(angle) * columns + np.cos(angle) * rows
    return along, np.cos(angle) * columns + np.sin(angle) * rows - shift
