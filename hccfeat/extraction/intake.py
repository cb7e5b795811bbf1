"""``hccfeat ingest``: a cohort's clinical table, images and MRI exams, checked and recorded in one step."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from hccfeat.cohort.dictionary import Dictionary, TableFormat, load_dictionary
from hccfeat.cohort.exams import find_exams
from hccfeat.cohort.images import ImageProblem, find_images
from hccfeat.cohort.ingest import ClinicalTable, validate, write_rejected
from hccfeat.cohort.readers import is_workbook, read_table
from hccfeat.errors import InputError, SlideError
from hccfeat.extraction.exam_intake import inspect_exams
from hccfeat.progress import progress_bar
from hccfeat.slides.readers import SUPPORTED_SUFFIXES, inspect
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer

IMAGE_COLUMNS = (
    "image_id", "patient_id", "cohort", "path", "bytes", "mtime_ns", "quick_sha256", "reader", "width", "height",
    "mpp", "mpp_source", "status", "reason", "modality",
)  # fmt: skip
REPLACED = ("cohort", "patient", "clinical", "outcome", "image", "volume", "rejected_row", "attrition")
"""Tables whose rows of the cohort a new ingest replaces."""


@dataclass
class IngestSummary:
    """What ``ingest`` did.

    ``problems`` are things left out, each with its remedy; ``cautions`` are taken but worth a look. ``images`` and
    ``exams`` count what can be read, an exam with both of its phases.
    """

    cohort: str
    patients: int
    images: int
    exams: int
    attrition: list[dict[str, Any]]
    problems: list[dict[str, str]] = field(default_factory=list)
    cautions: list[dict[str, str]] = field(default_factory=list)
    information: list[dict[str, str]] = field(default_factory=list)
    rejected_file: Path | None = None


def ingest(
    study: Path,
    cohort: str,
    clinical: Path,
    *,
    table_format: str | None = None,
    slides: Path | None = None,
    manifest: Path | None = None,
    mri: Path | None = None,
    mri_manifest: Path | None = None,
) -> IngestSummary:
    """Check a cohort against the data catalog and record it; ingesting it again replaces it.

    Nothing is recorded unless the clinical table can be read. Values, rows and images that are wrong are
    left out, listed with reason and remedy, and do not stop the others.

    Parameters
    ----------
    study : Path
        Study folder.
    cohort : str
        Name of the cohort.
    clinical : Path
        Clinical table.
    table_format : {"plain", "gdc", "tcga-cdr"}, optional
        Instead of what the cohort's description says.
    slides, manifest : Path, optional
        Images and the table that assigns them.
    mri, mri_manifest : Path, optional
        MRI exams and the table that assigns them; see :func:`hccfeat.cohort.exams.find_exams`.

    Returns
    -------
    IngestSummary
        Counts, attrition and problems.

    Raises
    ------
    InputError
        If the table, the folder or the manifest cannot be used at all.
    StudyBusyError
        If another process writes to the study.
    """
    checked_format = _format(table_format)
    dictionary = load_dictionary(study)
    description = dictionary.cohort(cohort, checked_format)
    if checked_format is None and description.format == "gdc" and is_workbook(clinical):
        description = dictionary.cohort(cohort, "tcga-cdr")
    table = validate(
        read_table(clinical, checked_format or description.format, description), description, dictionary, cohort
    )
    rows, problems = find_images(slides, manifest, cohort, table.patient_ids, SUPPORTED_SUFFIXES)
    problems = [*problems, *_replaced_images(study, cohort, rows)]
    images = _inspect_all(rows, problems)
    found, exam_problems = find_exams(mri, mri_manifest, cohort, table.patient_ids)
    problems += [*exam_problems, *_names_of_exams(images, {exam.exam_id for exam in found})]
    exams, volumes = inspect_exams(found, problems)
    problems += _replaced_images(study, cohort, exams)
    kept = {exam["image_id"] for exam in exams}
    tables = _tables(table, images, exams, [volume for volume in volumes if volume["image_id"] in kept])
    with Committer(study) as committer:
        committer.record(
            "ingest",
            cohort,
            tables,
            replaces={name: {"cohort": cohort} for name in REPLACED},
            about={
                "clinical_columns": table.clinical_columns,
                "clinical_descriptions": _descriptions(dictionary, table),
            },
        )
        committer.publish()
    return _summary(study, table, tables, problems)


def _descriptions(dictionary: Dictionary, table: ClinicalTable) -> dict[str, str]:
    """Give each clinical column its label, unit and description, for any client that shows comments."""
    texts = {}
    for name in table.clinical_columns:
        variable = dictionary.variables[name]
        unit = f" [{variable.unit}]" if variable.unit else ""
        texts[name] = f"{variable.label}{unit}. {variable.meaning}".strip()
    return texts


def _format(name: str | None) -> TableFormat | None:
    for known in get_args(TableFormat):
        if name == known:
            return known
    if name is not None:
        raise InputError(f"--format {name}", "is unknown", f"Use {', '.join(get_args(TableFormat))}.")
    return None


def _inspect_all(rows: list[dict[str, Any]], problems: list[ImageProblem]) -> list[dict[str, Any]]:
    """Open every image once, so that a bad one is known now and not hours later."""
    images = []
    with progress_bar("Opening slides", len(rows)) as advance:
        for row in rows:
            facts: dict[str, Any] = dict.fromkeys(IMAGE_COLUMNS)
            facts.update({name: value for name, value in row.items() if name in facts}, modality="slide")
            try:
                info = inspect(Path(row["path"]), row["mpp"])
                facts.update(
                    reader=info.reader, width=int(info.width), height=int(info.height), mpp=float(info.mpp),
                    mpp_source=info.mpp_source, status="ok", reason="",
                )  # fmt: skip
            except SlideError as error:
                facts.update(status=str(error.kind), reason=str(error))
                problems.append(ImageProblem(row["image_id"], error.problem, error.remedy))
            images.append(facts)
            advance()
    return images


def _replaced_images(study: Path, cohort: str, rows: list[dict[str, Any]]) -> list[ImageProblem]:
    """Refuse other content under the name of an image or exam that has vectors: shards are never overwritten."""
    stored = query(
        study,
        "SELECT DISTINCT i.image_id, i.quick_sha256 FROM image AS i JOIN shard AS s USING (image_id) "
        "WHERE i.cohort = ?",
        [cohort],
    )
    known = dict(zip(stored["image_id"], stored["quick_sha256"], strict=True))
    changed = [row for row in rows if known.get(row["image_id"], row["quick_sha256"]) != row["quick_sha256"]]
    for row in changed:
        rows.remove(row)
    return [
        ImageProblem(
            row["image_id"],
            "has other content than when its vectors were made",
            "Give the new file a new name, or restore the old one.",
        )
        for row in changed
    ]


def _names_of_exams(images: list[dict[str, Any]], exam_ids: set[str]) -> list[ImageProblem]:
    """Leave out images that have the name of an exam: names are identities."""
    same = [row for row in images if row["image_id"] in exam_ids]
    for row in same:
        images.remove(row)
    problem = "has the name of its patient's MRI exam"
    return [ImageProblem(row["path"], problem, "Rename the image; it is not taken.") for row in same]


def _tables(
    table: ClinicalTable,
    images: list[dict[str, Any]],
    exams: list[dict[str, Any]],
    volumes: list[dict[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
    steps = list(table.attrition)
    for rows, what in ((images, "image"), (exams, "MRI exam")):
        pictured = {row["patient_id"] for row in rows if row["status"] == "ok"}
        if rows:
            last = max((row["step_number"] for row in steps), default=0)
            step = {
                "cohort": table.cohort["cohort"],
                "step_number": last + 1,
                "step": f"patients with a readable {what}",
                "n": len(pictured),
                "excluded": len(table.patients) - len(pictured),
                "reason": f"no readable {what}",
            }
            steps.append(step)
    return {
        "cohort": [{**table.cohort, "images": _readable(images)}],
        "patient": table.patients,
        "clinical": table.clinical,
        "outcome": table.outcomes,
        "image": [*images, *exams],
        "volume": volumes,
        "rejected_row": table.rejected,
        "attrition": steps,
    }


def _readable(rows: list[dict[str, Any]], modality: str = "slide") -> int:
    return sum(1 for row in rows if row["status"] == "ok" and row["modality"] == modality)


def _summary(
    study: Path, table: ClinicalTable, tables: dict[str, list[dict[str, Any]]], problems: list[ImageProblem]
) -> IngestSummary:
    cohort = table.cohort["cohort"]
    rejected = [
        {
            "entity": f"{row['source_file']} row {row['row_number']}",
            "problem": f"{row['column_name']}: {row['reason']}" if row["column_name"] else row["reason"],
            "remedy": "Correct the table and ingest it again, or go on without.",
        }
        for row in table.rejected
    ]
    listed: dict[str, list[dict[str, str]]] = {"error": rejected, "caution": [], "info": []}
    for item in problems:
        listed[item.level].append({"entity": item.entity, "problem": item.problem, "remedy": item.remedy})
    path = None
    if listed["error"]:
        path = study / "results" / "ingest" / f"{cohort}-rejected.csv"
        write_rejected(path, [*table.rejected, *(_as_rejected(cohort, p) for p in problems if p.level == "error")])
    return IngestSummary(
        cohort=cohort,
        patients=len(table.patients),
        images=_readable(tables["image"]),
        exams=_readable(tables["image"], "mri"),
        attrition=[{name: step[name] for name in step if name != "cohort"} for step in tables["attrition"]],
        problems=listed["error"],
        cautions=listed["caution"],
        information=listed["info"],
        rejected_file=path,
    )


def _as_rejected(cohort: str, problem: ImageProblem) -> dict[str, Any]:
    return {
        "cohort": cohort,
        "source_file": problem.entity,
        "row_number": "",
        "column_name": "image",
        "reason": f"{problem.problem}. {problem.remedy}",
    }
