"""Exams that train or are judged, their batches and their identity."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hccfeat.config import GRADES, PHASES
from hccfeat.errors import AnalysisError, FailureKind, InputError, VolumeError
from hccfeat.files import quick_hash, sha256_of
from hccfeat.training.seeds import derived_seed


@dataclass(frozen=True, eq=False)
class Exam:
    """One MRI exam of one patient.

    Attributes
    ----------
    exam_id, patient_id : str
        ``<cohort>/<stem>`` and ``<cohort>/<id>``.
    label : int or None
        Index of the grade in ``GRADES``; None where it is not known (judged only).
    volumes : tuple of Path or float32 array
        Prepared volumes (D, H, W) of each phase in the order of ``PHASES``, as ``.npy`` files that are read one
        batch at a time, or in memory.
    clinical : ndarray of float64, shape (C,), or None
        Clinical items as recorded, NaN where missing; only a teacher reads them.
    """

    exam_id: str
    patient_id: str
    label: int | None
    volumes: tuple[Path | NDArray[np.float32], ...]
    clinical: NDArray[np.float64] | None = None


class Batch(NamedTuple):
    """Exams side by side.

    Attributes
    ----------
    volumes : Tensor
        (B, 2, D, H, W) float32.
    labels : Tensor
        (B,) int64; -1 where there is none.
    items : Tensor or None
        (B, C) float32 as recorded, NaN where missing; None where none were asked for.
    """

    volumes: Tensor
    labels: Tensor
    items: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """Give the batch on a device."""
        items = None if self.items is None else self.items.to(device)
        return Batch(self.volumes.to(device), self.labels.to(device), items)


class ExamBatches:
    """Reads the exams of a batch when it is asked for, so that memory does not grow with their number.

    Parameters
    ----------
    exams : sequence of Exam
        All with volumes of ``shape``.
    items : bool
        Whether a batch has the clinical items.
    shape : three ints, optional
        Of every volume; by default that of the first.
    """

    def __init__(self, exams: Sequence[Exam], *, items: bool, shape: tuple[int, ...] | None = None) -> None:
        self.exams = exams
        self.shape = shape or _read(exams[0].volumes[0], exams[0]).shape
        self.labels = torch.tensor([-1 if exam.label is None else exam.label for exam in exams])
        self.items = torch.from_numpy(item_rows(exams)).float() if items else None

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """Read a batch.

        Raises
        ------
        VolumeError
            If a prepared volume cannot be read or has another shape.
        """
        chosen = list(indices)
        volumes = np.empty((len(chosen), len(PHASES), *self.shape), dtype=np.float32)
        for row, index in enumerate(chosen):
            exam = self.exams[index]
            found = [_read(volume, exam) for volume in exam.volumes]
            if [volume.shape for volume in found] != [self.shape] * len(PHASES):
                raise VolumeError(
                    FailureKind.INCONSISTENT,
                    f"exam {exam.exam_id}",
                    f"has prepared volumes of shape {[volume.shape for volume in found]}, not {len(PHASES)} of "
                    f"{self.shape}",
                    "Prepare every exam with the recipe of this network.",
                )
            for phase, volume in enumerate(found):
                volumes[row, phase] = volume
        items = None if self.items is None else self.items[chosen]
        return Batch(torch.from_numpy(volumes), self.labels[chosen], items)


def batch_order(count: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle exams into batches, in an order that depends on (seed, epoch) only.

    The last batch may be smaller; an exam that would be alone is left out of the epoch, for batch normalisation
    needs two.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    order = torch.randperm(count, generator=generator).tolist()
    batches = [order[start : start + size] for start in range(0, count, size)]
    return [batch for batch in batches if len(batch) > 1]


def item_rows(exams: Sequence[Exam]) -> NDArray[np.float64]:
    """Stack the clinical items of exams: (n, C), NaN where missing.

    Raises
    ------
    InputError
        If an exam has none, or not as many as the others.
    """
    rows = [exam.clinical for exam in exams]
    for exam, row in zip(exams, rows, strict=True):
        if row is None or rows[0] is None or row.shape != rows[0].shape:
            raise InputError(
                f"exam {exam.exam_id}",
                "has no clinical items, or not as many as the others",
                "Give the same items for every exam (NaN where missing); a teacher cannot do without them.",
            )
    return np.stack([np.asarray(row, dtype=np.float64) for row in rows])


def with_items_of_others(exams: Sequence[Exam], seed: int) -> list[Exam]:
    """Give every exam the clinical items of another patient: the control whose teacher knows nothing of the exam.

    The patients stand in a ring in a random order, and each takes the items of the next.

    Raises
    ------
    AnalysisError
        If there is only one patient.
    """
    item_rows(exams)
    patients = sorted({exam.patient_id for exam in exams})
    if len(patients) < 2:
        raise AnalysisError("permuted items", "need at least two patients", "Give more exams.")
    ring = np.random.default_rng(derived_seed(seed, "permuted items")).permutation(patients).tolist()
    lender = dict(zip(ring, [*ring[1:], ring[0]], strict=True))
    lent = {exam.patient_id: exam.clinical for exam in exams}
    return [replace(exam, clinical=lent[lender[exam.patient_id]]) for exam in exams]


def check_exams(exams: Sequence[Exam]) -> list[Exam]:
    """Sort training exams by id, so that their order never matters.

    Raises
    ------
    InputError
        If an exam repeats, or has no grade.
    AnalysisError
        If there are fewer than two, or all have one grade.
    """
    kept = sorted(exams, key=lambda exam: exam.exam_id)
    for before, exam in zip([None, *kept[:-1]], kept, strict=True):
        if before is not None and before.exam_id == exam.exam_id:
            raise InputError(f"exam {exam.exam_id}", "is given twice", "Give each exam once.")
        if exam.label not in range(len(GRADES)):
            raise InputError(
                f"exam {exam.exam_id}",
                f"has label {exam.label}; an exam that trains needs one of 0 to {len(GRADES) - 1}",
                "Leave exams without a grade out of the training.",
            )
    if len(kept) < 2:
        raise AnalysisError("MRI training", f"has {len(kept)} exams", "Give at least two.")
    if len({exam.label for exam in kept}) < 2:
        raise AnalysisError(
            "MRI training",
            f"has {len(kept)} exams of one grade ({GRADES[kept[0].label or 0]})",
            "Give exams of at least two grades.",
        )
    return kept


def fingerprint(exams: Sequence[Exam], *, items: bool) -> str:
    """Hex SHA-256 of names, labels, volumes and, if they are used, items: training resumes only on the same data.

    A file counts by its size, first and last megabyte.
    """
    rows = []
    for exam in exams:
        clinical = [_array_sha256(exam.clinical)] if items and exam.clinical is not None else []
        volumes = [_volume_sha256(volume, exam) for volume in exam.volumes]
        rows.append([exam.exam_id, exam.patient_id, exam.label, volumes, *clinical])
    return sha256_of(rows)


def _volume_sha256(volume: Path | NDArray[np.float32], exam: Exam) -> str:
    if not isinstance(volume, Path):
        return _array_sha256(volume)
    try:
        return quick_hash(volume)
    except OSError as error:
        raise _unreadable(exam, volume, error) from error


def _array_sha256(array: NDArray[np.generic]) -> str:
    about = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(about + np.ascontiguousarray(array).tobytes()).hexdigest()


def _read(volume: Path | NDArray[np.float32], exam: Exam) -> NDArray[np.float32]:
    if not isinstance(volume, Path):
        return volume
    try:
        array: NDArray[np.float32] = np.load(volume, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(exam, volume, error) from error
    return array


def _unreadable(exam: Exam, volume: Path, error: Exception) -> VolumeError:
    return VolumeError(
        FailureKind.UNREADABLE,
        f"exam {exam.exam_id}",
        f"prepared volume {volume.name} cannot be read ({type(error).__name__})",
        "Delete it; it is made again when it is next needed.",
    )
