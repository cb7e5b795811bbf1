"""MRI volumes as read from files, the facts stored about them, and what disqualifies one."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import FailureKind, VolumeError

MIN_SLICES = 4
"""Four pooled blocks need something to pool; a volume of fewer slices is a localiser or an incomplete copy."""
MAX_VOXELS = 2**28
"""A volume this large takes 1 GB; abdominal MRI has a tenth of it."""
VOXEL_MM = (0.05, 50.0)
"""Voxel sides that can be of a liver MRI; a header in metres, or with zeros, falls outside."""
MAX_FIELD_MM = 1000.0


@dataclass(frozen=True)
class VolumeFacts:
    """What the QC row of a volume says; nothing here identifies a patient.

    Attributes
    ----------
    format : str
        "nifti", "dicom series" or "dicom enhanced".
    shape : tuple of int
        Voxels along X, Y, Z as read.
    spacing_mm : tuple of float
        Millimetres between voxel centres along X, Y, Z.
    intensity_low, intensity_high : float
        1st and 99th percentile of the non-zero voxels.
    slices : int
        Voxels along Z.
    missing_slices : int
        Slices lacking between the first and the last; 0, since a volume with a gap is refused.
    acquired_s : float or None
        Seconds after midnight, only to order the phases of an exam; None where the file does not say.
    """

    format: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    intensity_low: float
    intensity_high: float
    slices: int
    missing_slices: int
    acquired_s: float | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume on its own grid.

    Attributes
    ----------
    data : ndarray of float32, shape (X, Y, Z)
        Finite, not constant. Of DICOM files X runs along the columns, Y along the rows, Z along the slice normal.
    affine : ndarray of float64, shape (4, 4)
        From voxel indices to RAS millimetres.
    facts : VolumeFacts
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    facts: VolumeFacts


class Stored(NamedTuple):
    """Voxels as a file has them, before anything about them is checked.

    Attributes
    ----------
    data : ndarray of any real dtype, shape (X, Y, Z)
    affine : ndarray of float64, shape (4, 4)
        To RAS millimetres.
    format : str
    acquired_s : float or None
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    format: str
    acquired_s: float | None = None


def unreadable(entity: str, problem: str, remedy: str) -> VolumeError:
    """Error for a file that gives no usable voxels."""
    return VolumeError(FailureKind.UNREADABLE, entity, problem, remedy)


def inconsistent(entity: str, problem: str, remedy: str) -> VolumeError:
    """Error for files that contradict themselves or each other."""
    return VolumeError(FailureKind.INCONSISTENT, entity, problem, remedy)


def incomplete(entity: str, problem: str, remedy: str) -> VolumeError:
    """Error for an exam or volume of which a part lacks."""
    return VolumeError(FailureKind.INCOMPLETE, entity, problem, remedy)


def spacing_of(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Millimetres between voxel centres along each axis, float64 (3,)."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def check_size(shape: tuple[int, ...], entity: str) -> None:
    """Refuse fewer than four slices, and a volume beyond ``MAX_VOXELS``.

    Raises
    ------
    VolumeError
        ``INCOMPLETE`` or ``TOO_LARGE``.
    """
    if min(shape) < MIN_SLICES:
        sides = " x ".join(str(side) for side in shape)
        problem = f"it has {sides} voxels, and at least {MIN_SLICES} slices are needed"
        raise incomplete(entity, problem, "Give the whole volume; of single-frame DICOM name the folder.")
    # Python integers: a damaged header may overflow 64 bits.
    voxels = shape[0] * shape[1] * shape[2]
    if voxels > MAX_VOXELS:
        problem = f"its header announces {voxels:,} voxels, more than {MAX_VOXELS:,}"
        raise VolumeError(FailureKind.TOO_LARGE, entity, problem, "Check the file; resample it if it is right.")


def checked(stored: Stored, entity: str) -> Volume:
    """Check geometry and voxels, and add the facts.

    Raises
    ------
    VolumeError
        ``INCOMPLETE`` (fewer than four slices), ``TOO_LARGE``, or ``UNREADABLE`` (no believable geometry; voxels
        that are not finite, all zero or all equal).
    """
    shape = (int(stored.data.shape[0]), int(stored.data.shape[1]), int(stored.data.shape[2]))
    check_size(shape, entity)
    check_geometry(stored.affine, shape, entity)
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(stored.data, dtype=np.float32)
    _check_voxels(data, entity)
    spacing = spacing_of(stored.affine)
    low, high = np.percentile(data[data != 0], (1, 99))
    facts = VolumeFacts(
        format=stored.format,
        shape=shape,
        spacing_mm=(round(float(spacing[0]), 6), round(float(spacing[1]), 6), round(float(spacing[2]), 6)),
        intensity_low=float(low),
        intensity_high=float(high),
        slices=shape[2],
        missing_slices=0,
        acquired_s=stored.acquired_s,
    )
    return Volume(data, stored.affine, facts)


def check_geometry(affine: NDArray[np.float64], shape: tuple[int, int, int], entity: str) -> None:
    """Refuse an affine that is not finite, singular, or of no believable size.

    Raises
    ------
    VolumeError
        ``UNREADABLE``.
    """
    remedy = "Export or convert it again with its geometry (position, orientation and voxel size in mm)."
    if not np.isfinite(affine).all():
        raise unreadable(entity, "its geometry has values that are not numbers", remedy)
    spacing = spacing_of(affine)
    sides = " x ".join(f"{side:.4g}" for side in spacing)
    if (spacing < VOXEL_MM[0]).any() or (spacing > VOXEL_MM[1]).any():
        raise unreadable(entity, f"a voxel of {sides} mm cannot be of a liver MRI", remedy)
    if abs(np.linalg.det(affine[:3, :3])) < 0.1 * float(spacing.prod()):
        raise unreadable(entity, "the axes of its grid are not at right angles", remedy)
    field = spacing * shape
    if (field > MAX_FIELD_MM).any():
        problem = f"it covers {' x '.join(f'{side:.0f}' for side in field)} mm, more than {MAX_FIELD_MM:.0f} mm"
        raise unreadable(entity, problem, remedy)


def _check_voxels(data: NDArray[np.float32], entity: str) -> None:
    remedy = "Export or copy the volume again."
    bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if bad:
        problem = f"{bad:,} of {data.size:,} voxels are not finite numbers"
        raise unreadable(entity, problem, remedy)
    if not data.any():
        raise unreadable(entity, "the volume is empty: every voxel is 0", remedy)
    if data.min() == data.max():
        raise unreadable(entity, "the volume is constant: every voxel has the same value", remedy)
