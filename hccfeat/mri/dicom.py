"""DICOM files, through pydicom: a series of single-frame slices, or enhanced multi-frame files.

Nothing of a header but geometry, intensities and the time of day leaves this module, and no file name does: names
of slices often hold a patient's number. Exceptions of pydicom quote values, so they are not chained either.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import config
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hccfeat.mri.stack import Frame, stack
from hccfeat.mri.volume import Stored, unreadable

_COPY_AGAIN = "Copy the file again from the archive."
_EXPORT_AGAIN = "Export it again with position, orientation and pixel spacing of each slice."
_CONVERT = "Convert it to Explicit VR Little Endian (uncompressed) or to NIfTI."
_NO_IMAGE = "Copy it again if a copy was cut short; keep reports and other objects out of the folder."


class _FileError(Exception):
    """One file cannot be used: a noun phrase that quotes nothing of its content, and a remedy."""


def has_dicom_mark(path: Path) -> bool:
    """Return whether the file carries the mark ``DICM`` after its preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def load_dicom(files: Sequence[Path], entity: str) -> Stored:
    """Read the files of one volume.

    Parameters
    ----------
    files : sequence of Path
        Slices of one series in any order, or enhanced multi-frame files; at least one.
    entity : str
        What an error names instead of the files.

    Returns
    -------
    Stored
        See :func:`hccfeat.mri.stack.stack`; "dicom enhanced" if a file has functional groups.

    Raises
    ------
    VolumeError
        ``UNREADABLE``: not DICOM, truncated, in a transfer syntax that cannot be decoded, in colour, not MR,
        without geometry; and what :func:`hccfeat.mri.stack.stack` refuses.
    """
    frames: list[Frame] = []
    problems: Counter[tuple[str, str]] = Counter()
    enhanced = False
    with _quiet():
        for path in files:
            try:
                dataset = _dataset(path)
                enhanced = enhanced or "PerFrameFunctionalGroupsSequence" in dataset
                frames += _frames(dataset)
            except _FileError as error:
                problems[(str(error.args[0]), str(error.args[1]))] += 1
    if problems:
        (problem, remedy), count = problems.most_common(1)[0]
        counted = f" ({count} of {len(files)} files)" if len(files) > 1 else ""
        raise unreadable(entity, problem + counted, remedy)
    return stack(frames, "dicom enhanced" if enhanced else "dicom series", entity)


def _dataset(path: Path) -> Any:
    # Damaged bytes make pydicom raise nearly anything, here and where a value is first looked at.
    try:
        marked = has_dicom_mark(path)
        dataset = pydicom.dcmread(path, force=not marked)
        known = marked or ("SOPClassUID" in dataset and "Rows" in dataset)
    except MemoryError:
        raise
    except Exception:
        raise _FileError("truncated or damaged DICOM, or no DICOM at all", _COPY_AGAIN) from None
    if not known:
        raise _FileError("no DICOM and no other image that is known", "Give NIfTI or DICOM of one MRI volume.")
    return dataset


def _frames(dataset: Any) -> list[Frame]:
    try:
        _check_kind(dataset)
        pixels = _decoded(dataset)
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        if groups is None:
            if len(pixels) > 1:
                raise _FileError("missing geometry: a multi-frame file without functional groups", _EXPORT_AGAIN)
            return [_frame(dataset, pixels[0], [dataset], 0)]
        if len(groups) != len(pixels):
            raise _FileError("truncated DICOM: header and pixels differ in the number of frames", _COPY_AGAIN)
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
        return [
            _frame(dataset, pixels[number], _parts([group, *shared]), number) for number, group in enumerate(groups)
        ]
    except (_FileError, MemoryError):
        raise
    except Exception:
        raise _FileError("damaged DICOM: its header has values that cannot be read", _COPY_AGAIN) from None


def _check_kind(dataset: Any) -> None:
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise _FileError("truncated DICOM, or DICOM without an image: there are no pixel data", _NO_IMAGE)
    if str(dataset.get("Modality", "MR")) != "MR":
        raise _FileError("its modality is not MR", "Give the MRI exam.")
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise _FileError("a colour image, no MRI volume", "Give the original slices, not a capture of the screen.")


def _decoded(dataset: Any) -> NDArray[Any]:
    """Stored values, (frames, rows, columns)."""
    meta = dataset.file_meta
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
    syntax = UID(meta.TransferSyntaxUID)
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        # An unknown one is text of the header, which may be anything.
        named = f"the transfer syntax {syntax.name}" if syntax.name != syntax else "an unknown transfer syntax"
        raise _FileError(f"{named} cannot be decoded here", _CONVERT)
    try:
        pixels = np.asarray(dataset.pixel_array)
    except MemoryError:
        raise
    except Exception:
        if syntax.is_compressed and syntax.is_encapsulated:
            problem = f"pixel data in the transfer syntax {syntax.name} cannot be decoded here, or are damaged"
            raise _FileError(problem, _CONVERT) from None
        raise _FileError("truncated DICOM: its pixel data are incomplete", _COPY_AGAIN) from None
    return pixels.reshape(-1, *pixels.shape[-2:])


def _parts(groups: list[Any]) -> list[Any]:
    """Items of the functional groups of a frame, its own before those it shares with the others."""
    names = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "FrameContentSequence",
    )
    return [group[name][0] for group in groups for name in names if group.get(name)]


def _frame(dataset: Any, pixels: NDArray[Any], parts: list[Any], number: int) -> Frame:
    position = _numbers(parts, "ImagePositionPatient", 3)
    cosines = _numbers(parts, "ImageOrientationPatient", 6)
    spacing = _numbers(parts, "PixelSpacing", 2)
    if position is None or cosines is None or spacing is None or min(spacing) <= 0:
        raise _FileError("missing geometry: no valid position, orientation or pixel spacing", _EXPORT_AGAIN)
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = float(np.linalg.norm(along_row)), float(np.linalg.norm(along_column))
    if not np.allclose(lengths, 1, atol=0.01) or abs(along_row @ along_column) > 0.01:
        raise _FileError("missing geometry: the orientation is not of two axes at right angles", _EXPORT_AGAIN)
    slope, intercept = _first(parts, "RescaleSlope"), _first(parts, "RescaleIntercept")
    values = pixels.astype(np.float32) * np.float32(1.0 if slope is None else float(slope))
    return Frame(
        pixels=values + np.float32(0.0 if intercept is None else float(intercept)),
        position=position,
        along_row=along_row / lengths[0],
        along_column=along_column / lengths[1],
        spacing=(float(spacing[0]), float(spacing[1])),
        series=str(dataset.get("SeriesInstanceUID", "")),
        instance=f"{dataset.get('SOPInstanceUID', '')}/{number}",
        stack=str(_first(parts, "StackID") or ""),
        acquired_s=_time_of_day(parts, dataset),
    )


def _first(parts: list[Any], keyword: str) -> Any:
    values = (part.get(keyword) for part in parts)
    return next((value for value in values if value is not None and value != ""), None)


def _numbers(parts: list[Any], keyword: str, count: int) -> NDArray[np.float64] | None:
    value = _first(parts, keyword)
    if value is None or isinstance(value, str) or len(value) != count:
        return None
    numbers = np.array([float(number) for number in value])
    return numbers if np.isfinite(numbers).all() else None


def _time_of_day(parts: list[Any], dataset: Any) -> float | None:
    """Seconds after midnight at which the slice was acquired, else at which its content was made."""
    for keyword, skipped in (
        ("FrameAcquisitionDateTime", 8),
        ("AcquisitionTime", 0),
        ("AcquisitionDateTime", 8),
        ("ContentTime", 0),
    ):
        value = _first([*parts, dataset], keyword)
        seconds = None if value is None else _seconds(str(value)[skipped:])
        if seconds is not None:
            return seconds
    return None


def _seconds(text: str) -> float | None:
    """Read ``HHMMSS.FFFFFF`` of which the end may lack; a zone behind it is ignored."""
    digits = text.replace(":", "").split("+")[0].split("-")[0].strip()
    whole, _, fraction = digits.partition(".")
    if not whole.isdecimal() or len(whole) not in (2, 4, 6) or not (fraction == "" or fraction.isdecimal()):
        return None
    hours, minutes, seconds = int(whole[:2]), int(whole[2:4] or 0), int(whole[4:6] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds + float(f"0.{fraction or 0}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom, whose warnings and log quote values of the header."""
    logger = logging.getLogger("pydicom")
    level, mode = logger.level, config.settings.reading_validation_mode
    logger.setLevel(logging.CRITICAL + 1)
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        config.settings.reading_validation_mode = mode
