from dataclasses import replace

import numpy as np
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.indicator_hazards import (
    HIGH,
    PER_SD,
    adjusted,
    adjusted_imputed,
    coded,
    strata,
    two_groups,
    univariable_rows,
)
from hccfeat.analysis.prognosis import RatedPatients
from hccfeat.analysis.results import EndpointResult
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.errors import AnalysisError
from tests.analysis.risk_study import INDICATORS, SETTINGS, endpoints, judged, rated, with_indicator

VARIABLES = load_dictionary().variables
GROUPS = two_groups(VARIABLES, INDICATORS)
BY_NAME = {group.name: group for group in GROUPS}


@pytest.fixture(scope="module")
def inputs() -> dict[str, EndpointData]:
    return endpoints(train=60, held_out=120, external=20)


@pytest.fixture(scope="module")
def results(inputs: dict[str, EndpointData]) -> dict[str, EndpointResult]:
    return {"1y": judged(inputs["1y"])}


@pytest.fixture
def judges(inputs: dict[str, EndpointData], results: dict[str, EndpointResult]) -> RatedPatients:
    return rated(inputs, results)


def test_indicators_are_cut_as_the_data_dictionary_says() -> None:
    assert [group.upper for group in GROUPS] == [
        "HBsAg: yes", "ALT > 40 U/L", "AFP > 20 ng/mL", "Tumour size > 5 cm", "BCLC stage > 1",
        "Vascular invasion: yes",
    ]  # fmt: skip
    values = np.array([4.9, 5.0, 5.1, np.nan])
    assert BY_NAME["tumour_size"].apply(values)[:3].tolist() == [0, 0, 1]
    assert np.isnan(BY_NAME["tumour_size"].apply(values)[3])
    assert BY_NAME["bclc"].apply(np.array([0.0, 1.0, 2.0, 3.0])).tolist() == [0, 0, 1, 1]
    assert BY_NAME["hbsag"].apply(np.array([0.0, 1.0])).tolist() == [0, 1]
    assert two_groups(VARIABLES, ["child_pugh"])[0].cut is None


def test_strata_part_the_patients_and_keep_the_training_cut(
    inputs: dict[str, EndpointData], judges: RatedPatients
) -> None:
    lower, upper, missing = strata(inputs["1y"], judges, BY_NAME["tumour_size"], SETTINGS)
    size = judges.patients.indicators[:, INDICATORS.index("tumour_size")]
    assert (lower.n, upper.n, missing) == (
        int((size <= 5).sum()),
        int((size > 5).sum()),
        int(np.isnan(size).sum()),
    )
    assert missing > 0
    for stratum, inside in ((lower, size <= 5), (upper, size > 5)):
        assert stratum.groups.cut == judges.cut
        sizes = {curve.label: curve.n for curve in stratum.groups.curves}
        assert sizes["high risk"] == int((judges.risk[inside] > judges.cut).sum())
        assert stratum.hazard.n == stratum.n
        assert stratum.events == stratum.hazard.events == int(judges.patients.event[inside].sum())
    assert lower.text == "Tumour size ≤ 5 cm"


def test_a_stratum_without_patients_says_so(inputs: dict[str, EndpointData], judges: RatedPatients) -> None:
    small = with_indicator(judges, "tumour_size", np.full(len(judges), 2.0))
    lower, upper, missing = strata(inputs["1y"], small, BY_NAME["tumour_size"], SETTINGS)
    assert (lower.n, upper.n, missing) == (len(judges), 0, 0)
    assert upper.groups is None
    assert "no patients" in upper.reason
    uncut = replace(judges, cut=None)
    assert strata(inputs["1y"], uncut, BY_NAME["tumour_size"], SETTINGS)[0].reason == "no training median"


def test_alone_pps_has_the_hazard_ratios_of_the_analysis(
    judges: RatedPatients, results: dict[str, EndpointResult]
) -> None:
    rows, withheld = univariable_rows(judges, GROUPS)
    assert [row.term for row in rows] == [HIGH, PER_SD, *(group.upper for group in GROUPS)]
    assert withheld == {}
    known = {
        row.kind: row for row in results["1y"].hazard_ratios if (row.term, row.cohort) == ("pps_mlp", "internal")
    }
    for row, kind in zip(rows[:2], ("risk group", "risk per SD"), strict=True):
        assert (row.hr, row.lower, row.upper, row.n, row.events) == (
            known[kind].hr, known[kind].lower, known[kind].upper, known[kind].n, known[kind].events,
        )  # fmt: skip
    assert rows[0].lower > 1
    assert rows[5].n == int((~np.isnan(coded(judges, GROUPS[3]))).sum()) < rows[0].n


def test_withheld_ratios_have_a_reason(judges: RatedPatients) -> None:
    few = judges.take(np.arange(len(judges)) < 4)
    rows, withheld = univariable_rows(few, GROUPS)
    assert all(row.hr is None for row in rows)
    assert set(withheld) == {row.term for row in rows}
    assert HIGH not in {row.term for row in univariable_rows(replace(few, cut=None), GROUPS)[0]}


def known_truth(judges: RatedPatients, n: int = 600) -> RatedPatients:
    """Log hazard 0.7 per SD of the risk and 0.5 for vascular invasion, which the risk follows; else noise."""
    generator = np.random.default_rng(8)
    patients = judges.patients
    invasion = (generator.random(n) < 0.4).astype(float)
    risk = generator.normal(0, 1, n) + invasion
    risk /= risk.std(ddof=1)
    time = generator.exponential(20 * np.exp(-0.7 * risk - 0.5 * invasion))
    columns = np.column_stack([generator.integers(0, 2, (n, 1)), generator.uniform(0, 80, (n, 4)), invasion])
    event = (time <= 24).astype(float)
    many = replace(
        patients, ids=[f"P{k}" for k in range(n)], time=np.minimum(time, 24), event=event, y=event,
        indicators=columns, image_vectors=None, image_patient=None, colour=None,
    )  # fmt: skip
    return replace(judges, patients=many, risk=risk, cut=0.0, months=time, recurred=np.ones(n))


def test_adjusted_ratios_recover_the_truth_where_unadjusted_ones_do_not(judges: RatedPatients) -> None:
    truth = known_truth(judges)
    high, per_sd = adjusted(truth, GROUPS)
    assert (high.term, per_sd.term) == (HIGH, PER_SD)
    terms = {term.term: term for term in per_sd.full.terms}
    assert terms[PER_SD].coefficient == pytest.approx(0.7, abs=0.15)
    assert terms["Vascular invasion: yes"].coefficient == pytest.approx(0.5, abs=0.25)
    alone = {row.term: row for row in univariable_rows(truth, GROUPS)[0]}
    assert alone["Vascular invasion: yes"].lower > np.exp(0.5)
    assert per_sd.df == 1
    assert per_sd.chisq == pytest.approx(2 * (per_sd.full.log_likelihood - per_sd.clinical.log_likelihood))
    # The three large-sample tests of one coefficient agree.
    assert per_sd.chisq == pytest.approx((terms[PER_SD].coefficient / terms[PER_SD].standard_error) ** 2, rel=0.1)
    assert per_sd.p < 1e-6


def test_a_risk_that_says_nothing_new_adds_nothing(judges: RatedPatients) -> None:
    truth = known_truth(judges)
    copied = replace(truth, risk=truth.patients.indicators[:, 5], cut=0.5)
    for found in adjusted(copied, GROUPS):
        assert found.chisq is None
        assert "linear combination" in found.full.left_out[found.term]
    noise = replace(truth, risk=np.random.default_rng(1).normal(size=len(truth)))
    assert adjusted(noise, GROUPS)[1].p > 0.001


def test_complete_cases_are_counted_and_unrecorded_indicators_named(judges: RatedPatients) -> None:
    whole = int((~np.isnan(judges.patients.indicators).any(axis=1)).sum())
    found = adjusted(judges, GROUPS)[0]
    assert found.full.n == whole
    assert found.incomplete == len(judges) - whole
    assert found.unrecorded == ()
    half = np.where(np.arange(len(judges)) % 3 == 0, 50.0, np.nan)
    fewer = adjusted(with_indicator(judges, "alt", half), GROUPS)[0]
    assert fewer.unrecorded == ("ALT > 40 U/L",)
    assert fewer.full.n >= whole


def test_imputed_ratios_recover_the_truth_with_all_patients(judges: RatedPatients) -> None:
    """Vascular invasion, which the risk follows, is missing for 40 % of those who recur: complete cases err."""
    truth = known_truth(judges)
    invasion = truth.patients.indicators[:, 5].copy()
    gone = np.random.default_rng(3).random(600) < np.where(truth.patients.event > 0, 0.4, 0.0)
    invasion[gone] = np.nan
    holes = with_indicator(truth, "vascular_invasion", invasion)
    settings = SETTINGS.model_copy(update={"imputations": 10})
    assert adjusted_imputed(truth, GROUPS, settings) == []
    assert adjusted_imputed(holes, GROUPS, settings.model_copy(update={"missing": "complete"})) == []
    high, per_sd = adjusted_imputed(holes, GROUPS, settings)
    assert (high.term, per_sd.term) == (HIGH, PER_SD)
    fit = per_sd.model
    assert (per_sd.n, per_sd.incomplete, fit.incomplete, fit.times) == (600, int(gone.sum()), int(gone.sum()), 10)
    assert fit.terms[-1] == PER_SD
    whole = adjusted(truth, GROUPS)[1].full
    for name in (PER_SD, "Vascular invasion: yes"):
        k, known = fit.terms.index(name), whole.term(name)
        assert fit.pooled.estimates[k] == pytest.approx(known.coefficient, abs=0.12)
        assert fit.pooled.standard_errors[k] > 0.98 * known.standard_error
    assert fit.test.df == 1
    assert fit.test.p < 1e-6


def test_imputed_models_that_cannot_be_had_say_why(judges: RatedPatients) -> None:
    def reasons(some: RatedPatients) -> set[str]:
        found = adjusted_imputed(some, GROUPS, SETTINGS)
        assert all(one.model is None for one in found)
        return {one.reason for one in found}

    order = np.argsort(-judges.patients.event, kind="stable")
    holed = with_indicator(judges, "alt", np.where(np.arange(len(judges)) % 3 == 0, np.nan, 30.0))
    (calm,) = reasons(holed.take(np.isin(np.arange(len(judges)), order[-30:])))
    assert "fewer than 5" in calm
    mixed = np.isin(np.arange(len(judges)), [*order[:6], *order[-40:]])
    assert all("6 events for" in reason for reason in reasons(judges.take(mixed)))
    flat = replace(holed, risk=np.ones(len(judges)), cut=None)
    assert reasons(flat) == {f"{PER_SD} is constant"}


def test_adjusting_is_refused_without_indicators_and_withheld_with_few_events(judges: RatedPatients) -> None:
    few = judges.take(np.arange(len(judges)) < 6)
    for found in adjusted(few, GROUPS):
        assert found.p is None
        assert "fewer than 5" in found.full.reason
    with pytest.raises(AnalysisError, match="no indicator"):
        adjusted(judges, ())
