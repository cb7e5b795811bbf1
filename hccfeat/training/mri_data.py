"""Exams that train or are judged, and their batches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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
