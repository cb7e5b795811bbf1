"""From single slices anywhere in space to one volume, or the reason why they are not one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.mri.volume import Stored, check_size, incomplete, inconsistent

SAME_PLACE_MM = 0.01
STEP_TOLERANCE = 0.05
"""Steps between slices that differ by less than 5 % are equal: headers round, scanners do not wander."""
SIDEWAYS = 0.5
"""Slices may lie this part of a pixel beside the common normal."""
_AS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ONE_SERIES = "Put the slices of one series and one phase into a folder of their own."


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice of a DICOM file, in the terms of DICOM (LPS).

    Attributes
    ----------
    pixels : ndarray of any real dtype, shape (rows, columns)
        With rescale slope and intercept applied.
    position : ndarray of float64, shape (3,)
        Centre of the first pixel, in mm.
    along_row, along_column : ndarray of float64, shape (3,)
        Unit vectors in which the column index and the row index grow.
    spacing : tuple of float
        Millimetres between rows, and between columns.
    series, instance, stack : str
        Identifiers, only to count how many there are.
    acquired_s : float or None
    """

    pixels: NDArray[Any]
    position: NDArray[np.float64]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    spacing: tuple[float, float]
    series: str
    instance: str
    stack: str
    acquired_s: float | None


def stack(frames: list[Frame], format_name: str, entity: str) -> Stored:
    """Sort slices along their normal and check that they make one regular volume.

    Parameters
    ----------
    frames : list of Frame
        In any order.
    format_name : str
        Goes into the facts.
    entity : str

    Returns
    -------
    Stored
        Data (columns, rows, slices); the affine leads to RAS.

    Raises
    ------
    VolumeError
        ``INCONSISTENT``: several series, stacks or volumes, slices of different orientation, matrix or spacing,
        duplicate slices. ``INCOMPLETE``: slices lack, or fewer than four are there.
    """
    _check_alike(frames, entity)
    first = frames[0]
    rows, columns = first.pixels.shape
    check_size((columns, rows, len(frames)), entity)
    normal = np.cross(first.along_row, first.along_column)
    heights = np.array([frame.position @ normal for frame in frames])
    order = np.argsort(heights, kind="stable")
    _check_duplicates([frames[k] for k in order], heights[order], entity)
    step = _checked_step(np.diff(heights[order]), entity)
    ordered = [frames[k] for k in order]
    _check_upright(ordered, normal, entity)
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.spacing[1]
    affine[:3, 1] = first.along_column * first.spacing[0]
    affine[:3, 2] = normal * step
    affine[:3, 3] = ordered[0].position
    data = np.stack([frame.pixels.T for frame in ordered], axis=-1)
    times = [frame.acquired_s for frame in frames if frame.acquired_s is not None]
    return Stored(data, _AS_RAS @ affine, format_name, min(times, default=None))


def _check_alike(frames: list[Frame], entity: str) -> None:
    series = len({frame.series for frame in frames})
    if series > 1:
        problem = f"{series} different series are mixed in {len(frames)} slices"
        raise inconsistent(entity, problem, _ONE_SERIES)
    stacks = len({frame.stack for frame in frames})
    if stacks > 1:
        problem = f"{stacks} stacks (blocks of slices) are in one file"
        raise inconsistent(entity, problem, "Export each stack as a file of its own.")
    first = frames[0]
    shapes = sorted({frame.pixels.shape for frame in frames})
    if len(shapes) > 1:
        sizes = ", ".join(f"{rows} x {columns}" for rows, columns in shapes)
        raise inconsistent(entity, f"slices of different matrix are mixed ({sizes})", _ONE_SERIES)
    if any(not np.allclose(frame.spacing, first.spacing, rtol=1e-3, atol=0) for frame in frames):
        raise inconsistent(entity, "slices of different pixel spacing are mixed", _ONE_SERIES)
    turned = [
        frame
        for frame in frames
        if not np.allclose(frame.along_row, first.along_row, atol=1e-3)
        or not np.allclose(frame.along_column, first.along_column, atol=1e-3)
    ]
    if turned:
        raise inconsistent(entity, "slices of different orientation are mixed", _ONE_SERIES)


def _check_duplicates(frames: list[Frame], heights: NDArray[np.float64], entity: str) -> None:
    """Tell several whole volumes (time points, echoes) from single slices that are there twice."""
    starts = np.flatnonzero(np.diff(heights, prepend=-np.inf) > SAME_PLACE_MM)
    copies = np.diff(starts, append=len(heights))
    if copies.max() == 1:
        return
    distinct = len({frame.instance for frame in frames}) == len(frames)
    if copies.min() == copies.max() and distinct:
        problem = f"it is 4-D: {copies[0]} volumes (time points or echoes) of {len(starts)} slices each"
        raise inconsistent(entity, problem, "Give one volume per phase.")
    repeated = int((copies > 1).sum())
    problem = f"duplicate slices: {repeated} of {len(starts)} positions are there more than once"
    raise inconsistent(entity, problem, "Remove the copies.")


def _checked_step(steps: NDArray[np.float64], entity: str) -> float:
    step = float(np.median(steps))
    times = steps / step
    off = np.abs(times - 1) > STEP_TOLERANCE
    if not off.any():
        return float(steps.mean())
    whole = np.abs(times - np.round(times)) <= STEP_TOLERANCE * np.maximum(np.round(times), 1)
    if (whole & (times > 0.5)).all():
        lacking = int((np.round(times) - 1).sum())
        problem = f"missing slices: {lacking} lacking in {int(off.sum())} gap(s) between {len(steps) + 1} slices"
        raise incomplete(entity, problem, "Copy the whole series again.")
    problem = f"the spacing between slices is inconsistent ({steps.min():.2f} to {steps.max():.2f} mm)"
    raise inconsistent(entity, problem, "Export the series again, without gaps or with its slices resampled.")


def _check_upright(ordered: list[Frame], normal: NDArray[np.float64], entity: str) -> None:
    offsets = np.stack([frame.position for frame in ordered]) - ordered[0].position
    sideways = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1)
    if sideways.max() > SIDEWAYS * min(ordered[0].spacing):
        problem = f"its slices are shifted sideways against each other by up to {sideways.max():.1f} mm"
        raise inconsistent(entity, problem, "Export the series again, resampled to a regular grid.")
