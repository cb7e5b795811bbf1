from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.indicator_hazards import TwoGroups
from hccfeat.analysis.interaction import PRODUCT, interaction
from hccfeat.analysis.results import EndpointResult
from hccfeat.analysis.treatment_report import TreatmentFindings, add_treatment, benefits_of, treatment_findings
from hccfeat.config import AnalysisConfig
from hccfeat.errors import LeakageError
from hccfeat.report.blocks import Scene
from hccfeat.report.treatment_view import treatment
from hccfeat.stats.survival_difference import survival_difference
from tests.analysis.conftest import make_study
from tests.analysis.test_treatment import people

CODINGS = (
    TwoGroups("hbsag", "HBsAg: no", "HBsAg: yes", None),
    TwoGroups("tumour_size", "size <= 0.5 cm", "size > 0.5 cm", 0.5),
)

SETTINGS = AnalysisConfig(missing="complete")


class Told:
    """A network whose risk of an image is the logistic of the mean of its vector."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-2 * x.mean(axis=1)))


def result_of(data: EndpointData, model: str = "pps_mlp") -> EndpointResult:
    found = EndpointResult(data.endpoint, data.label, data.horizon_months, data.exclusion_rule, timed=data.timed)
    found.artefacts[model] = Told()
    return found


def study(**changes: Any) -> EndpointData:
    """Encoders and networks have seen untreated training patients only."""
    made = make_study(seed=2, train=150, held_out=90, treated=0.3, missing=0.02)
    trained = made.patients.filter((pl.col("role") == "train") & ~pl.col("treated"))
    months = {"months": made.patients["time"], "recurred": made.patients["event"]}
    cut = made.patients.with_columns(
        time=pl.col("time").clip(upper_bound=12.0), event=pl.col("event") & (pl.col("time") <= 12), **months
    )
    return replace(made, seen=set(trained["patient_id"]), patients=cut, **changes)


@pytest.fixture(scope="module")
def data() -> EndpointData:
    return study()


@pytest.fixture(scope="module")
def found(data: EndpointData) -> TreatmentFindings:
    findings = treatment_findings(data, result_of(data), CODINGS, SETTINGS)
    assert findings is not None
    return findings


def test_judges_are_untreated_held_out_and_all_treated_patients(
    data: EndpointData, found: TreatmentFindings
) -> None:
    mine = data.patients.filter(pl.col("cohort") == "internal")
    treated = mine.filter(pl.col("treated"))
    untreated = mine.filter((pl.col("role") == "held_out") & ~pl.col("treated"))
    assert found.n == (untreated.height, treated.height)
    # The whole follow-up counts, not that to the horizon.
    assert found.events == (untreated["recurred"].sum(), treated["recurred"].sum())
    assert found.events[1] > treated["event"].sum()
    assert (found.cohort, found.model, found.horizon_months) == ("internal", "pps_mlp", 12.0)


def test_the_interaction_is_that_of_the_reproduction(found: TreatmentFindings) -> None:
    alone, adjusted, with_products = found.interactions
    assert [term.term for term in alone.larger.terms] == ["sorafenib", "PPS risk per SD", PRODUCT]
    assert "size > 0.5 cm" in [term.term for term in adjusted.larger.terms]
    assert "HBsAg: yes" not in [term.term for term in adjusted.larger.terms]  # did not decide about treatment
    assert "PPS risk per SD x size > 0.5 cm" in [term.term for term in with_products.larger.terms]
    assert all(0 <= one.p <= 1 and one.df == 1 for one in found.interactions)
    assert alone.n == found.n
    assert [one.name for one in found.interactions] == [
        "not adjusted",
        "adjusted for size > 0.5 cm",
        "adjusted for size > 0.5 cm and their products with the risk",
    ]


def test_missing_covariates_are_imputed_beside_the_complete_cases(data: EndpointData) -> None:
    found = treatment_findings(data, result_of(data), CODINGS, AnalysisConfig(imputations=3))
    assert [one.name.endswith("imputed") for one in found.interactions] == [False, False, True, False, True]
    assert {one.n for one in found.interactions if one.imputed} == {found.n}
    _, cases, pooled, *_ = found.interactions
    assert cases.incomplete == pooled.incomplete == sum(found.n) - sum(cases.n) > 0
    assert found.conditions == ()
    scene = Scene(0, {"pps_mlp": 0}, simulated=False)
    result = replace(result_of(data), treatment=found)
    shown = str(treatment(result, scene, "e").parts[0].tables[0])
    assert f"{cases.incomplete} patients without a covariate left out" in shown
    assert f"interaction: D3 over 3 imputations, {pooled.incomplete} of {sum(found.n)} patients" in shown


def test_why_nothing_is_pooled_is_a_condition(data: EndpointData) -> None:
    """Five events, in both arms, are too few for the five coefficients of the model with products."""
    first = pl.col("recurred") & (
        pl.col("recurred").cast(pl.Int64).cum_sum().over("treated") <= 2 + pl.col("treated")
    )
    judged = (pl.col("role") == "held_out") | pl.col("treated")
    few = data.patients.sort(judged, descending=True).with_columns(recurred=first, event=first)
    made = replace(data, patients=few)
    found = treatment_findings(made, result_of(made), CODINGS, AnalysisConfig(imputations=3))
    assert sum(found.events) == 5
    last = found.interactions[-1]
    assert (last.p, last.reason) == (None, "5 events for 5 coefficients")
    assert ("too_many_parameters", f"{last.reason}; no test") in [
        (one.kind, one.reason) for one in found.conditions
    ]


def test_benefits_are_absolute_differences_by_thirds_of_the_risk() -> None:
    patients = people(300, 100)
    found = benefits_of(patients, 24.0)
    assert [one.group for one in found] == ["all patients", "lowest third", "middle third", "highest third"]
    assert [sum(one.difference.n) for one in found] == [300, 100, 100, 100]
    assert all(one.difference.horizon == 24 and one.difference.lower < one.difference.upper for one in found)
    high = patients.risk > np.quantile(patients.risk, 2 / 3)
    expected = survival_difference(patients.months[high], patients.event[high], patients.treated[high], 24.0)
    assert found[3].difference == expected
    assert found[3].risk_from == pytest.approx(patients.risk[~high].max(), abs=0.02)
    # The simulated treatment helps the more, the higher the risk.
    assert found[3].difference.value > found[1].difference.value


def test_a_null_treatment_is_rarely_found() -> None:
    """Under no effect the test of the product keeps its level: 40 cohorts, at most 6 below 0.05."""
    low = sum(interaction(people(120, 40, seed, benefit=0.0), {}).p < 0.05 for seed in range(40))
    assert low <= 6


def test_balance_and_overlap_cover_the_risk_and_every_indicator(found: TreatmentFindings) -> None:
    assert [row.covariate for row in found.balance] == ["pps_mlp risk", "HBsAg: yes", "size > 0.5 cm"]
    assert all(row.difference.value is not None for row in found.balance)
    assert found.overlap.auroc.value < 0.75  # treatment was drawn at random
    assert found.overlap.untreated.sum() + found.overlap.treated.sum() <= sum(found.n)


def test_the_cautions_that_path_asks_for_come_with_every_finding(found: TreatmentFindings) -> None:
    text = " ".join(found.cautions)
    for said in ("not randomised", "not effect modelling", "product of treatment and risk", "start of treatment"):
        assert said in text
    assert "not cut at 12 months" in text
    assert "too few" not in text


def test_few_events_and_arms_apart_are_cautioned_about(data: EndpointData) -> None:
    rare = data.patients.with_columns(recurred=pl.col("recurred") & ~pl.col("treated"))
    flags = data.indicators.join(data.patients.select("patient_id", "treated"), on="patient_id")
    told = flags.with_columns(hbsag=pl.col("treated").cast(pl.Float64)).drop("treated")
    made = replace(data, patients=rare, indicators=told)
    found = treatment_findings(made, result_of(made), CODINGS, SETTINGS)
    text = " ".join(found.cautions)
    assert "too few" in text
    assert "overlap cannot be told" in text
    alone = found.interactions[0]
    assert alone.replaced.startswith("sorafenib: no events among the")
    assert alone.p > 0.05
    assert "Firth's estimate" in found.conditions[-1].reason
    assert {one.kind for one in found.conditions} == {"group_without_events", "too_many_parameters"}
    assert all(one.difference.lower is None and one.difference.reason for one in found.benefits)


def test_an_arm_that_expects_few_events_is_tested_by_permutations(data: EndpointData) -> None:
    """And what withheld or replaced a test is a condition of the endpoint, shown with its reason."""
    treated = data.patients.filter(pl.col("treated"))["patient_id"]
    kept = set(treated[:8])
    few = data.patients.with_columns(treated=pl.col("patient_id").is_in(sorted(kept)))
    few = few.filter(~pl.col("patient_id").is_in(treated) | pl.col("patient_id").is_in(sorted(kept)))
    made = replace(data, patients=few, seen=data.seen & set(few["patient_id"]) - kept)
    result = result_of(made)
    add_treatment(result, made, CODINGS, AnalysisConfig(seed=3))
    arms = result.treatment.arms.curves
    assert (arms.test, arms.logrank_chisq) == ("permutation log-rank, 9999 permutations", None)
    assert 0 < arms.logrank_p <= 1
    assert [one.kind for one in result.treatment.conditions] == ["few_expected"]
    assert [(notice.level, notice.kind) for notice in result.notices] == [("caution", "few_expected")]
    assert "expects" in result.notices[0].text


def test_few_events_in_all_leave_the_arms_without_p(data: EndpointData) -> None:
    first = pl.col("recurred") & (pl.col("recurred").cum_sum() <= 4)
    held = pl.col("role") == "held_out"
    judged = held | pl.col("treated")
    made = replace(
        data, patients=data.patients.sort(judged, descending=True).with_columns(recurred=first, event=first)
    )
    found = treatment_findings(made, result_of(made), CODINGS, SETTINGS)
    assert 0 < sum(found.events) < 5
    assert (found.arms.curves.logrank_p, len(found.arms.curves.curves)) == (None, 2)
    assert all(one.p is None and one.larger.terms == () for one in found.interactions)
    assert {one.kind for one in found.conditions} == {"few_events"}


def test_nothing_is_said_without_treated_patients_images_or_times(data: EndpointData) -> None:
    untreated = replace(data, patients=data.patients.with_columns(treated=pl.lit(value=False)))
    clinical, untimed = replace(data, images=None), replace(data, timed=False)
    for made in (untreated, clinical, untimed):
        assert treatment_findings(made, result_of(made), CODINGS, SETTINGS) is None
    assert treatment_findings(data, result_of(data, "other"), CODINGS, SETTINGS) is None


def test_a_treated_patient_who_trained_the_encoder_is_refused(data: EndpointData) -> None:
    treated = data.patients.filter(pl.col("treated") & (pl.col("role") == "train"))["patient_id"][0]
    made = replace(data, seen=data.seen | {treated})
    with pytest.raises(LeakageError, match="1 of"):
        treatment_findings(made, result_of(made), CODINGS, SETTINGS)


def test_exams_have_a_risk_too(data: EndpointData) -> None:
    made = replace(data, modality="mri", horizon_months=None)
    found = treatment_findings(made, result_of(made, "mri_mlp"), (), SETTINGS)
    assert (found.model, found.horizon_months, len(found.interactions)) == ("mri_mlp", 24.0, 1)
