"""8-bit images as optical density, and channel by channel."""

import numpy as np
from numpy.typing import NDArray

OPTICAL_DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
"""Natural optical density of a grey level, ``-ln(max(I, 1) / 255)``; index it with uint8."""
OPTICAL_DENSITY.flags.writeable = False


def planes(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green and blue apart, uint8 (..., 3) to contiguous (3, P): arithmetic is several times as fast there."""
    return np.ascontiguousarray(rgb.reshape(-1, 3).T)
