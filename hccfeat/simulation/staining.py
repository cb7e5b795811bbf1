"""From stain concentrations to RGB as one laboratory and scanner would show them, independent of A."""

from dataclasses import dataclass

import numpy as np

from hccfeat.simulation.parameters import Scanner

# What an average field is made of: share, haematoxylin and eosin concentration of nuclei, cytoplasm, connective
# tissue and gaps. Only a common yardstick for how dark a field stained with given strengths should look.
_TYPICAL_SHARE = np.array([0.14, 0.56, 0.20, 0.10])
_TYPICAL = np.array([[1.20, 0.40], [0.12, 0.62], [0.10, 0.75], [0.02, 0.06]])

_SAMPLE, _NEWTON_STEPS = 8_000, 7


@dataclass(frozen=True)
class Stain:
    """Stain of one image.

    Attributes
    ----------
    vectors : float64 (2, 3)
        Optical-density unit vectors (natural logarithm), haematoxylin first.
    strength : float64 (2,)
        Intended strength of haematoxylin and eosin.
    white : float64 (3,)
        RGB of bare glass, 0 to 255.
    camera_sd : float
        Noise of the camera, grey levels.
    """

    vectors: np.ndarray
    strength: np.ndarray
    white: np.ndarray
    camera_sd: float


def draw_stain(scanner: Scanner, rng: np.random.Generator) -> Stain:
    """Draw vectors, strengths and white point of one image around those of its laboratory."""
    vectors = np.array([scanner.haematoxylin, scanner.eosin])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = np.tan(np.deg2rad(scanner.vector_noise_degrees)) / np.sqrt(2) * rng.standard_normal((2, 3))
    noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
    vectors = np.maximum(vectors + noise, 0.02)
    strength = np.array(scanner.strength) * np.exp(np.array(scanner.strength_log_sd) * rng.standard_normal(2))
    white = np.clip(np.array(scanner.white) + scanner.white_sd * rng.standard_normal(3), 220, 255)
    return Stain(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        np.clip(strength, 0.5, 1.9),
        white,
        scanner.camera_sd,
    )


def develop(concentrations: np.ndarray, tissue: np.ndarray, stain: Stain) -> np.ndarray:
    """Scale both stains so that the tissue's mean colour is that of an average field so stained.

    A laboratory stains, and a scanner exposes, for a usual overall look. Here it keeps the mean colour of a field
    free of the amount of nuclear material, hence of A: fields with more chromatin get a weaker stain.

    Parameters
    ----------
    concentrations : float32 (2, H, W)
        Haematoxylin and eosin before staining.
    tissue : float32 (H, W)
        Share of tissue of each pixel, 0 to 1.
    stain : Stain

    Returns
    -------
    float32 (2, H, W)
        Concentrations as stained.
    """
    step = max(1, int(np.sqrt(tissue.size / _SAMPLE)))
    kept = tissue[::step, ::step] > 0.9
    if kept.sum() < 50:
        return concentrations * stain.strength.astype(np.float32)[:, None, None]
    sample = concentrations[:, ::step, ::step][:, kept].astype(np.float64)
    goal = _TYPICAL_SHARE @ np.exp(-(_TYPICAL * stain.strength) @ stain.vectors)
    log_strength = np.log(stain.strength)
    for _ in range(_NEWTON_STEPS):
        stained = sample * np.exp(log_strength)[:, None]
        shown = np.exp(-stain.vectors.T @ stained)
        gap = goal - shown.mean(axis=1)
        slope = -stain.vectors.T * (shown @ stained.T) / sample.shape[1]
        change = np.linalg.lstsq(slope, gap, rcond=None)[0]
        log_strength = np.clip(log_strength + np.clip(change, -0.5, 0.5), np.log(0.25), np.log(4.0))
    return concentrations * np.exp(log_strength).astype(np.float32)[:, None, None]


def to_rgb(concentrations: np.ndarray, stain: Stain) -> np.ndarray:
    """Transmitted light, float32 (H, W, 3), 0 to 255 before camera noise, of concentrations (2, H, W)."""
    density = np.einsum("khw,kc->hwc", concentrations, stain.vectors.astype(np.float32))
    return np.exp(-density) * stain.white.astype(np.float32)
