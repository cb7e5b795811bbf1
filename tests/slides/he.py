"""Small H&E-like images and slide files made by the tests."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

VECTORS = np.array([[0.55, 0.74, 0.39], [0.28, 0.81, 0.52]])
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def he_image(height: int, width: int, seed: int = 0, vectors: NDArray[np.float64] = VECTORS) -> NDArray[np.uint8]:
    """Pink tissue with round dark nuclei, rendered through two stain vectors."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    nuclei = np.zeros((height, width))
    for _ in range(height * width // 400):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(3, 5)
        nuclei[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 1.0
    eosin = 0.45 + 0.15 * rng.random((height, width))
    haematoxylin = nuclei * (1.0 + 0.2 * rng.random((height, width)))
    codes = np.stack([haematoxylin, eosin * (1 - 0.9 * nuclei)], -1)
    return np.rint(255 * np.exp(-codes @ vectors)).astype(np.uint8)


def on_glass(tissue: NDArray[np.uint8], height: int, width: int, glass: int = 245) -> NDArray[np.uint8]:
    """Tissue in the top-left corner of an otherwise empty field."""
    field = np.full((height, width, 3), glass, np.uint8)
    field[: tissue.shape[0], : tissue.shape[1]] = tissue
    return field


def write_pyramid(path: Path, rgb: NDArray[np.uint8], mpp: float, levels: int = 2) -> None:
    """A tiled, deflated, pyramidal TIFF with its resolution in pixels per centimetre."""
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels):
            step = 2**level
            writer.write(
                rgb[::step, ::step],
                tile=(64, 64),
                photometric="rgb",
                compression="zlib",
                resolution=(1e4 / (mpp * step), 1e4 / (mpp * step)),
                resolutionunit="CENTIMETER",
                subfiletype=int(level > 0),
            )
