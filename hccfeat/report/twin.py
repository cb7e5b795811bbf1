"""The machine-readable twin of the report: every number shown, as CSV files in ``data/``."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.analysis.results import EndpointResult, HazardRatio, Metric, StudyReport
from hccfeat.files import write_text_atomically
from hccfeat.report.formatting import public_facts

Row = Sequence[Any]
_GROUP_COLUMNS = (
    *("endpoint", "cohort", "split", "model", "cut", "group", "n", "events", "median_months"),
    *("logrank_chisq", "logrank_p", "note"),
)
_MODALITY_COLUMNS = (
    *("endpoint", "cohort", "split", "model", "reads", "against", "metric", "estimate", "lower", "upper"),
    *("p", "p_holm", "n", "events", "trained", "trained_events", "left_out", "method"),
)


def cell(value: Any) -> str:
    """Text of one CSV cell: floats at full precision, empty where there is no value.

    A number read back from the text equals the number written.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def csv_text(header: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a CSV file's text: comma, quotes where needed, newline at each row's end."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def records_text(records: Sequence[dict[str, Any]], first: Sequence[str]) -> str:
    """Return the CSV text of dictionaries: the columns ``first``, then any others in order of appearance."""
    header = list(first)
    for record in records:
        header += [key for key in record if key not in header]
    return csv_text(header, ([record.get(key) for key in header] for record in records))


def twin_files(report: StudyReport) -> dict[str, str]:
    """Return the text of every file of ``data/`` by file name.

    No file holds a row about one patient: risks (:class:`hccfeat.analysis.results.Prediction`) stay in the
    catalog.
    """
    return {
        "metrics.csv": _dataclass_text(Metric, [m for e in report.endpoints for m in e.all_metrics]),
        "modalities.csv": csv_text(_MODALITY_COLUMNS, (row for e in report.endpoints for row in _modality_rows(e))),
        "hazard_ratios.csv": _dataclass_text(HazardRatio, [h for e in report.endpoints for h in e.hazard_ratios]),
        "attrition.csv": records_text(
            report.attrition, ("cohort", "step_number", "step", "n", "excluded", "reason")
        ),
        "endpoint_attrition.csv": records_text(
            [{"endpoint": e.endpoint} | row for e in report.endpoints for row in e.attrition],
            ("endpoint", "cohort", "split", "patients", "labelled", "events", "excluded", "reason"),
        ),
        "cohorts.csv": records_text(
            report.cohorts,
            ("cohort", "title", "format", "simulated", "patients", "images", "exams", "image_patients", "note"),
        ),
        "baseline.csv": records_text(report.baseline, ("variable", "level")),
        "curves.csv": csv_text(
            ("endpoint", "cohort", "split", "model", "group", "time_months", "survival", "lower", "upper"),
            (row for e in report.endpoints for row in _curve_rows(e)),
        ),
        "groups.csv": csv_text(
            _GROUP_COLUMNS,
            (row for e in report.endpoints for row in _group_rows(e)),
        ),
        "at_risk.csv": csv_text(
            ("endpoint", "cohort", "split", "model", "group", "time_months", "at_risk"),
            (row for e in report.endpoints for row in _risk_rows(e)),
        ),
        "roc.csv": csv_text(
            ("endpoint", "cohort", "split", "model", "false_positive_rate", "true_positive_rate"),
            (row for e in report.endpoints for row in _roc_rows(e)),
        ),
        "logistic.csv": csv_text(
            ("endpoint", "fit", "term", "coefficient", "standard_error", "odds_ratio", "lower", "upper", "p"),
            (row for e in report.endpoints for row in _logistic_rows(e)),
        ),
        "notices.csv": csv_text(
            ("endpoint", "level", "title", "text"),
            ((e.endpoint, n.level, n.title, n.text) for e in report.endpoints for n in e.notices),
        ),
        "about.json": _about_text(report),
    }


def write_twin(folder: Path, files: dict[str, str]) -> None:
    """Write the files of :func:`twin_files` into ``folder``, each one atomically."""
    for name, text in files.items():
        write_text_atomically(folder / name, text)


def _dataclass_text(kind: type[Metric] | type[HazardRatio], rows: Sequence[Metric | HazardRatio]) -> str:
    names = [field.name for field in fields(kind)]
    return csv_text(names, ([getattr(row, name) for name in names] for row in rows))


def _modality_rows(result: EndpointResult) -> Iterator[Row]:
    """Scores of the models of each modality, and their paired differences (``against`` names the other model)."""
    for found in result.modalities:
        place = (result.endpoint, found.cohort, found.split)
        fitted = (found.trained, found.trained_events, found.left_out)
        for m in found.metrics:
            yield (
                *(*place, m.model, found.labels[m.model], None, m.metric, m.estimate, m.lower, m.upper),
                *(None, None, m.n, m.events, *fitted, m.method),
            )
        for g in found.gaps:
            yield (
                *(*place, g.model, found.labels[g.model], g.against, "auroc_difference", g.estimate),
                *(g.lower, g.upper, g.p, g.p_holm, g.n, g.events, *fitted, g.method),
            )


def _curve_rows(result: EndpointResult) -> Iterator[Row]:
    for group in result.groups:
        for curve in group.curves:
            key = (result.endpoint, group.cohort, group.split, group.model, curve.label)
            for values in zip(curve.times, curve.survival, curve.lower, curve.upper, strict=True):
                yield (*key, *values)


def _group_rows(result: EndpointResult) -> Iterator[Row]:
    for group in result.groups:
        for curve in group.curves:
            yield (
                *(result.endpoint, group.cohort, group.split, group.model, group.cut, curve.label, curve.n),
                *(curve.events, curve.median, group.logrank_chisq, group.logrank_p, group.note),
            )


def _risk_rows(result: EndpointResult) -> Iterator[Row]:
    for group in result.groups:
        for curve in group.curves:
            key = (result.endpoint, group.cohort, group.split, group.model, curve.label)
            for values in zip(curve.risk_times, curve.at_risk, strict=True):
                yield (*key, *values)


def _roc_rows(result: EndpointResult) -> Iterator[Row]:
    for roc in result.rocs:
        key = (result.endpoint, roc.cohort, roc.split, roc.model)
        for values in zip(roc.false_positive_rate, roc.true_positive_rate, strict=True):
            yield (*key, *values)


def _logistic_rows(result: EndpointResult) -> Iterator[Row]:
    for fit, terms in result.logistic.items():
        for term in terms:
            yield (
                *(result.endpoint, fit, term.term, term.coefficient, term.standard_error),
                *(term.odds_ratio, term.lower, term.upper, term.p),
            )


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
