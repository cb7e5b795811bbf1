from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.clinical_terms import add_coefficients
from hccfeat.analysis.imputed import impute, pooled_cox
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig
from hccfeat.stats.logistic import logistic
from tests.analysis.described_study import NAMES, described, everybody

SETTINGS = AnalysisConfig(bootstraps=100, imputations=4)


def added(settings: AnalysisConfig = SETTINGS, **changes: object) -> tuple[EndpointResult, list[str]]:
    data = described(**changes)
    result = EndpointResult(data.endpoint, data.label, data.horizon_months, "", timed=data.timed)
    conditions = add_coefficients(result, data, everybody(data), settings)
    return result, [condition.kind for condition in conditions]


def test_complete_cases_and_imputed_patients_stand_beside_each_other_with_their_n() -> None:
    result, kinds = added(missing=0.2)
    patients = everybody(described(missing=0.2))
    cases = patients.take(patients.labelled & ~np.isnan(patients.indicators).any(axis=1))
    fit = logistic(cases.indicators, cases.y, NAMES)
    assert list(result.logistic) == ["clinic", "clinic, imputed"]
    terms = result.logistic["clinic"]
    assert [term.coefficient for term in terms] == pytest.approx(fit.coefficients)
    assert all(f"n {len(cases)}, {int(cases.y.sum())} events" in term.method for term in terms)
    pooled = result.logistic["clinic, imputed"]
    assert [term.term for term in pooled] == ["(Intercept)", *NAMES]
    assert all("pooled over 4 imputations" in term.method for term in pooled)
    assert all(f"n {int(patients.labelled.sum())}," in term.method for term in pooled)
    assert kinds == []


def test_hazard_ratios_are_pooled_one_by_one_and_together() -> None:
    result, _ = added(missing=0.2)
    patients = everybody(described(missing=0.2))
    copies = impute(patients, [0, 1, 2], imputations=4, seed=SETTINGS.seed).completed
    together = pooled_cox(patients.time, patients.event, copies, NAMES).pooled
    rows = {(row.kind, row.term): row for row in result.hazard_ratios}
    assert set(rows) == {(f"{kind}, imputed", name) for kind in ("univariable", "multivariable") for name in NAMES}
    for k, name in enumerate(NAMES):
        row = rows["multivariable, imputed", name]
        numbers = (together.estimates[k], together.lower[k], together.upper[k])
        assert (row.hr, row.lower, row.upper) == pytest.approx(np.exp(numbers))
        assert (row.p, row.n, row.events) == (
            pytest.approx(together.p[k]), len(patients), int(patients.event.sum())
        )  # fmt: skip
        alone = pooled_cox(patients.time, patients.event, copies[:, :, [k]], [name]).pooled
        assert rows["univariable, imputed", name].hr == pytest.approx(np.exp(alone.estimates[0]))
    assert [test.model for test in result.tests] == [
        "multivariable logistic, imputed",
        "multivariable cox, imputed",
    ]
    assert all(test.test == "likelihood ratio (D3)" and 0 <= test.p < 0.05 for test in result.tests)


@pytest.mark.parametrize(("missing", "keys"), [("complete", ["clinic"]), ("multiple", ["clinic, imputed"])])
def test_the_settings_choose(missing: str, keys: list[str]) -> None:
    result, _ = added(AnalysisConfig(imputations=3, missing=missing), missing=0.2)
    assert list(result.logistic) == keys
    assert bool(result.hazard_ratios) == (missing == "multiple")


def test_nothing_missing_is_told_once() -> None:
    result, _ = added(missing=0.0)
    assert list(result.logistic) == ["clinic"]
    assert result.hazard_ratios == []


def test_an_endpoint_without_a_time_has_univariable_logistic_coefficients() -> None:
    result, _ = added(missing=0.2, timed=False)
    assert list(result.logistic) == [
        "clinic, univariable",
        "clinic",
        "clinic, univariable, imputed",
        "clinic, imputed",
    ]
    assert [term.term for term in result.logistic["clinic, univariable"]] == NAMES
    assert [term.term for term in result.logistic["clinic, univariable, imputed"]] == NAMES
    assert result.hazard_ratios == []


def test_firth_takes_over_where_classes_are_separated() -> None:
    data = described(missing=0.0, horizon=None)
    told = data.indicators.with_columns(bclc=data.patients["y"].cast(float))
    result, kinds = added(missing=0.0, horizon=None, indicators=told)
    terms = {term.term: term for term in result.logistic["clinic"]}
    assert kinds == ["separation"]
    assert "Firth" in terms["bclc"].method
    assert terms["bclc"].odds_ratio > 100
    assert np.isfinite(terms["bclc"].coefficient)


def test_closed_form_of_firth_for_a_two_by_two_table() -> None:
    """0 events among 10 without the sign, 5 among 8 with it: log odds ratio log((5.5 * 10.5) / (3.5 * 0.5))."""
    data = described(n=18, missing=0.0, horizon=None)
    sign = [0.0] * 10 + [1.0] * 8
    y = [0] * 10 + [1] * 5 + [0] * 3
    patients = data.patients.with_columns(y=np.array(y, dtype=np.int8), event=np.array(y, dtype=bool))
    table = data.indicators.select("patient_id", hbsag=np.array(sign))
    result, kinds = added(
        n=18, missing=0.0, horizon=None, patients=patients, indicators=table, indicator_names=["hbsag"]
    )
    assert kinds == ["separation"]
    assert result.logistic["clinic"][0].coefficient == pytest.approx(3.49651, abs=1e-5)


def test_too_few_events_are_not_pooled() -> None:
    data = described(n=60, missing=0.2)
    few = data.patients.with_columns(event=np.arange(60) < 3, y=(np.arange(60) < 3).astype(np.int8))
    result, kinds = added(n=60, missing=0.2, patients=few)
    assert result.hazard_ratios == []
    assert "few_events" in kinds


@pytest.mark.parametrize(
    ("events", "kind", "fitted"), [(4, "few_events", False), (6, "too_many_parameters", False), (9, None, True)]
)
def test_logistic_coefficients_need_events(events: int, kind: str | None, fitted: bool) -> None:
    """More than there are coefficients, here seven, and five at least; of imputed patients too, and it is told."""
    data = described(n=120, horizon=None, missing=0.1, timed=False)
    noise = {f"noise{k}": np.random.default_rng(k).normal(size=120) for k in range(4)}
    wide = data.indicators.with_columns(**{name: pl.Series(values) for name, values in noise.items()})
    chosen = np.random.default_rng(1).permutation(120)[:events]
    few = data.patients.with_columns(y=pl.Series(np.isin(np.arange(120), chosen).astype(np.int8)))
    made = replace(data, patients=few, indicators=wide, indicator_names=[*NAMES, *noise])
    result = EndpointResult("1y", "", None, "", timed=False)
    found = add_coefficients(result, made, everybody(made), SETTINGS)
    together = {name for name in result.logistic if "univariable" not in name}
    told = {one.kind for one in found if "univariable" not in one.about}
    assert (kind in told) == (kind is not None)
    assert bool(together) == fitted or "separation" in told
    if not fitted:
        assert together == set()
        assert any("imputed patients" in one.about for one in found if one.kind == kind)
