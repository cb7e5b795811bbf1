"""``hccfeat ingest``: a cohort's clinical table and images, checked and recorded in one step."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from hccfeat.cohort.dictionary import Dictionary, TableFormat, load_dictionary
from hccfeat.cohort.images import ImageProblem, find_images
from hccfeat.cohort.ingest import ClinicalTable, validate, write_rejected
from hccfeat.cohort.readers import read_table
from hccfeat.errors import InputError, SlideError
from hccfeat.progress import progress_bar
from hccfeat.slides.readers import SUPPORTED_SUFFIXES, inspect
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer

IMAGE_COLUMNS = (
    "image_id", "patient_id", "cohort", "path", "bytes", "mtime_ns", "quick_sha256", "reader", "width", "height",
    "mpp", "mpp_source", "status", "reason",
)  # fmt: skip


@dataclass
class IngestSummary:
    """What ``ingest`` did; ``problems`` are things left out, each with its remedy."""

    cohort: str
    patients: int
    images: int
    attrition: list[dict[str, Any]]
    problems: list[dict[str, str]] = field(default_factory=list)
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
    table = validate(
        read_table(clinical, checked_format or description.format, description), description, dictionary, cohort
    )
    rows, problems = find_images(slides, manifest, cohort, table.patient_ids, SUPPORTED_SUFFIXES)
    problems = [*problems, *_replaced_images(study, cohort, rows)]
    images = _inspect_all(rows, problems)
    tables = _tables(table, images)
    with Committer(study) as committer:
        committer.record(
            "ingest",
            cohort,
            tables,
            replaces={
                name: {"cohort": cohort}
                for name in ("cohort", "patient", "clinical", "outcome", "image", "rejected_row", "attrition")
            },
            about={
                "clinical_columns": table.clinical_columns,
                "clinical_descriptions": _descriptions(dictionary, table),
            },
        )
        committer.publish()
    return _summary(study, cohort, table, images, problems, tables["attrition"])


def _descriptions(dictionary: Dictionary, table: ClinicalTable) -> dict[str, str]:
    """Give each clinical column its label, unit and description, for any client that shows comments."""
    texts = {}
    for name in table.clinical_columns:
        variable = dictionary.variables[name]
        unit = f" [{variable.unit}]" if variable.unit else ""
        texts[name] = f"{variable.label}{unit}. {variable.description}".strip()
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
            facts.update({name: value for name, value in row.items() if name in facts})
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
    """Refuse other content under the name of an image that has vectors: shards are never overwritten."""
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


def _tables(table: ClinicalTable, images: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    readable = sum(1 for image in images if image["status"] == "ok")
    pictured = {image["patient_id"] for image in images if image["status"] == "ok"}
    last = max((row["step_number"] for row in table.attrition), default=0)
    step = {
        "cohort": table.cohort["cohort"],
        "step_number": last + 1,
        "step": "patients with a readable image",
        "n": len(pictured),
        "excluded": len(table.patients) - len(pictured),
        "reason": "no readable image",
    }
    return {
        "cohort": [{**table.cohort, "images": readable}],
        "patient": table.patients,
        "clinical": table.clinical,
        "outcome": table.outcomes,
        "image": images,
        "rejected_row": table.rejected,
        "attrition": [*table.attrition, *([step] if images else [])],
    }


def _summary(
    study: Path,
    cohort: str,
    table: ClinicalTable,
    images: list[dict[str, Any]],
    problems: list[ImageProblem],
    steps: list[dict[str, Any]],
) -> IngestSummary:
    rejected = [
        {
            "entity": f"{row['source_file']} row {row['row_number']}",
            "problem": f"{row['column_name']}: {row['reason']}" if row["column_name"] else row["reason"],
            "remedy": "Correct the table and ingest it again, or go on without.",
        }
        for row in table.rejected
    ]
    listed = {"error": rejected, "info": []}
    for item in problems:
        listed[item.level].append({"entity": item.entity, "problem": item.problem, "remedy": item.remedy})
    path = None
    if listed["error"]:
        path = study / "results" / "ingest" / f"{cohort}-rejected.csv"
        write_rejected(path, [*table.rejected, *(_as_rejected(cohort, p) for p in problems if p.level == "error")])
    readable = sum(1 for image in images if image["status"] == "ok")
    attrition = [{name: value for name, value in step.items() if name != "cohort"} for step in steps]
    return IngestSummary(cohort, len(table.patients), readable, attrition, listed["error"], listed["info"], path)


def _as_rejected(cohort: str, problem: ImageProblem) -> dict[str, Any]:
    return {
        "cohort": cohort,
        "source_file": problem.entity,
        "row_number": "",
        "column_name": "image",
        "reason": f"{problem.problem}. {problem.remedy}",
    }
