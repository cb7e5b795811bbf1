"""The machine-readable twin of the report: every number shown, as CSV files in ``data/``."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from hccfeat.analysis.results import EndpointResult, HazardRatio, Metric, ModelComparison, StudyReport
from hccfeat.files import write_text_atomically
from hccfeat.report.citations import bibtex_text
from hccfeat.report.csv_files import Row, cell, csv_text, records_text
from hccfeat.report.formatting import public_facts
from hccfeat.report.guidelines import guideline_views
from hccfeat.report.patient_rows import patient_files
from hccfeat.report.twin_rows import ENDPOINT_TABLES, all_comparisons

__all__ = ["cell", "csv_text", "records_text", "twin_files", "write_twin"]


def twin_files(report: StudyReport) -> dict[str, str]:
    """Return the text of every file of ``data/`` by file name.

    No file holds a row about one patient unless the study asks for ``predictions.csv``.
    """
    ends = report.endpoints
    return {
        "metrics.csv": _dataclass_text(Metric, [m for e in ends for m in e.all_metrics]),
        "hazard_ratios.csv": _dataclass_text(HazardRatio, [h for e in ends for h in e.hazard_ratios]),
        "comparisons.csv": _dataclass_text(ModelComparison, [c for e in ends for c in all_comparisons(e)]),
        "attrition.csv": records_text(
            report.attrition, ("cohort", "step_number", "step", "n", "excluded", "reason")
        ),
        "endpoint_attrition.csv": records_text(
            [{"endpoint": e.endpoint} | row for e in ends for row in e.attrition],
            ("endpoint", "cohort", "split", "patients", "labelled", "events", "excluded", "reason"),
        ),
        "cohorts.csv": records_text(
            report.cohorts,
            ("cohort", "title", "format", "simulated", "patients", "images", "exams", "image_patients", "note"),
        ),
        "baseline.csv": records_text(report.baseline, ("variable", "level")),
        **{name: _endpoint_text(ends, *table) for name, table in ENDPOINT_TABLES.items()},
        "guidelines.csv": csv_text(
            ("guideline", "number", "topic", "status", "answer"),
            ((g.name, i.number, i.topic, i.status, i.answer) for g in guideline_views(report) for i in g.items),
        ),
        "about.json": _about_text(report),
        "citations.bib": bibtex_text(report),
        **patient_files(report),
    }


def write_twin(folder: Path, files: dict[str, str]) -> None:
    """Write the files of :func:`twin_files` into ``folder``, each one atomically."""
    for name, text in files.items():
        write_text_atomically(folder / name, text)


def _dataclass_text(kind: type, rows: Sequence[object]) -> str:
    names = [field.name for field in fields(kind)]
    return csv_text(names, ([getattr(row, name) for name in names] for row in rows))


def _endpoint_text(
    endpoints: Sequence[EndpointResult], header: Sequence[str], rows: Callable[[EndpointResult], Iterable[Row]]
) -> str:
    """Return the CSV text of the rows of all endpoints, each row after its endpoint's name."""
    return csv_text(("endpoint", *header), ((e.endpoint, *row) for e in endpoints for row in rows(e)))


def _about_text(report: StudyReport) -> str:
    about = public_facts(
        {
            "study": report.study,
            "title": report.title,
            "simulated": report.simulated,
            "run_id": report.run_id,
            "created": report.created,
            "settings": report.settings,
            "versions": report.versions,
            "feature_set": report.feature_set,
        }
    )
    return json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"
