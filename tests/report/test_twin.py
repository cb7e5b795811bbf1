import csv
import io
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hccfeat.report.twin import cell, csv_text, records_text, twin_files
from tests.report.sample import full_report

METRICS = "endpoint,cohort,split,model,metric,estimate,lower,upper,n,events,method"
HAZARDS = "endpoint,cohort,kind,term,hr,lower,upper,p,n,events,ties"


def test_headers_are_the_documented_ones() -> None:
    files = twin_files(full_report())
    assert files["metrics.csv"].split("\n", 1)[0] == METRICS
    assert files["hazard_ratios.csv"].split("\n", 1)[0] == HAZARDS


def test_every_row_and_every_digit_is_kept() -> None:
    report = full_report()
    files = twin_files(report)
    metrics = [metric for result in report.endpoints for metric in result.metrics]
    rows = list(csv.DictReader(io.StringIO(files["metrics.csv"])))
    assert len(rows) == len(metrics)
    for row, metric in zip(rows, metrics, strict=True):
        assert (float(row["estimate"]) if row["estimate"] else None) == metric.estimate
        assert (row["method"], int(row["n"])) == (metric.method, metric.n)
    ratios = [ratio for result in report.endpoints for ratio in result.hazard_ratios]
    rows = list(csv.DictReader(io.StringIO(files["hazard_ratios.csv"])))
    assert [(float(row["hr"]) if row["hr"] else None) for row in rows] == [ratio.hr for ratio in ratios]
    assert any(ratio.hr is None for ratio in ratios)


def test_every_figure_has_its_numbers() -> None:
    report = full_report()
    files = twin_files(report)
    curves = [curve for e in report.endpoints for group in e.groups for curve in group.curves]
    curves += [found.curve for e in report.endpoints for found in e.survival]
    arms = [e.treatment.arms.curves for e in report.endpoints if e.treatment is not None]
    assert arms
    curves += [curve for one in arms if one is not None for curve in one.curves]
    assert files["curves.csv"].count("\n") == sum(len(curve.times) for curve in curves) + 1
    rows = list(csv.DictReader(io.StringIO(files["curves.csv"])))
    assert sum(int(row["events"]) for row in rows) == sum(curve.events for curve in curves)
    points = sum(len(roc.false_positive_rate) for e in report.endpoints for roc in e.rocs)
    assert files["roc.csv"].count("\n") == points + 1
    lengths = {
        "calibration_curves.csv": sum(len(c.predicted) for e in report.endpoints for c in e.calibrations),
        "decision_curves.csv": sum(len(d.thresholds) for e in report.endpoints for d in e.decisions),
        "risk_distributions.csv": sum(len(d.with_event) for e in report.endpoints for d in e.distributions),
        "incidence.csv": sum(len(c.times) for e in report.endpoints for c in e.incidences),
        "comparisons.csv": sum(len(e.comparisons) for e in report.endpoints),
        "proportional_hazards.csv": sum(len(e.proportionality) for e in report.endpoints),
        "model_tests.csv": sum(len(e.tests) for e in report.endpoints),
        "notices.csv": sum(len(e.notices) for e in report.endpoints),
    }
    assert {name: files[name].count("\n") - 1 for name in lengths} == lengths
    assert min(lengths.values()) > 0
    assert json.loads(files["about.json"])["run_id"] == report.run_id
    assert "predictions.csv" not in files


def test_every_table_has_as_many_cells_as_columns() -> None:
    for name, text in twin_files(full_report()).items():
        if name.endswith(".csv"):
            widths = {len(row) for row in csv.reader(io.StringIO(text))}
            assert len(widths) == 1, name


def test_treatment_has_benefits_with_intervals_and_both_arms() -> None:
    rows = list(csv.DictReader(io.StringIO(twin_files(full_report())["treatment.csv"])))
    benefit = [row for row in rows if (row["what"], row["of"]) == ("benefit", "all patients")]
    assert [(row["value"], row["lower"], row["upper"], row["n"]) for row in benefit] == [
        ("0.08", "-0.1", "0.26", "100")
    ]
    arms = [row for row in rows if row["what"] == "event-free" and row["of"] == "all patients"]
    assert [(row["part"], row["value"]) for row in arms] == [("untreated", "0.55"), ("treated", "0.63")]


@given(st.floats(allow_nan=False))
def test_floats_survive(value: float) -> None:
    assert float(cell(value)) == value
    assert cell(np.float64(value)) == cell(value)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=1, max_size=4))
def test_text_survives(words: list[str]) -> None:
    text = csv_text([f"c{i}" for i in range(len(words))], [words])
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] in ([words], [[]])


def test_missing_values_are_empty_cells() -> None:
    assert [cell(None), cell(float("nan")), cell(np.float64("nan")), cell(True), cell(np.int64(3))] == [
        "",
        "",
        "",
        "true",
        "3",
    ]


def test_further_columns_follow_the_documented_ones() -> None:
    assert records_text([{"b": 1, "extra": 2}, {"a": 3}], ("a", "b")) == "a,b,extra\n,1,2\n3,,\n"
