"""Writing volumes as NIfTI files and as DICOM series whose bytes depend on their content only."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.files import write_atomically

_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_TRANSFER = "1.2.840.10008.1.2.1"
_UID_ROOT = "2.25."


@dataclass(frozen=True)
class Series:
    """What the headers of one DICOM series say: simulated identifiers only."""

    patient_id: str
    phase: str
    study: str
    series: str
    time: str


def write_nifti(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write (x, y, z) with its voxel-to-RAS affine as ``.nii.gz`` (level 1, no time stamp)."""
    import nibabel as nib

    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    packed = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)

    def write(temporary: Path) -> None:
        temporary.write_bytes(packed)

    write_atomically(path, write)


def write_series(folder: Path, data: NDArray[np.int16], affine: NDArray[np.float64], series: Series) -> None:
    """Write (x, y, z) as a folder of axial single-frame slices, numbered from the head downwards.

    Parameters
    ----------
    affine : float64 (4, 4)
        Voxel to RAS; diagonal, x to the left, y to the back, z to the head.
    """
    from pydicom.uid import generate_uid

    spacing = np.abs(np.diag(affine)[:3])
    if not np.array_equal(np.sign(np.diag(affine)[:3]), [-1, -1, 1]):
        message = "axial slices have columns to the left, rows to the back and slices to the head"
        raise ValueError(message)
    uids = {
        "StudyInstanceUID": generate_uid(prefix=_UID_ROOT, entropy_srcs=[series.study]),
        "SeriesInstanceUID": generate_uid(prefix=_UID_ROOT, entropy_srcs=[series.series]),
        "FrameOfReferenceUID": generate_uid(prefix=_UID_ROOT, entropy_srcs=[series.study, "frame"]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    depth = data.shape[2]
    for number in range(1, depth + 1):
        z = depth - number
        instance = generate_uid(prefix=_UID_ROOT, entropy_srcs=[series.series, str(number)])
        corner = affine @ [0, 0, z, 1]
        position = [round(float(value), 6) for value in (-corner[0], -corner[1], corner[2])]
        _write_slice(
            folder / f"IM{number:04d}.dcm",
            data[:, :, z].T,
            series,
            {**uids, "SOPInstanceUID": instance, "InstanceNumber": number, "ImagePositionPatient": position},
            spacing,
        )


def _write_slice(
    path: Path, rows: NDArray[np.int16], series: Series, own: dict[str, object], spacing: NDArray[np.float64]
) -> None:
    """Write one slice (rows, columns); ``own`` are its elements by keyword, ``spacing`` is of x, y and z."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_STORAGE)
    meta.MediaStorageSOPInstanceUID = UID(str(own["SOPInstanceUID"]))
    meta.TransferSyntaxUID = UID(_TRANSFER)
    slice_ = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.SOPClassUID = _STORAGE
    slice_.Modality = "MR"
    slice_.PatientName = "SIMULATED"
    slice_.PatientID = series.patient_id
    slice_.SeriesDescription = f"SIMULATED {series.phase}"
    slice_.AcquisitionTime = series.time
    slice_.SeriesNumber = 1
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing = [round(float(spacing[1]), 6), round(float(spacing[0]), 6)]
    slice_.SliceThickness = slice_.SpacingBetweenSlices = round(float(spacing[2]), 6)
    slice_.Rows, slice_.Columns = rows.shape
    slice_.SamplesPerPixel = 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit = 15
    slice_.PixelRepresentation = 1
    slice_.PixelData = np.ascontiguousarray(rows, "<i2").tobytes()
    for keyword, value in own.items():
        setattr(slice_, keyword, value)
    # Not flushed one by one: a delivery that was killed is written again from the start.
    slice_.save_as(path, enforce_file_format=True)
