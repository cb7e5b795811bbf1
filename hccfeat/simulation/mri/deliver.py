"""The MRI exams of a simulated cohort as the files a hospital would hand over, and their truth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import GRADES, PHASES
from hccfeat.progress import Advance
from hccfeat.simulation.cohort import COHORTS, Cohort
from hccfeat.simulation.files import write_csv
from hccfeat.simulation.mri.files import Series, write_nifti, write_series
from hccfeat.simulation.mri.items import Items, draw_items, printed
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.oracle import ceilings
from hccfeat.simulation.mri.parameters import FEATURES, OWN_ITEMS, MriParameters, item_names
from hccfeat.simulation.mri.rendering import RenderedPhase, render_exam
from hccfeat.simulation.truth import Row

LIVER_LABEL = 2
"""Value of the liver in the masks of the liver."""

TIMES = {"pre": "100000", "hbp": "102000"}
"""Acquisition times of the phases in DICOM headers; HBP is taken 20 minutes after contrast."""

MANIFEST_COLUMNS = ("patient_id", "phase", "path", "lesion_mask", "lesion_box", "liver_mask", "liver_label")


@dataclass(frozen=True)
class Exams:
    """What the delivery of one cohort's exams gave.

    Attributes
    ----------
    columns : list of dict
        Items and ``mvi_grade`` as further columns of ``clinical.csv``, one dict per patient.
    patients, items : list of dict
        Rows of ``truth/mri.csv`` and ``truth/mri_items.csv``.
    oracle : dict
        See :func:`hccfeat.simulation.mri.oracle.ceilings`.
    """

    columns: list[Row]
    patients: list[Row]
    items: list[Row]
    oracle: dict[str, Any]
    manifest: Path
    folder: Path


@dataclass(frozen=True)
class _Files:
    """Paths of one volume relative to the folder of exams, and how the lesion is found in it."""

    path: str
    line: Row = field(default_factory=dict)


def deliver_exams(folder: Path, parameters: MriParameters, cohort: Cohort, seed: int, advance: Advance) -> Exams:
    """Write ``mri/`` and ``mri_manifest.csv`` of one cohort into its folder.

    Every sixth patient comes as DICOM series, the others as NIfTI. Most have lesion masks, some a lesion box, some
    only a mask of the liver.
    """
    own = (seed, COHORTS.index(cohort.name))
    latents = draw_latents(parameters, own, cohort.aggressiveness, cohort.tumour_size)
    items = draw_items(parameters, latents, own)
    manifest: list[Row] = []
    patients: list[Row] = []
    for row in range(len(cohort)):
        patient = str(cohort.patient_id[row])
        exam = render_exam(parameters, latents, row, own, dicom=_is_dicom(row))
        truth = _truth(parameters, cohort, latents, row)
        for phase in PHASES:
            volume = exam.phase(phase)
            files = _write_volume(folder / "mri", row, patient, phase, volume, f"{seed}/{cohort.name}")
            manifest.append({"patient_id": patient, "phase": phase.upper(), "path": files.path, **files.line})
            truth |= _volume_truth(phase, volume, files.path)
        patients.append(truth)
        advance()
    write_csv(folder / "mri_manifest.csv", manifest)
    return Exams(
        columns=_columns(parameters, latents, items),
        patients=patients,
        items=_item_truth(parameters, cohort, items),
        oracle=ceilings(parameters, latents, items),
        manifest=folder / "mri_manifest.csv",
        folder=folder / "mri",
    )


def _is_dicom(row: int) -> bool:
    return row % 6 == 5


def _write_volume(folder: Path, row: int, patient: str, phase: str, volume: RenderedPhase, cohort: str) -> _Files:
    """Write one volume with its masks; return the rest of its line in the manifest."""
    stem = f"{patient}/{phase.upper()}"
    path = stem if _is_dicom(row) else f"{stem}.nii.gz"
    if _is_dicom(row):
        study = f"{cohort}/{patient}"
        series = Series(patient, phase.upper(), study, f"{study}/{phase}", TIMES[phase])
        write_series(folder / path, volume.data, volume.affine, series)
    else:
        write_nifti(folder / path, volume.data, volume.affine)
    line: Row = dict.fromkeys(MANIFEST_COLUMNS[3:], "")
    if row % 4 == 2 or row % 12 == 11:
        line["lesion_box"] = _box(volume.lesion_mask)
    elif row % 8 == 3:
        line["liver_mask"], line["liver_label"] = f"{stem}_liver.nii.gz", LIVER_LABEL
        write_nifti(folder / line["liver_mask"], volume.liver_mask.astype(np.uint8) * LIVER_LABEL, volume.affine)
    else:
        line["lesion_mask"] = f"{stem}_lesion.nii.gz"
        write_nifti(folder / line["lesion_mask"], volume.lesion_mask.astype(np.uint8), volume.affine)
    return _Files(path, line)


def _box(mask: NDArray[np.bool_]) -> str:
    """Corners of a mask, ``x0 y0 z0 x1 y1 z1`` in voxels, the last three exclusive."""
    found = np.nonzero(mask)
    corners = [int(index.min()) for index in found] + [int(index.max()) + 1 for index in found]
    return " ".join(str(corner) for corner in corners)


def _columns(parameters: MriParameters, latents: Latents, items: Items) -> list[Row]:
    names = [name for name in item_names() if name not in OWN_ITEMS]
    return [
        {name: printed(parameters, name, float(items.shown[name][row])) for name in names}
        | {"mvi_grade": GRADES[latents.grade[row]]}
        for row in range(len(latents))
    ]


def _truth(parameters: MriParameters, cohort: Cohort, latents: Latents, row: int) -> Row:
    """What was drawn for one patient."""
    known: Row = {
        "patient_id": f"{cohort.name}/{cohort.patient_id[row]}",
        "cohort": cohort.name,
        "simulated": 1,
        "aggressiveness": round(float(cohort.aggressiveness[row]), 6),
    }
    for name in ("s", "i", "k", "score"):
        known[name] = round(float(getattr(latents, name)[row]), 6)
    known["mvi_grade"] = GRADES[latents.grade[row]]
    for column, name in enumerate(FEATURES):
        known[f"signal_{name}"] = round(float(latents.signals[row, column]), 6)
        known[name] = round(latents.feature(parameters, name, row), 6)
    known["lesion_radius_mm"] = round(float(latents.diameter_mm[row]) / 2, 4)
    return known


def _volume_truth(phase: str, volume: RenderedPhase, path: str) -> Row:
    x, y, z = (round(float(value), 4) for value in volume.centre_mm)
    return {
        f"{phase}_path": path,
        f"{phase}_x_mm": x,
        f"{phase}_y_mm": y,
        f"{phase}_z_mm": z,
        f"{phase}_diameter_mm": round(volume.diameter_mm, 4),
        f"{phase}_noise": round(volume.noise, 4),
    }


def _item_truth(parameters: MriParameters, cohort: Cohort, items: Items) -> list[Row]:
    """The complete items, as printed."""
    return [
        {"patient_id": f"{cohort.name}/{cohort.patient_id[row]}", "simulated": 1}
        | {name: printed(parameters, name, float(values[row])) for name, values in items.complete.items()}
        for row in range(len(cohort))
    ]
