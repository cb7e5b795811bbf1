"""Which MRI volume is which phase of which patient: the manifest, or one folder per patient."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.cohort.images import ImageProblem
from hccfeat.cohort.tables import ROW, RawTable, read_text_table
from hccfeat.cohort.values import is_missing
from hccfeat.config import PHASES
from hccfeat.errors import InputError

NEEDED_COLUMNS = ("patient_id", "phase", "path")
EXAM_SUFFIX = "-mri"
_ENTRY = re.compile(rf"({'|'.join(PHASES)})(\.nii|\.nii\.gz|\.dcm)?", re.IGNORECASE)
_CORRECT = "Correct the row of the manifest."
_SAY_SO = (
    "Name files PRE.nii.gz and HBP.nii.gz, or folders of DICOM slices PRE and HBP, or write a manifest "
    "(patient_id, phase, path): the phase is never guessed."
)


@dataclass(frozen=True)
class FoundVolume:
    """One phase of an exam as it lies on disk.

    Attributes
    ----------
    phase : str
        ``pre`` or ``hbp``.
    path : Path
        A file, or a folder of DICOM slices.
    lesion_mask, liver_mask : Path or None
        Masks on the grid of the volume.
    lesion_box : tuple of int or None
        x0, y0, z0, x1, y1, z1 in voxels of the file, the upper corner not inside.
    liver_label : int or None
        Value of the liver in ``liver_mask``; None means every value above 0.5.
    """

    phase: str
    path: Path
    lesion_mask: Path | None = None
    lesion_box: tuple[int, ...] | None = None
    liver_mask: Path | None = None
    liver_label: int | None = None


@dataclass
class FoundExam:
    """The volumes of one patient by phase; ``refused`` says why phases are not among them."""

    exam_id: str
    patient_id: str
    cohort: str
    volumes: dict[str, FoundVolume] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def find_exams(
    folder: Path | None, manifest: Path | None, cohort: str, patients: Collection[str]
) -> tuple[list[FoundExam], list[ImageProblem]]:
    """Find a cohort's MRI exams and their patients; nothing is opened.

    With a manifest (columns patient_id, phase, path, and optionally lesion_mask, lesion_box, liver_mask,
    liver_label) only the volumes it names are taken, relative to the MRI folder or to the manifest. Without one,
    ``folder`` holds one folder per patient, named like the patient, with entries called PRE and HBP: a file
    (``PRE.nii.gz``, ``PRE.nii`` or ``PRE.dcm``) or a folder of DICOM slices.

    Parameters
    ----------
    folder : Path, optional
        MRI folder.
    manifest : Path, optional
        Table of volumes.
    cohort : str
        Name of the cohort.
    patients : collection of str
        Accepted patient ids (``<cohort>/<id>``).

    Returns
    -------
    exams : list of FoundExam
        Ordered by patient; a patient of whom nothing was named has none.
    problems : list of ImageProblem
        What was left out and why, and patients without an exam.

    Raises
    ------
    InputError
        If the folder or the manifest does not exist, or the manifest lacks a needed column.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(str(folder), "is not a folder", "Name the folder that holds the MRI exams.")
    if folder is None and manifest is None:
        return [], []
    problems: list[ImageProblem] = []
    search = _Search(cohort, patients, problems)
    if manifest is not None:
        search.read_manifest(_read_manifest(manifest), folder)
    elif folder is not None:
        search.read_folder(folder)
    exams = search.exams()
    remedy = "Add an exam, or leave it: clinical data are kept."
    without = sorted(set(patients) - {exam.patient_id for exam in exams})
    problems += [ImageProblem(patient, "has no MRI exam", remedy, "info") for patient in without]
    return exams, problems


def _read_manifest(path: Path) -> RawTable:
    table = read_text_table(path)
    absent = [name for name in NEEDED_COLUMNS if name not in table.columns]
    if absent:
        raise InputError(
            str(path),
            f"lacks the columns {', '.join(absent)} (it has {', '.join(table.columns)})",
            "An MRI manifest has patient_id, phase (PRE or HBP), path, and optionally lesion_mask, lesion_box, "
            "liver_mask and liver_label.",
        )
    return table


class _Search:
    """Collects named volumes by patient and phase, and what is wrong with the others."""

    def __init__(self, cohort: str, patients: Collection[str], problems: list[ImageProblem]) -> None:
        self.cohort, self.patients, self.problems = cohort, patients, problems
        self.named: dict[tuple[str, str], list[tuple[str, FoundVolume]]] = defaultdict(list)
        self.refused: dict[tuple[str, str], str] = {}

    def read_manifest(self, table: RawTable, folder: Path | None) -> None:
        folders = [place for place in (folder, table.path.parent) if place is not None]
        for item in table.rejected:
            self.problems.append(ImageProblem(f"{table.path}, row {item.row}", item.reason, _CORRECT))
        for row in table.frame.to_dicts():
            entity, key = f"{table.path}, row {row[ROW]}", None
            try:
                patient = self._patient(row["patient_id"])
                key = (patient, _phase(row["phase"]))
                self.named[key].append((entity, _volume(key[1], row, folders)))
            except ValueError as error:
                self.problems.append(ImageProblem(entity, str(error), _CORRECT))
                if key is not None:
                    self.refused[key] = str(error)

    def read_folder(self, folder: Path) -> None:
        for place in sorted(folder.iterdir()):
            if place.name.startswith("."):
                continue
            if not place.is_dir():
                self.problems.append(ImageProblem(str(place), "is not a patient's folder", _SAY_SO, "info"))
                continue
            try:
                patient = self._patient(place.name)
            except ValueError as error:
                remedy = "Name the folder like the patient in the clinical table, or write a manifest."
                self.problems.append(ImageProblem(str(place), str(error), remedy))
                continue
            self._read_patient(patient, place)

    def _read_patient(self, patient: str, place: Path) -> None:
        entries = sorted(path for path in place.iterdir() if not path.name.startswith("."))
        others = 0
        for path in entries:
            match = _ENTRY.fullmatch(path.name)
            if match is None or path.is_dir() != (match[2] is None):
                others += 1
                continue
            phase = match[1].lower()
            self.named[patient, phase].append((str(path), FoundVolume(phase, path.absolute())))
        if others or not entries:
            # Their names are not repeated: files named by a scanner may name the patient.
            problem = (
                f"holds {others} entries whose names do not say which phase they are" if others else "is empty"
            )
            self.problems.append(ImageProblem(str(place), problem, _SAY_SO))
        if others == len(entries):
            self.refused |= {(patient, phase): f"phase {phase.upper()} is not named" for phase in PHASES}

    def _patient(self, text: str) -> str:
        if is_missing(text):
            message = "names no patient"
            raise ValueError(message)
        name = unicodedata.normalize("NFC", text)  # macOS delivers decomposed names
        patient = name if name.startswith(f"{self.cohort}/") else f"{self.cohort}/{name}"
        if patient not in self.patients:
            message = f"names patient {patient}, who is not in the clinical table"
            raise ValueError(message)
        return patient

    def exams(self) -> list[FoundExam]:
        """Exam of every patient of whom a phase was named, the phases named once only."""
        found: dict[str, FoundExam] = {}
        for patient in sorted({patient for patient, _ in [*self.named, *self.refused]}):
            exam = found.setdefault(patient, FoundExam(f"{patient}{EXAM_SUFFIX}", patient, self.cohort))
            for phase in PHASES:
                self._add_phase(exam, phase)
        return list(found.values())

    def _add_phase(self, exam: FoundExam, phase: str) -> None:
        named = self.named.get((exam.patient_id, phase), [])
        reason = self.refused.get((exam.patient_id, phase))
        if len(named) > 1:
            reason = f"phase {phase.upper()} is named {len(named)} times"
            remedy = "Name one volume of each phase; none of these is taken."
            self.problems += [ImageProblem(entity, reason, remedy) for entity, _ in named]
        elif not named and reason is None:
            reason = f"phase {phase.upper()} is missing"
            self.problems.append(ImageProblem(exam.exam_id, reason, "Add the volume and ingest the cohort again."))
        if reason is None:
            exam.volumes[phase] = named[0][1]
        else:
            exam.refused[phase] = reason


def _phase(text: str) -> str:
    if is_missing(text):
        message = "names no phase"
        raise ValueError(message)
    if text.lower() not in PHASES:
        message = f"has phase {text!r}; known are {' and '.join(phase.upper() for phase in PHASES)}"
        raise ValueError(message)
    return text.lower()


def _volume(phase: str, row: dict[str, Any], folders: list[Path]) -> FoundVolume:
    liver_mask = _mask("liver_mask", row, folders)
    label = row.get("liver_label")
    if not is_missing(label) and liver_mask is None:
        message = "has a liver_label but no liver_mask"
        raise ValueError(message)
    return FoundVolume(
        phase,
        _locate("volume", row["path"], folders),
        lesion_mask=_mask("lesion_mask", row, folders),
        lesion_box=_box(row.get("lesion_box")),
        liver_mask=liver_mask,
        liver_label=_label(label),
    )


def _mask(column: str, row: dict[str, Any], folders: list[Path]) -> Path | None:
    return None if is_missing(row.get(column)) else _locate(column, row[column], folders)


def _locate(what: str, name: str, folders: list[Path]) -> Path:
    """Path of a named file or folder, which must lie below one of ``folders`` (symbolic links are followed)."""
    if is_missing(name):
        message = f"names no {what}"
        raise ValueError(message)
    inside = False
    for folder in folders:
        base = Path(os.path.normpath(folder.absolute()))  # unlike resolve(), links stay
        path = Path(os.path.normpath(base / name))
        if path.is_relative_to(base):
            inside = True
            if path.exists():
                return path
    message = (
        f"names {what} {name}, which does not exist"
        if inside
        else f"names {what} {name}, which lies outside the MRI folder and the folder of the manifest"
    )
    raise ValueError(message)


def _box(text: str | None) -> tuple[int, ...] | None:
    if is_missing(text):
        return None
    parts = re.split(r"[\s,;]+", str(text).strip())
    if len(parts) != 6 or not all(re.fullmatch(r"[0-9]+", part) for part in parts):
        message = "has a lesion_box that is not six whole numbers (x0 y0 z0 x1 y1 z1, voxels)"
        raise ValueError(message)
    box = tuple(int(part) for part in parts)
    if any(low >= high for low, high in zip(box[:3], box[3:], strict=True)):
        message = "has an empty lesion_box: x0, y0, z0 must be below x1, y1, z1"
        raise ValueError(message)
    return box


def _label(text: str | None) -> int | None:
    if is_missing(text):
        return None
    if not re.fullmatch(r"[0-9]+", str(text)) or int(str(text)) == 0:
        message = "has a liver_label that is not a whole number above 0"
        raise ValueError(message)
    return int(str(text))
