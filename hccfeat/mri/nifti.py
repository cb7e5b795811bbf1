"""NIfTI files, through nibabel."""

import gzip
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel import imageglobals
from numpy.typing import NDArray

from hccfeat.mri.volume import Stored, check_size, inconsistent, unreadable

_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Codes of the spatial unit; without one, millimetres, as everyone writes them."""
_COPY_AGAIN = "Copy or convert it again."
_BLOCK = 1 << 20


def load_nifti(path: Path, entity: str) -> Stored:
    """Read a NIfTI file.

    Parameters
    ----------
    path : Path
        Of a ``.nii`` or ``.nii.gz`` file that exists.
    entity : str
        What an error names instead of the file.

    Returns
    -------
    Stored

    Raises
    ------
    VolumeError
        ``UNREADABLE`` (not NIfTI, truncated, colour or complex, no orientation), ``INCONSISTENT`` (several
        volumes), ``INCOMPLETE`` (fewer than four slices) or ``TOO_LARGE``.
    """
    if path.suffix.lower() == ".gz" and not _whole_gzip(path):
        raise unreadable(entity, "the compressed file is truncated or damaged", _COPY_AGAIN)
    image = _opened(path)
    if image is None:
        raise unreadable(entity, "its content is not NIfTI, or its header is damaged", _COPY_AGAIN)
    shape = _three_sides(tuple(int(side) for side in image.shape), entity)
    check_size(shape, entity)
    header = image.header
    if not int(header["sform_code"]) and not int(header["qform_code"]):
        problem = "the geometry is missing: neither sform nor qform states an orientation"
        raise unreadable(entity, problem, "Convert it again from DICOM with a tool that writes the orientation.")
    if image.get_data_dtype().kind not in "iuf":
        problem = f"its voxels are of type {image.get_data_dtype()}, not single numbers"
        raise unreadable(entity, problem, "Give the magnitude image of one phase.")
    data = _voxels(image)
    if data is None:
        raise unreadable(entity, "the file is truncated or damaged", _COPY_AGAIN)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    return Stored(data.reshape(shape), affine, "nifti")


def _three_sides(shape: tuple[int, ...], entity: str) -> tuple[int, int, int]:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        problem = f"it is {len(shape)}-D: {'x'.join(str(side) for side in shape[3:])} volumes in one file"
        raise inconsistent(entity, problem, "Give one file per phase.")
    if len(shape) < 3:
        raise unreadable(entity, f"it is {len(shape)}-D, not a volume", "Give the whole volume.")
    return shape[0], shape[1], shape[2]


def _whole_gzip(path: Path) -> bool:
    """Read to the end, where the checksum is; nibabel stops before it."""
    try:
        with gzip.open(path) as file:
            while file.read(_BLOCK):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _opened(path: Path) -> Any:
    # Whatever bytes make nibabel raise, the file is not a usable NIfTI file; the text may quote its header.
    with _quiet():
        try:
            image = nibabel.load(path)
        except MemoryError:
            raise
        except Exception:
            return None
    return image if isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image) else None


def _voxels(image: Any) -> NDArray[Any] | None:
    with _quiet():
        try:
            return np.asarray(image.dataobj)
        except MemoryError:
            raise
        except Exception:
            return None


@contextmanager
def _quiet() -> Iterator[None]:
    level = imageglobals.logger.level
    imageglobals.logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        imageglobals.logger.setLevel(level)
