"""Optical density of 8-bit images."""

import numpy as np

OPTICAL_DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
"""Natural optical density of a grey level, ``-ln(max(I, 1) / 255)``; index it with uint8."""
OPTICAL_DENSITY.flags.writeable = False
