"""Small MRI files as scanners and converters write them, with identifiers in every place that may hold one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

MARKERS = ("Zzyzx", "QQ4711", "19330303", "St-Nirgendwo", "A55AA55")
"""A patient's name, number and birth date, a hospital and an accession number; none may leave a header."""

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Edit = Callable[[Dataset], None]


def affine_of(
    spacing: Sequence[float] = (3.0, 3.0, 6.0), origin: Sequence[float] = (-60.0, -50.0, -20.0)
) -> NDArray[np.float64]:
    """An affine along R, A, S."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return affine


def phantom(shape: tuple[int, int, int] = (40, 32, 10), seed: int = 0) -> NDArray[np.int16]:
    """A body with noise in dark air, and a bright lesion at three quarters of x and half of y and z."""
    generator = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    values = generator.normal(4, 2, shape)
    values[(x / 0.9) ** 2 + (y / 0.85) ** 2 < 1] += 400
    values += np.where((x / 0.9) ** 2 + (y / 0.85) ** 2 < 1, generator.normal(0, 30, shape), 0)
    values[(x - 0.5) ** 2 + y**2 + z**2 < 0.04] += 500
    return np.clip(values, 0, 4000).astype(np.int16)


def point_at(shape: tuple[int, int, int], index: tuple[int, int, int]) -> NDArray[np.int16]:
    """A volume of ones with one bright voxel."""
    values = np.ones(shape, np.int16)
    values[index] = 1000
    return values


def write_nifti(path: Path, data: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Path:
    """Write a NIfTI file whose header texts hold markers."""
    image = nibabel.Nifti1Image(data, affine_of() if affine is None else affine)
    image.header["descrip"] = f"{MARKERS[0]} {MARKERS[1]}".encode()
    image.header["db_name"] = MARKERS[1].encode()
    nibabel.save(image, path)
    return path


def write_series(
    folder: Path,
    data: NDArray[Any],
    affine: NDArray[np.float64] | None = None,
    *,
    edit: Callable[[Dataset, int], None] | None = None,
    series: str | None = None,
    prefix: str = "",
) -> list[Path]:
    """Write a series of single-frame slices.

    File names and InstanceNumber are in another order than the positions, and names hold a marker.

    Parameters
    ----------
    folder : Path
    data : ndarray of uint16 or int16, shape (X, Y, Z)
    affine : ndarray, shape (4, 4)
        To RAS mm; columns at right angles.
    edit : callable
        Is given each slice and its index along Z before it is written.
    series : str
        SeriesInstanceUID.
    prefix : str
        Of the file names.

    Returns
    -------
    list of Path
        The file of each slice along Z.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = RAS_TO_LPS @ (affine_of() if affine is None else affine)
    series = series or generate_uid(entropy_srcs=[str(folder)])
    shuffled = np.random.default_rng(1).permutation(data.shape[2])
    paths = []
    for k in range(data.shape[2]):
        dataset = _header(MRImageStorage, data.dtype, series)
        _set_geometry(dataset, dataset, dataset, lps, k)
        dataset.InstanceNumber = str(int(shuffled[k]) + 1)
        dataset.AcquisitionTime = f"1015{k:02d}.500000"
        _set_pixels(dataset, np.ascontiguousarray(data[:, :, k].T))
        if edit is not None:
            edit(dataset, k)
        path = folder / f"{prefix}{MARKERS[1]}_{int(shuffled[k]):03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(
    path: Path,
    data: NDArray[Any],
    affine: NDArray[np.float64] | None = None,
    *,
    slopes: Sequence[float] | None = None,
    order: Sequence[int] | None = None,
    edit: Edit | None = None,
) -> Path:
    """Write an enhanced multi-frame file.

    Parameters
    ----------
    path : Path
    data : ndarray of uint16 or int16, shape (X, Y, Z)
    affine : ndarray, shape (4, 4)
    slopes : sequence of float
        Rescale slope of each slice along Z; without it none is written.
    order : sequence of int
        Slice along Z of each frame; a slice may come twice. Last slice first if not given.
    edit : callable
        Is given the dataset before it is written.
    """
    lps = RAS_TO_LPS @ (affine_of() if affine is None else affine)
    order = list(reversed(range(data.shape[2]))) if order is None else list(order)
    dataset = _header(EnhancedMRImageStorage, data.dtype, generate_uid(entropy_srcs=[str(path)]))
    shared = Dataset()
    orientation, measures = Dataset(), Dataset()
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    shared.PixelMeasuresSequence = DicomSequence([measures])
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    groups = []
    for k in order:
        group, position, content = Dataset(), Dataset(), Dataset()
        _set_geometry(position, orientation, measures, lps, k)
        content.StackID = "1"
        content.InStackPositionNumber = k + 1
        content.FrameAcquisitionDateTime = f"{MARKERS[2]}1015{k:02d}.25"
        group.PlanePositionSequence = DicomSequence([position])
        group.FrameContentSequence = DicomSequence([content])
        if slopes is not None:
            transformation = Dataset()
            transformation.RescaleSlope = _ds(slopes[k])
            transformation.RescaleIntercept = "-5"
            group.PixelValueTransformationSequence = DicomSequence([transformation])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    dataset.NumberOfFrames = len(order)
    _set_pixels(dataset, np.stack([data[:, :, k].T for k in order]))
    if edit is not None:
        edit(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def rewrite(path: Path, edit: Edit) -> None:
    """Change one DICOM file."""
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path, enforce_file_format=True)


def _header(sop_class: str, dtype: np.dtype[Any], series: str) -> Any:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series
    dataset.Modality = "MR"
    dataset.PatientName = f"{MARKERS[0]}^Test"
    dataset.PatientID = MARKERS[1]
    dataset.PatientBirthDate = dataset.StudyDate = dataset.AcquisitionDate = MARKERS[2]
    dataset.InstitutionName = MARKERS[3]
    dataset.AccessionNumber = MARKERS[4]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(dtype.kind == "i")
    return dataset


def _set_geometry(position: Any, orientation: Any, measures: Any, lps: NDArray[np.float64], k: int) -> None:
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / spacing
    position.ImagePositionPatient = [_ds(value) for value in (lps @ [0, 0, k, 1])[:3]]
    orientation.ImageOrientationPatient = [_ds(value) for value in [*directions[:, 0], *directions[:, 1]]]
    measures.PixelSpacing = [_ds(spacing[1]), _ds(spacing[0])]


def _set_pixels(dataset: Any, pixels: NDArray[Any]) -> None:
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def _ds(value: float) -> str:
    return str(format_number_as_ds(float(value)))
