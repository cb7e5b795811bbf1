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
    steps = sum(len(curve.times) for e in report.endpoints for group in e.groups for curve in group.curves)
    assert files["curves.csv"].count("\n") == steps + 1
    points = sum(len(roc.false_positive_rate) for e in report.endpoints for roc in e.rocs)
    assert files["roc.csv"].count("\n") == points + 1
    assert json.loads(files["about.json"])["run_id"] == report.run_id
    assert "predictions.csv" not in files


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
