import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.hazards import FIRTH_TIES
from hccfeat.analysis.multivariable import MultivariableCox, multivariable
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.firth import firth_cox
from tests.analysis.people import cohort, people


def kinds(found: MultivariableCox) -> dict[str, str]:
    return {one.kind: one.reason for one in found.conditions}


def table(n: int = 150, columns: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time, event, x = cohort(n)
    noise = np.random.default_rng(9).normal(size=(n, columns - 1))
    return time, event, np.column_stack([x, noise])


def test_complete_cases_with_all_tests() -> None:
    time, event, x = table()
    x[:15, 1] = np.nan
    found = multivariable("1y", people(time, event, x, names=["a", "b", "c"]))
    fit = cox_model(time[15:], event[15:], x[15:])
    assert [(row.term, row.kind, row.n) for row in found.rows] == [(t, "multivariable", 135) for t in "abc"]
    assert [row.hr for row in found.rows] == pytest.approx(np.exp(fit.coefficients))
    assert [(row.test, row.df) for row in found.tests] == [("likelihood ratio", 3), ("Wald", 3), ("score", 3)]
    tests = (fit.likelihood_ratio_test, fit.wald_test, fit.score_test)
    assert [row.chisq for row in found.tests] == pytest.approx([test.chisq for test in tests])
    assert [row.p for row in found.tests] == pytest.approx([test.p for test in tests])
    assert [row.term for row in found.proportionality] == ["a", "b", "c", "GLOBAL"]
    assert found.conditions == []


def test_sparse_and_repeated_indicators_are_left_out_and_named() -> None:
    time, event, x = table()
    sparse = np.where(np.arange(150) < 100, np.nan, x[:, 1])
    wide = np.column_stack([x, sparse, x[:, 0] + x[:, 1], np.ones(150)])
    found = multivariable("1y", people(time, event, wide, names=["a", "b", "c", "sparse", "sum", "flat"]))
    assert [row.term for row in found.rows] == ["a", "b", "c"]
    assert found.rows[0].n == 150
    assert "sparse" in kinds(found)["missingness"]
    assert "sum is a linear combination" in kinds(found)["collinear"]
    assert "flat is constant" in kinds(found)["collinear"]


@pytest.mark.parametrize(
    ("events", "columns", "kind", "fitted"),
    [
        (4, 2, "few_events", False),
        (6, 6, "too_many_parameters", False),
        (12, 2, "too_many_parameters", True),
        (20, 2, None, True),
    ],
)
def test_events_must_allow_the_coefficients(events: int, columns: int, kind: str | None, fitted: bool) -> None:
    time, _, x = table(60, columns)
    event = np.isin(np.arange(60), np.random.default_rng(4).permutation(60)[:events]).astype(float)
    found = multivariable("1y", people(time, event, x))
    assert bool(found.rows) == fitted
    named = {one.kind for one in found.conditions} - {"non_proportional"}
    assert named == ({kind} if kind else set())


def test_separation_is_firths_with_named_ties_and_without_the_tests() -> None:
    time, event, x = table(80, 2)
    flag = np.zeros(80)
    flag[np.flatnonzero(event == 0)[:8]] = 1.0
    matrix = np.column_stack([x, flag])
    found = multivariable("1y", people(time, event, matrix, names=["a", "b", "flag"]))
    assert {row.ties for row in found.rows} == {FIRTH_TIES}
    terms = firth_cox(time, event, matrix).terms
    assert [row.hr for row in found.rows] == pytest.approx([np.exp(term.coefficient) for term in terms])
    assert (found.tests, found.proportionality) == ([], [])
    assert "Firth" in kinds(found)["separation"]


def test_one_indicator_is_not_adjusted_for_anything() -> None:
    time, event, x = cohort()
    assert multivariable("1y", people(time, event, x)).rows == []


@pytest.mark.real_data
def test_li2014_equals_r(real_data: Path, reference: Path) -> None:
    r = json.loads((reference / "r_reference.json").read_text())
    raw = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    expected, names = r["cox_multivariable"]["efron"], r["cox_multivariable"]["efron"]["term"]
    patients = people(raw["RFS"], raw["Recurrence"], raw.select(names).to_numpy(), names=names)
    found = multivariable("final", patients)
    for name, values in {
        "hr": [row.hr for row in found.rows],
        "hr_lower95": [row.lower for row in found.rows],
        "hr_upper95": [row.upper for row in found.rows],
        "p": [row.p for row in found.rows],
    }.items():
        assert values == pytest.approx(expected[name], rel=1e-6)
    for row, name in zip(found.tests, ("lrt", "wald", "score"), strict=True):
        assert [row.chisq, row.df, row.p] == pytest.approx(expected[name], rel=1e-6)
    assert [row.chisq for row in found.proportionality] == pytest.approx(r["cox_zph_km"]["chisq"], rel=1e-6)
    assert [row.p for row in found.proportionality] == pytest.approx(r["cox_zph_km"]["p"], rel=1e-6)
    (changing,) = [one for one in found.conditions if one.kind == "non_proportional"]
    assert "GLOBAL P" in changing.about
