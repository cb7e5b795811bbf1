"""A small picture of a prepared volume."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hccfeat.mri.preprocess import PreparedVolume
from hccfeat.mri.volume import spacing_of

WIDTH_PX = 384
_GREYS = (1.0, 99.5)


def preview_png(prepared: PreparedVolume) -> bytes:
    """Draw the three middle planes side by side: axial, coronal, sagittal.

    As radiologists look at them: the patient's right is on the left, the front of the axial and the head of the
    other planes are on top, the front of the sagittal plane is on the left.

    Parameters
    ----------
    prepared : PreparedVolume

    Returns
    -------
    bytes
        An 8-bit greyscale PNG of at most 384 pixels width, in true proportions, black from the 1st to white at the
        99.5th percentile; no metadata; the same bytes for the same voxels.
    """
    low, high = np.percentile(prepared.array, _GREYS)
    scale = 255.0 / max(float(high - low), 1e-6)
    grey = np.clip((prepared.array - low) * scale, 0, 255).astype(np.uint8)
    z, y, x = (side // 2 for side in grey.shape)
    dx, dy, dz = spacing_of(prepared.affine)
    planes = (
        (grey[z, ::-1, ::-1], dx, dy),
        (grey[::-1, y, ::-1], dx, dz),
        (grey[::-1, ::-1, x], dy, dz),
    )
    px_per_mm = WIDTH_PX / sum(plane.shape[1] * across for plane, across, _ in planes)
    pictures = [_drawn(plane, across * px_per_mm, down * px_per_mm) for plane, across, down in planes]
    width, height = sum(picture.width for picture in pictures), max(picture.height for picture in pictures)
    sheet = Image.new("L", (width, height))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, (sheet.height - picture.height) // 2))
        left += picture.width
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _drawn(plane: NDArray[np.uint8], across: float, down: float) -> Image.Image:
    size = (max(1, int(plane.shape[1] * across)), max(1, int(plane.shape[0] * down)))
    return Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BILINEAR)
