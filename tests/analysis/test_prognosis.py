from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.prognosis import (
    RatedPatients,
    precision_recall,
    rated_patients,
    times_by_group,
    times_by_risk,
)
from hccfeat.analysis.results import EndpointResult
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.discrimination import average_precision
from tests.analysis.risk_study import SETTINGS, endpoints, judged, rated


@pytest.fixture(scope="module")
def inputs() -> dict[str, EndpointData]:
    return endpoints(train=50, held_out=60, external=30)


@pytest.fixture(scope="module")
def results(inputs: dict[str, EndpointData]) -> dict[str, EndpointResult]:
    return {"1y": judged(inputs["1y"])}


def made(n: int = 200, seed: int = 1, *, cut: float | None = 0.5, slope: float = 1.5) -> RatedPatients:
    """Judges whose log hazard is ``slope`` times the standardised risk; nobody is lost before 40 months."""
    generator = np.random.default_rng(seed)
    risk = generator.uniform(0, 1, n)
    raw = generator.exponential(20 * np.exp(-slope * (risk - 0.5) / 0.29))
    lost = generator.uniform(40, 60, n)
    months, recurred = np.minimum(raw, lost), (raw <= lost).astype(float)
    by_horizon = recurred * (months <= 12)
    patients = Population(
        "internal", "held_out", [f"P{k:03d}" for k in range(n)], np.minimum(months, 12), by_horizon, by_horizon,
        np.zeros((n, 0)), [],
    )  # fmt: skip
    return RatedPatients("1y", "Recurrence within 1 year", patients, risk, cut, months, recurred)


def test_judges_have_their_analysed_risk_the_training_cut_and_uncut_times(
    inputs: dict[str, EndpointData], results: dict[str, EndpointResult]
) -> None:
    judges = rated(inputs, results)
    known = {row.patient_id: row.risk for row in results["1y"].predictions if row.model == "pps_mlp"}
    assert judges.risk.tolist() == [known[patient] for patient in judges.patients.ids]
    assert {group.cut for group in results["1y"].groups if group.model == "pps_mlp"} == {judges.cut}
    final = dict(inputs["final"].patients.select("patient_id", "time").iter_rows())
    assert judges.months.tolist() == [final[patient] for patient in judges.patients.ids]
    assert judges.months.max() > 12 >= judges.patients.time.max()
    assert len(rated(inputs, results, place="external")) == 30


def test_a_judge_whom_the_encoder_has_seen_is_refused(
    inputs: dict[str, EndpointData], results: dict[str, EndpointResult]
) -> None:
    seen = replace(inputs["1y"], seen={rated(inputs, results).patients.ids[0]})
    with pytest.raises(LeakageError, match="1 of 60"):
        rated_patients(seen, results["1y"], inputs["final"], "held_out", "internal")


def test_a_cohort_without_risks_is_an_error(
    inputs: dict[str, EndpointData], results: dict[str, EndpointResult]
) -> None:
    with pytest.raises(AnalysisError, match="no PPS risk"):
        rated_patients(inputs["1y"], results["1y"], inputs["final"], "external", "elsewhere")


def test_patients_without_follow_up_are_left_out_of_the_times(
    inputs: dict[str, EndpointData], results: dict[str, EndpointResult]
) -> None:
    one = rated(inputs, results).patients.ids[0]
    gone = pl.when(pl.col("patient_id") != one)
    frame = inputs["final"].patients.with_columns(time=gone.then(pl.col("time")), event=gone.then(pl.col("event")))
    judges = rated_patients(
        inputs["1y"], results["1y"], replace(inputs["final"], patients=frame), "held_out", "internal"
    )
    assert len(judges) == 60
    found = times_by_group(judges, SETTINGS)
    assert sum(found.test.n) == found.c_index.n == 59


def test_groups_are_above_and_not_above_the_cut_and_use_the_whole_follow_up() -> None:
    judges = made(cut=0.4)
    found = times_by_group(judges, SETTINGS)
    low, high = judges.months[judges.risk <= 0.4], judges.months[judges.risk > 0.4]
    assert found.test.n == (len(low), len(high))
    assert found.test.medians == (pytest.approx(np.median(low)), pytest.approx(np.median(high)))
    assert found.test.test == "Wilcoxon rank-sum"
    assert found.test.p == pytest.approx(stats.mannwhitneyu(low, high).pvalue)
    assert found.members(True)[0].tolist() == high.tolist()
    assert found.test.p < 1e-4
    assert found.logrank.p is not None
    assert found.logrank.p < 1e-4
    on_the_cut = replace(judges, risk=np.where(np.arange(200) < 50, 0.4, judges.risk))
    assert not on_the_cut.high[:50].any()


def test_hazard_per_sd_recovers_the_truth_and_c_is_far_from_chance() -> None:
    found = times_by_group(made(600, slope=0.8), SETTINGS)
    assert found.per_sd.coefficient == pytest.approx(0.8, abs=0.15)
    assert found.per_sd.lower < np.exp(0.8) < found.per_sd.upper
    null = times_by_group(made(600, slope=0.0), SETTINGS)
    assert null.c_index.lower < 0.5 < null.c_index.upper


def test_regression_is_the_least_squares_line_and_its_p_has_no_direction() -> None:
    judges = made()
    found = times_by_risk(judges, SETTINGS)
    expected = stats.linregress(judges.risk, judges.months)
    assert found.line.slope == pytest.approx(expected.slope)
    assert found.line.slope < 0
    assert found.line.p == pytest.approx(expected.pvalue)
    assert found.line.p == pytest.approx(stats.linregress(judges.months, judges.risk).pvalue)
    assert found.line.r2 == pytest.approx(found.correlation.r**2)


def test_area_under_the_steps_is_the_average_precision() -> None:
    judges = made()
    curve = precision_recall(judges)
    assert curve is not None
    y = judges.patients.y
    expected = average_precision(y, judges.risk, resamples=100, seed=1).value
    assert (np.diff(curve.recall) * curve.precision[1:]).sum() == pytest.approx(expected)
    assert curve.prevalence == y.mean()
    nobody = replace(judges, patients=replace(judges.patients, y=np.zeros(200)))
    assert precision_recall(nobody) is None


def test_what_cannot_be_had_says_why() -> None:
    alone = times_by_group(made(cut=2.0), SETTINGS)
    assert alone.test.p is None
    assert "fewer than 2" in alone.test.reason
    assert alone.logrank.reason
    assert alone.group.reason
    assert alone.per_sd.hr is not None
    unknown = made(6)
    with pytest.raises(AnalysisError, match="no follow-up"):
        times_by_group(replace(unknown, months=np.full(6, np.nan)), SETTINGS)
    with pytest.raises(AnalysisError, match="no training median"):
        times_by_group(replace(unknown, cut=None), SETTINGS)
    assert times_by_risk(replace(unknown, cut=None), SETTINGS).line.n == 6


def test_the_fixed_model_follows_the_patients() -> None:
    judges = made()
    some = judges.patients.take(judges.risk > 0.7)
    assert judges.fixed_model().predict(some).tolist() == judges.risk[judges.risk > 0.7].tolist()
