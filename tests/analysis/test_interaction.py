from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from hccfeat.analysis.hazards import FIRTH_TIES
from hccfeat.analysis.interaction import PRODUCT, RISK, TREATMENT, interaction
from hccfeat.analysis.treatment import Patients
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.firth import firth_cox
from tests.analysis.test_treatment import people


def confounded(n: int, effect: float, seed: int) -> tuple[Patients, pl.Series]:
    """Treatment depends on a covariate that drives recurrence; its effect is ``effect`` per SD of the risk."""
    generator = np.random.default_rng(seed)
    risk, covariate = generator.normal(size=n), generator.random(n) < 0.4
    treated = generator.random(n) < np.where(covariate, 0.5, 0.15)
    hazard = 0.02 * np.exp(0.8 * risk + 0.7 * covariate + effect * risk * treated)
    time, censored = generator.exponential(1 / hazard), generator.uniform(24, 84, n)
    ids = [f"internal/P{k}" for k in range(n)]
    found = Patients("simulated", ids, np.minimum(time, censored), time <= censored, treated, risk, 0.0)
    return found, pl.Series(covariate)


def test_a_simulated_interaction_is_recovered() -> None:
    patients, covariate = confounded(2000, -0.7, 1)
    found = interaction(patients, {"invasion": covariate})
    assert [term.term for term in found.larger.terms] == [TREATMENT, RISK, "invasion", PRODUCT]
    product, main = found.larger.term(PRODUCT), found.larger.term(TREATMENT)
    assert product is not None
    assert main is not None
    assert product.coefficient == pytest.approx(-0.7, abs=2.5 * product.standard_error)
    assert main.coefficient == pytest.approx(0.0, abs=2.5 * main.standard_error)
    assert found.p < 1e-6
    assert found.df == 1
    assert sum(found.n) == 2000
    assert sum(found.events) == found.larger.events


def test_a_product_with_a_covariate_passes_for_treatment_unless_it_is_in_the_model() -> None:
    generator = np.random.default_rng(3)
    risk, covariate = generator.normal(size=4000), generator.random(4000) < 0.4
    treated = generator.random(4000) < np.where(covariate, 0.8, 0.1)
    time = generator.exponential(1 / (0.02 * np.exp(0.4 * risk + 0.8 * risk * covariate)))
    ids = [f"internal/P{k}" for k in range(4000)]
    patients = Patients("confounded", ids, np.minimum(time, 60), time <= 60, treated, risk, 0.0)
    naive = interaction(patients, {"invasion": pl.Series(covariate)})
    adjusted = interaction(patients, {"invasion": pl.Series(covariate)}, with_products=True)
    assert naive.p < 1e-6
    assert adjusted.p > 0.01
    assert f"{RISK} x invasion" in [term.term for term in adjusted.smaller.terms]
    assert adjusted.name == "confounded, with products of risk and covariates"


def test_without_an_interaction_the_p_values_are_uniform_enough() -> None:
    p = [interaction(*_named(confounded(250, 0.0, seed))).p for seed in range(16)]
    assert 0.25 < np.mean(p) < 0.75
    assert sum(value < 0.05 for value in p) <= 4


def _named(pair: tuple[Patients, pl.Series]) -> tuple[Patients, dict[str, pl.Series]]:
    return pair[0], {"invasion": pair[1]}


def test_incomplete_patients_and_unknown_covariates_are_counted() -> None:
    patients, covariate = confounded(300, -0.7, 2)
    holes = pl.Series([None] * 10 + covariate.to_list()[10:], dtype=pl.Boolean)
    unknown = pl.Series([None] * 300, dtype=pl.Boolean)
    found = interaction(patients, {"invasion": holes, "afp": unknown, "same": pl.Series([True] * 300)})
    assert found.incomplete == 10
    assert found.larger.n == 290
    assert found.left_out["afp"] == "not known for 300 of 300 patients"
    assert found.left_out["same"] == "constant"
    assert found.p is not None


@pytest.mark.parametrize("n", [0, 1, 3])
def test_next_to_nobody_gives_a_reason(n: int) -> None:
    few = people().take(np.arange(73) < n, "few")
    found = interaction(few, {"invasion": pl.Series([True] * n, dtype=pl.Boolean)})
    assert (found.chisq, found.p) == (None, None)
    assert "event" in found.reason
    assert sum(found.n) == n


def test_one_arm_alone_gives_a_reason() -> None:
    patients = people()
    alone = interaction(patients.take(~patients.treated, "untreated"), {})
    assert alone.reason == f"{TREATMENT}: constant"
    assert alone.p is None


@pytest.mark.parametrize("arm", ["treated", "high risk"])
def test_firths_method_takes_over_where_an_arm_has_no_events(arm: str) -> None:
    """Of the treated nobody has the event, or nobody with a high risk where the risk has two values."""
    patients = people(120, 40, seed=5)
    risk = patients.risk if arm == "treated" else (patients.risk > 0.5).astype(float)
    calm = patients.treated & (risk > (-1 if arm == "treated" else 0.5))
    patients = replace(patients, event=patients.event & ~calm, risk=risk)
    found = interaction(patients, {"afp": pl.Series([None] * 120, dtype=pl.Boolean)})
    assert list(found.left_out) == ["afp"]
    assert ("no events" if arm == "treated" else "infinity") in found.replaced
    assert (found.reason, found.df, found.larger.ties) == ("", 1, FIRTH_TIES)
    treated, scaled = patients.treated.astype(float), risk / risk.std(ddof=1)
    scaled -= scaled.mean()
    expected = firth_cox(patients.months, patients.event, np.column_stack([treated, scaled, treated * scaled]))
    term, own = expected.terms[2], found.larger.term(PRODUCT)
    assert (found.p, own.coefficient) == (pytest.approx(term.p), pytest.approx(term.coefficient))
    assert [own.lower, own.upper] == pytest.approx(np.exp([term.lower, term.upper]))
    assert found.chisq == pytest.approx(chi2.isf(term.p, 1))
    assert (found.p < 0.05) == (arm == "high risk")
    # Untreated patients alone decide about the risk, with or without the treated who had no event.
    assert found.larger.term(RISK).coefficient > 0


def test_where_firths_method_fails_the_test_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AnalysisError("Firth's regression", "did not converge", "Use more patients.")

    monkeypatch.setattr("hccfeat.analysis.interaction.firth_cox", fail)
    patients = people()
    found = interaction(replace(patients, event=patients.event & ~patients.treated), {})
    assert (found.p, found.replaced) == (None, "")
    assert "among the 16 patients with the value 1; Firth's method failed: did not converge" in found.reason


def test_ties_are_those_asked_for() -> None:
    patients = people(200, 80)
    patients = replace(patients, months=np.ceil(patients.months / 6))
    for ties in ("efron", "breslow"):
        found = interaction(patients, {}, ties=ties)
        risk = patients.risk / patients.risk.std(ddof=1)
        risk -= risk.mean()
        x = np.column_stack([patients.treated, risk, patients.treated * risk])
        expected = cox_model(patients.months, patients.event, x, ties)
        assert found.larger.term(PRODUCT).coefficient == pytest.approx(expected.coefficients[2], rel=1e-9)
        assert (found.smaller.ties, found.larger.ties) == (ties, ties)
