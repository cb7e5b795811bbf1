"""The product of treatment and risk where patients lack a covariate."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.interaction import PRODUCT, RISK, TREATMENT, interaction
from hccfeat.analysis.interaction_imputed import interactions_imputed
from hccfeat.analysis.treatment import Patients
from hccfeat.config import AnalysisConfig
from hccfeat.stats.coxmodel import cox_model
from tests.analysis.test_interaction import confounded

FEW = AnalysisConfig(imputations=5)


def gappy(n: int, effect: float, seed: int) -> tuple[Patients, pl.Series]:
    """Lacking in treated patients of high risk who recurred, and in untreated ones of low risk."""
    patients, covariate = confounded(n, effect, seed)
    recorded = np.where(patients.treated == (patients.risk > 0), 0.5, 0.98)
    lost = np.random.default_rng(seed + 1).random(n) > np.where(patients.event, recorded, 0.98)
    return patients, covariate.cast(pl.Float64).set(pl.Series(lost), None)


def test_pooling_repairs_what_complete_cases_lose() -> None:
    patients, covariate = gappy(1000, 0.0, 1)
    cases = interaction(patients, {"invasion": covariate})
    plain, products = interactions_imputed(patients, {"invasion": covariate}, AnalysisConfig())
    lacking = covariate.null_count()
    assert (cases.n, cases.incomplete, cases.imputed) != (plain.n, plain.incomplete, plain.imputed)
    assert (sum(cases.n), sum(plain.n), plain.incomplete) == (1000 - lacking, 1000, lacking)
    assert sum(plain.events) == patients.event.sum() == plain.larger.events
    assert cases.p < 0.05
    for one in (plain, products):
        assert one.p > 0.05
        assert (one.reason, one.df, one.chisq > 0) == ("", 1, True)
        assert one.imputed.startswith(f"20 imputations, {lacking} of 1000 patients with a missing item: F ")
        assert one.note == f"D3 over {one.imputed}"
    whole = cox_model(
        patients.months,
        patients.event,
        np.column_stack([patients.treated, patients.risk, patients.treated * patients.risk]),
    )
    assert plain.larger.term(PRODUCT).standard_error < 1.2 * np.sqrt(whole.covariance[2, 2])
    assert [term.term for term in plain.larger.terms] == [TREATMENT, RISK, "invasion", PRODUCT]
    assert [term.term for term in products.smaller.terms] == [TREATMENT, RISK, "invasion", f"{RISK} x invasion"]
    assert products.name == "adjusted for invasion and their products with the risk, imputed"


def test_a_true_interaction_is_found_and_a_null_one_rarely() -> None:
    found = interactions_imputed(*_named(gappy(400, -0.9, 2)), FEW)
    assert all(one.p < 0.01 and one.larger.term(PRODUCT).coefficient < -0.5 for one in found)
    low = [
        [one.p < 0.05 for one in interactions_imputed(*_named(gappy(120, 0.0, seed)), FEW)] for seed in range(12)
    ]
    assert np.sum(low, axis=0).max() <= 3


def _named(drawn: tuple[Patients, pl.Series]) -> tuple[Patients, dict[str, pl.Series]]:
    return drawn[0], {"invasion": drawn[1]}


def test_nothing_is_pooled_where_nothing_is_missing_or_asked_for() -> None:
    patients, covariate = confounded(120, 0.0, 3)
    assert interactions_imputed(patients, {"invasion": covariate}, FEW) == ()
    assert interactions_imputed(patients, {}, FEW) == ()
    patients, covariate = gappy(120, 0.0, 3)
    complete = AnalysisConfig(missing="complete")
    assert interactions_imputed(patients, {"invasion": covariate}, complete) == ()


def test_covariates_that_hardly_anybody_has_or_that_are_equal_are_left_out() -> None:
    patients, covariate = gappy(120, 0.0, 3)
    rare = pl.Series([True, False, *[None] * 118])
    one, _ = interactions_imputed(
        patients, {"rare": rare, "same": pl.Series([1.0, None] * 60), "invasion": covariate}, FEW
    )
    assert one.left_out == {"rare": "not known for 118 of 120 patients", "same": "constant"}
    assert one.name == "adjusted for invasion, imputed"
    twice, _ = interactions_imputed(patients, {"invasion": covariate, "again": patients_risk(patients)}, FEW)
    assert "again" in twice.left_out
    assert twice.p is not None


def patients_risk(patients: Patients) -> pl.Series:
    return pl.Series(2 * patients.risk + 1)


@pytest.mark.parametrize(
    ("events", "reason"),
    [("none treated", "sorafenib: an arm without"), ("few", "only 4 events"), ("seven", "7 events for")],
)
def test_reasons_for_no_test(events: str, reason: str) -> None:
    patients, covariate = gappy(120, 0.0, 3)
    if events == "none treated":
        kept = patients.event & ~patients.treated
    else:
        each = {"few": (2, 2), "seven": (4, 3)}[events]
        kept = np.zeros(120, dtype=bool)
        for arm, count in zip((patients.treated, ~patients.treated), each, strict=True):
            kept[np.flatnonzero(patients.event & arm)[:count]] = True
    more = {f"item {k}": pl.Series(np.random.default_rng(k).normal(size=120)) for k in range(4)}
    found = interactions_imputed(replace(patients, event=kept), {"invasion": covariate, **more}, FEW)
    for one in found:
        assert one.reason.startswith(reason)
        assert (one.p, one.larger.terms, one.note) == (None, (), one.reason)
        assert "5 imputations" in one.imputed


def test_what_cannot_be_imputed_is_told() -> None:
    generator = np.random.default_rng(1)
    treated, event = np.arange(10) % 2 == 0, np.arange(10) % 5 > 0
    ids = [f"internal/P{k}" for k in range(10)]
    patients = Patients("few", ids, generator.random(10), event, treated, generator.random(10), 0.5)
    items = {"invasion": pl.Series([None, 1.0, 0.0, 1.0, 0.0] * 2), "afp": pl.Series(range(10))}
    one, _ = interactions_imputed(patients, items, FEW)
    assert one.reason.startswith("not pooled: multiple imputation has 10 patients for 9 columns")
