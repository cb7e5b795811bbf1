"""Reading every MRI volume once at ingest: what can be used, and the facts of table ``volume``."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hccfeat.cohort.exams import FoundExam, FoundVolume
from hccfeat.cohort.images import ImageProblem
from hccfeat.config import PHASES
from hccfeat.errors import EntityError, FailureKind, VolumeError
from hccfeat.extraction.volume_files import VolumeFiles, read_crop
from hccfeat.files import sha256_of
from hccfeat.mri.readers import read_volume
from hccfeat.mri.volume import VolumeFacts
from hccfeat.progress import progress_bar

SAME_PHASES = "PRE and HBP are the same volume"


@dataclass
class _Inspected:
    """A volume after reading: its row of table ``volume``, its content, and when it was recorded."""

    row: dict[str, Any]
    content: str | None = None
    acquired_s: float | None = None
    error: EntityError | None = None


def inspect_exams(
    exams: list[FoundExam], problems: list[ImageProblem]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Open every volume once, so that a bad one is known now and not hours later.

    Parameters
    ----------
    exams : list of FoundExam
        Of :func:`hccfeat.cohort.exams.find_exams`.
    problems : list of ImageProblem
        Receives what is wrong with volumes and exams; the others go on.

    Returns
    -------
    (list of dict, list of dict)
        Rows of tables ``image`` (one per exam; ok if both phases are) and ``volume`` (one per volume found).
    """
    rows, volumes = [], []
    contents: dict[str, list[str]] = defaultdict(list)
    with progress_bar("Opening MRI volumes", len(exams)) as advance:
        for exam in exams:
            found = _inspect_exam(exam)
            order = _phase_order(exam, found, problems)
            problems += [
                ImageProblem(volume.error.entity, volume.error.problem, volume.error.remedy)
                for volume in found.values()
                if volume.error is not None
            ]
            rows.append(_exam_row(exam, found))
            volumes += [{**volume.row, "phase_order": order} for volume in found.values()]
            for content in {volume.content for volume in found.values() if volume.content is not None}:
                contents[content].append(exam.exam_id)
            advance()
    remedy = "Remove one: a volume in two patients leaks from training to test."
    problems += [
        ImageProblem(other, f"has a volume with the content of one of {first}", remedy, "caution")
        for first, other in dict.fromkeys((one[0], other) for one in contents.values() for other in one[1:])
    ]
    return rows, volumes


def _inspect_exam(exam: FoundExam) -> dict[str, _Inspected]:
    found = {phase: _inspect(exam, exam.volumes[phase]) for phase in PHASES if phase in exam.volumes}
    contents = [volume.content for volume in found.values() if volume.content is not None]
    if len(contents) == len(PHASES) and len(set(contents)) == 1:
        remedy = "Give each phase its own volume."
        error = VolumeError(FailureKind.INCONSISTENT, exam.exam_id, SAME_PHASES, remedy)
        for volume in found.values():
            volume.row.update(status=str(error.kind), reason=str(error))
        found[PHASES[-1]].error = found[PHASES[-1]].error or error
    return found


def _inspect(exam: FoundExam, volume: FoundVolume) -> _Inspected:
    entity = f"{exam.exam_id} {volume.phase.upper()}"
    row = _empty_row(exam, volume)
    inspected = _Inspected(row)
    try:
        files = VolumeFiles.find(volume, entity)
        row.update(bytes=files.bytes, mtime_ns=files.mtime_ns, quick_sha256=files.quick_sha256)
        inspected.content = files.content_sha256
        read = read_volume(volume.path, entity)
        row.update(_facts(read.facts))
        inspected.acquired_s = read.facts.acquired_s
        read_crop(volume, read, entity)
        row.update(status="ok", reason="")
    except EntityError as error:
        row.update(status=str(error.kind), reason=str(error))
        inspected.error = error
    return inspected


def _empty_row(exam: FoundExam, volume: FoundVolume) -> dict[str, Any]:
    return {
        "image_id": exam.exam_id,
        "cohort": exam.cohort,
        "phase": volume.phase,
        "path": _text(volume.path),
        "lesion_mask": _text(volume.lesion_mask),
        "lesion_box": None if volume.lesion_box is None else " ".join(map(str, volume.lesion_box)),
        "liver_mask": _text(volume.liver_mask),
        "liver_label": volume.liver_label,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _facts(facts: VolumeFacts) -> dict[str, Any]:
    sizes = dict(zip(("nx", "ny", "nz"), map(int, facts.shape), strict=True))
    spacing = zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), map(float, facts.spacing_mm), strict=True)
    return {
        "format": facts.format,
        **sizes,
        **dict(spacing),
        "intensity_low": float(facts.intensity_low),
        "intensity_high": float(facts.intensity_high),
        "slices": int(facts.slices),
        "missing_slices": int(facts.missing_slices),
    }


def _phase_order(exam: FoundExam, found: dict[str, _Inspected], problems: list[ImageProblem]) -> str:
    times = [found[phase].acquired_s if phase in found else None for phase in PHASES]
    pre, hbp = times
    if pre is None or hbp is None or pre == hbp:
        return "not recorded"
    if pre < hbp:
        return "pre before hbp"
    problem = "its HBP was recorded before its PRE, by the times in the headers"
    remedy = "Look whether they are exchanged; an exam that began before midnight is right as it is."
    problems.append(ImageProblem(exam.exam_id, problem, remedy, "caution"))
    return "hbp before pre"


def _exam_row(exam: FoundExam, found: dict[str, _Inspected]) -> dict[str, Any]:
    status, reason = "ok", ""
    for phase in PHASES:
        if status != "ok":
            break
        if phase in exam.refused:
            status, reason = str(FailureKind.INCOMPLETE), exam.refused[phase]
        elif found[phase].row["status"] != "ok":
            status, reason = found[phase].row["status"], found[phase].row["reason"]
    rows = [volume.row for volume in found.values()]
    return {
        "image_id": exam.exam_id,
        "patient_id": exam.patient_id,
        "cohort": exam.cohort,
        "bytes": sum(_known(row.get("bytes") for row in rows)),
        "mtime_ns": max(_known(row.get("mtime_ns") for row in rows), default=None),
        "quick_sha256": sha256_of({row["phase"]: row.get("quick_sha256") for row in rows}),
        "reader": ", ".join(dict.fromkeys(row["format"] for row in rows if row.get("format"))) or None,
        "status": status,
        "reason": reason,
        "modality": "mri",
    }


def _known(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]
