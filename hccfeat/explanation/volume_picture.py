"""Saliency of one exam as files: a picture of planes with the map laid over them, and NIfTI on the grid as read."""

import gzip
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hccfeat.errors import InputError
from hccfeat.explanation.drawing import ALARM, FAINT, HEAT, INK, PAPER, SIMULATED, font, png
from hccfeat.models.mri_base import PHASES
from hccfeat.mri.preprocess import PreparedVolume, to_input_grid
from hccfeat.mri.volume import Volume

PANEL_PX = 190
OPACITY = 0.75
PHASE_NAMES = {"pre": "PRE", "hbp": "HBP"}
_GREYS = (1.0, 99.5)
_PLANES = (("axial", "R"), ("axial, map", "R"), ("coronal, map", "R"), ("sagittal, map", "A"))
_LEFT, _GAP, _HEAD, _FOOT = 52, 8, 62, 48


def saliency_png(
    volumes: NDArray[np.float32],
    maps: NDArray[np.float32],
    spacing_mm: Sequence[float],
    title: str,
    *,
    note: str = "",
    simulated: bool = False,
) -> bytes:
    """Draw each phase without and with its map, in the planes through the map's highest place.

    As radiologists look at them: the patient's right is on the left, the front of the axial and the head of the
    other planes are on top, the front of the sagittal plane is on the left (letters R and A). The colours run from
    dark to light, so that every kind of colour vision, and a grey print, keeps their order.

    Parameters
    ----------
    volumes : float32, (2, D, H, W)
        Prepared volumes in the order of ``PHASES``.
    maps : float32, (2, D, H, W)
        As :func:`hccfeat.explanation.volume_saliency.saliency_of_exam` gives them, 0 to 1.
    spacing_mm : three floats
        Millimetres per voxel along z, y, x.
    title : str
        What is explained, for instance the class and its probability.
    note : str
        How it was computed.
    simulated : bool
        Write that the data are simulated.

    Returns
    -------
    bytes
        PNG; equal inputs give equal bytes.

    Raises
    ------
    InputError
        If volumes and maps differ in shape.
    """
    if volumes.shape != maps.shape or volumes.ndim != 4 or len(volumes) != len(PHASES):
        raise InputError("saliency", f"{maps.shape} and volumes {volumes.shape} do not match", "Give one exam.")
    rows = [_panels(volume, values, spacing_mm) for volume, values in zip(volumes, maps, strict=True)]
    widths = [panel.width for panel in rows[0]]
    height = max(panel.height for panel in rows[0])
    wide = max(_LEFT + sum(widths) + _GAP * len(widths), 640)
    picture = Image.new("RGB", (wide, _HEAD + len(rows) * (height + _GAP) + _FOOT), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_GAP, 16), title, INK, font(14, bold=True), anchor="lm")
    starts = [_LEFT + sum(widths[:column]) + _GAP * column for column in range(len(widths))]
    for start, panel_width, (caption, left_side) in zip(starts, widths, _PLANES, strict=True):
        draw.text((start + panel_width // 2, _HEAD - 14), caption, FAINT, font(12), anchor="mm")
        draw.text((start, _HEAD - 14), left_side, FAINT, font(12), anchor="lm")
    for number, (phase, panels) in enumerate(zip(PHASES, rows, strict=True)):
        top = _HEAD + number * (height + _GAP)
        draw.text((_GAP, top + height // 2), PHASE_NAMES[phase], INK, font(13, bold=True), anchor="lm")
        for start, panel in zip(starts, panels, strict=True):
            picture.paste(panel, (start, top + (height - panel.height) // 2))
    _legend(draw, picture.height - 34, note, empty=not maps.any())
    if simulated:
        draw.text((wide - _GAP, 16), SIMULATED, ALARM, font(13, bold=True), anchor="rm")
    return png(picture)


def overlay_nifti(
    values: NDArray[np.float32], prepared: PreparedVolume, volume: Volume, *, simulated: bool = False
) -> bytes:
    """Give the map of one phase on the grid of the volume as read, for any viewer to lay over it.

    Parameters
    ----------
    values : float32, (D, H, W)
        Map on the prepared grid, 0 to 1.
    prepared : PreparedVolume
        The prepared volume, which knows its place.
    volume : Volume
        The volume as read.
    simulated : bool
        Say so in the header's description.

    Returns
    -------
    bytes
        A ``.nii.gz`` of float32, of the volume's shape and affine, 0 outside the prepared grid; equal inputs give
        equal bytes.
    """
    import nibabel as nib

    image = nib.Nifti1Image(to_input_grid(values, prepared, volume), volume.affine, dtype=np.float32)
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = ("hccfeat saliency" + (f", {SIMULATED}" if simulated else "")).encode()
    return gzip.compress(image.to_bytes(), mtime=0)


def _panels(
    volume: NDArray[np.float32], values: NDArray[np.float32], spacing_mm: Sequence[float]
) -> list[Image.Image]:
    """The axial plane, and all three planes with the map, of one phase."""
    low, high = np.percentile(volume, _GREYS)
    grey = np.clip((volume - low) * (255.0 / max(float(high - low), 1e-6)), 0, 255).astype(np.float32)
    if values.max() > 0:
        z, y, x = np.unravel_index(int(values.argmax()), values.shape)
    else:
        z, y, x = (side // 2 for side in values.shape)
    dz, dy, dx = spacing_mm
    field = max(side * step for side, step in zip(volume.shape, spacing_mm, strict=True))
    scale = PANEL_PX / field
    planes = [
        (grey[z, ::-1, ::-1], values[z, ::-1, ::-1], dx, dy),
        (grey[::-1, y, ::-1], values[::-1, y, ::-1], dx, dz),
        (grey[::-1, ::-1, x], values[::-1, ::-1, x], dy, dz),
    ]
    drawn = [
        (_enlarged(under, across * scale, down * scale), _enlarged(over, across * scale, down * scale))
        for under, over, across, down in planes
    ]
    plain = np.zeros_like(drawn[0][1])
    return [_over(drawn[0][0], plain), *(_over(under, over) for under, over in drawn)]


def _enlarged(plane: NDArray[np.float32], across: float, down: float) -> NDArray[np.float32]:
    size = (max(1, round(plane.shape[1] * across)), max(1, round(plane.shape[0] * down)))
    picture = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def _over(grey: NDArray[np.float32], values: NDArray[np.float32]) -> Image.Image:
    """Lay values of 0 to 1 over grey of 0 to 255, opaque where they are high."""
    opacity = OPACITY * np.clip(values, 0, 1)[..., None]
    mixed = grey[..., None] * (1 - opacity) + _colours(values) * opacity
    return Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def _colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(mpl.colormaps[HEAT](np.clip(values, 0, 1), bytes=True)[..., :3])


def _legend(draw: ImageDraw.ImageDraw, top: int, note: str, *, empty: bool) -> None:
    text = font(12)
    words = "speaks for the class:  0"
    draw.text((_GAP, top + 6), words, INK, text, anchor="lm")
    left = _GAP + int(text.getlength(words)) + 8
    for step, colour in enumerate(_colours(np.linspace(0, 1, 100))):
        draw.line((left + step, top, left + step, top + 12), fill=tuple(map(int, colour)))
    end = "1; nothing in this exam does" if empty else "1, the highest in either phase"
    draw.text((left + 108, top + 6), end, INK, text, anchor="lm")
    if note:
        draw.text((_GAP, top + 24), note, FAINT, text, anchor="lm")
