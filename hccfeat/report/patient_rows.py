"""Rows about single patients: written only where the study file asks for them (``[report] patient_rows``)."""

from dataclasses import fields

from hccfeat.analysis.results import Prediction, StudyReport
from hccfeat.report.csv_files import csv_text

PREDICTIONS = "predictions.csv"


def patient_files(report: StudyReport) -> dict[str, str]:
    """Return the data files with one row per patient, by file name.

    Parameters
    ----------
    report : StudyReport
        What ``analyze`` found.

    Returns
    -------
    dict
        Empty unless ``report.patient_rows``; else ``predictions.csv``: endpoint, cohort, split, model, patient_id,
        risk and, where the model gives one, probability. The page itself never shows such a row.
    """
    if not report.patient_rows:
        return {}
    columns = [field.name for field in fields(Prediction)]
    rows = ([getattr(one, name) for name in columns] for e in report.endpoints for one in e.all_predictions)
    return {PREDICTIONS: csv_text(columns, rows)}
