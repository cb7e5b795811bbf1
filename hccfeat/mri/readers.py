"""Read a volume or a mask by one call, whatever its format."""

from collections import Counter
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from hccfeat.mri.dicom import has_dicom_mark, load_dicom
from hccfeat.mri.nifti import load_nifti
from hccfeat.mri.volume import Stored, Volume, checked, inconsistent, spacing_of, unreadable

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_DICOM_SUFFIXES = frozenset({"", ".dcm", ".dicom", ".ima"})
_NO_SLICES = frozenset({".txt", ".json", ".xml", ".csv", ".html", ".pdf", ".png", ".jpg", ".md", ".ini", ".db"})
"""Suffixes of what viewers and burners put beside slices; any other file in a folder must be a slice."""
GRID_TOLERANCE = 0.1
"""A mask lies on the grid of its volume if no corner is off by more than this part of a voxel."""


def read_volume(path: Path, entity: str) -> Volume:
    """Read one MRI volume.

    Parameters
    ----------
    path : Path
        A NIfTI file (``.nii``, ``.nii.gz``), an enhanced multi-frame DICOM file, or a folder with the single-frame
        DICOM slices of one series.
    entity : str
        What an error names: never the path, which may hold a patient's name.

    Returns
    -------
    Volume
        Data as stored along the file's own axes, rescaled; the affine leads to RAS mm.

    Raises
    ------
    VolumeError
        ``UNREADABLE``: missing, unknown format, truncated, in a transfer syntax that cannot be decoded, without
        geometry, empty, constant or not finite. ``INCONSISTENT``: mixed series, duplicate slices, 4-D, differing
        spacing, orientation or matrix. ``INCOMPLETE``: missing slices, or fewer than four. ``TOO_LARGE``.
    """
    return checked(_load(path, entity), entity)


def read_mask(path: Path, entity: str, like: Volume, label: int | None = None) -> NDArray[np.bool_]:
    """Read a mask or one label of a label map.

    Parameters
    ----------
    path : Path
        As for :func:`read_volume`. Its axes may be ordered or directed otherwise than those of the volume, as
        long as the voxels are the same.
    entity : str
    like : Volume
        The volume that the mask belongs to.
    label : int, optional
        Value that counts; without it every voxel above 0.5.

    Returns
    -------
    ndarray of bool, shape (X, Y, Z)
        Along the axes of ``like``; at least one voxel is true.

    Raises
    ------
    VolumeError
        ``INCONSISTENT`` if it lies on another grid, ``UNREADABLE`` if no voxel is marked; or as for
        :func:`read_volume`.
    """
    stored = _load(path, entity)
    values = _on_grid(stored, like)
    if values is None:
        problem = f"the mask lies on another grid ({_described(stored)}) than its volume ({_described(like)})"
        raise inconsistent(entity, problem, "Draw it on this volume, or resample it to the volume's grid.")
    mask = values > 0.5 if label is None else values == label
    if not mask.any():
        what = "the mask is empty" if label is None else f"no voxel of the mask has the label {label}"
        raise unreadable(entity, what, "Check the mask and its label, or leave it out of the manifest.")
    return np.asarray(mask, dtype=bool)


def volume_files(path: Path) -> list[Path]:
    """List the files that make one volume: the file itself, or the slices of a folder, sorted by name.

    Returns
    -------
    list of Path
        Empty if there is nothing at this path. Of a folder without hidden files, subfolders, ``DICOMDIR`` and
        what is plainly no slice (text, pictures).
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(entry for entry in path.iterdir() if entry.is_file() and _may_be_slice(entry))


def _may_be_slice(path: Path) -> bool:
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    return path.suffix.lower() not in _NO_SLICES


def _load(path: Path, entity: str) -> Stored:
    try:
        files = volume_files(path)
        if path.is_dir():
            return _load_folder(path, files, entity)
        if not files:
            raise unreadable(entity, "there is no file or folder at its path", "Check the path in the manifest.")
        with path.open("rb") as file:
            empty = not file.read(1)
        if empty:
            raise unreadable(entity, "the file is empty (zero bytes)", "Copy it again.")
        if path.name.lower().endswith(NIFTI_SUFFIXES):
            return load_nifti(path, entity)
        if path.suffix.lower() in _DICOM_SUFFIXES or has_dicom_mark(path):
            return load_dicom(files, entity)
    except OSError as error:
        # Only the reason: the text of an OSError names the file.
        problem = f"it cannot be opened ({error.strerror or type(error).__name__})"
        raise unreadable(entity, problem, "Check the path and its access rights.") from None
    remedy = "Give NIfTI (.nii, .nii.gz), an enhanced DICOM file, or a folder of DICOM slices."
    raise unreadable(entity, "its format is not known", remedy)


def _load_folder(path: Path, files: list[Path], entity: str) -> Stored:
    if any(file.name.lower().endswith(NIFTI_SUFFIXES) for file in files):
        raise unreadable(entity, "the folder holds NIfTI files", "Name the NIfTI file itself in the manifest.")
    if not files:
        folders = sum(entry.is_dir() for entry in path.iterdir())
        within = f"no DICOM slices, but {folders} folder(s)" if folders else "no DICOM slices"
        raise unreadable(entity, f"the folder holds {within}", "Name the folder that holds the slices.")
    return load_dicom(files, entity)


def _on_grid(stored: Stored, like: Volume) -> NDArray[Any] | None:
    """Return the values along the axes of ``like``, or None if the voxels are not the same."""
    try:
        between = np.linalg.inv(like.affine) @ stored.affine
    except np.linalg.LinAlgError:
        return None
    turn = nibabel.orientations.io_orientation(between)
    if not np.isfinite(turn).all() or Counter(turn[:, 0]) != Counter(range(3)):
        return None
    values = nibabel.orientations.apply_orientation(stored.data, turn)
    if values.shape != like.data.shape:
        return None
    affine = between @ nibabel.orientations.inv_ornt_aff(turn, stored.data.shape)
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [*values.shape, 1]
    off = np.abs(corners @ (affine - np.eye(4)).T)
    return np.asarray(values) if off.max() <= GRID_TOLERANCE else None


def _described(grid: Stored | Volume) -> str:
    size = " x ".join(str(side) for side in grid.data.shape)
    return f"{size} voxels of {' x '.join(f'{side:.3g}' for side in spacing_of(grid.affine))} mm"
