import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.judge_metrics import estimates
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.rating import Rating, judging_times, rate
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import calibration, survival_calibration
from hccfeat.stats.concordance import concordance
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.coxresiduals import predicted_risk
from hccfeat.stats.decision import net_benefit, survival_net_benefit
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.timedependent import Horizon, auc_at, brier_at, integrated_brier, null_risk
from tests.analysis.people import cohort, people

QUICK = AnalysisConfig(bootstraps=100)
TIME, EVENT, X = cohort(200)
RISK = 1 / (1 + np.exp(-X))


def survival_rating(x: np.ndarray = X) -> Rating:
    fit = cox_model(TIME, EVENT, x)
    return Rating(fit.linear_predictor, None, lambda months: predicted_risk(fit, x[:, None], months))


def same(found: Estimate, expected: Estimate) -> None:
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (expected.value, expected.lower, expected.upper)
    )


def test_at_a_horizon_every_number_is_that_of_the_core_on_uncut_times() -> None:
    patients = people(TIME, EVENT, X, horizon=12.0)
    found = estimates(patients, Rating(RISK, RISK), QUICK, horizon=12.0)
    at = Horizon(TIME, EVENT, 12.0)
    same(found["auc_at"], auc_at(at, RISK).estimate)
    same(found["brier"], brier_at(at, RISK).estimate)
    for name, weights in (("c_index", "harrell"), ("c_uno", "uno")):
        expected = concordance(TIME, EVENT, RISK, weights=weights, horizon=12.0)
        assert found[name].value == pytest.approx(expected.value)
        assert found[name].standard_error == pytest.approx(expected.standard_error)
    agreement = survival_calibration(TIME, EVENT, RISK, 12.0)
    same(found["calibration_slope"], agreement.slope)
    same(found["calibration_intercept"], agreement.in_the_large)
    assert [found[name].value for name in ("ici", "e50", "e90")] == [
        agreement.mean_error, agreement.median_error, agreement.p90_error,
    ]  # fmt: skip
    same(found["net_benefit"], survival_net_benefit(TIME, EVENT, RISK, 0.5, 12.0))
    assert {one.n for name, one in found.items() if name not in ("auroc", "auprc")} >= {200}
    assert found["auroc"].n == int(patients.labelled.sum()) < 200
    assert "no probability by other times" in found["ibs"].method


def test_scaled_brier_is_one_minus_the_ratio_and_its_interval_covers() -> None:
    patients = people(TIME, EVENT, horizon=12.0)
    found = estimates(patients, Rating(RISK, RISK), QUICK, horizon=12.0)["brier_scaled"]
    at = Horizon(TIME, EVENT, 12.0)
    own, null = brier_at(at, RISK), brier_at(at, null_risk(at))
    assert found.value == pytest.approx(1 - own.estimate.value / null.estimate.value)
    generator = np.random.default_rng(1)
    resampled = []
    for _ in range(300):
        rows = generator.integers(0, 200, 200)
        again = Horizon(TIME[rows], EVENT[rows], 12.0)
        scores = [brier_at(again, risk).estimate.value for risk in (RISK[rows], null_risk(again))]
        resampled.append(1 - scores[0] / scores[1])
    assert found.standard_error == pytest.approx(np.std(resampled), rel=0.15)


def test_without_a_horizon_calibration_is_of_the_label_and_times_are_named() -> None:
    patients = people(TIME, EVENT)
    found = estimates(patients, Rating(RISK, RISK), QUICK)
    same(found["calibration_slope"], calibration(EVENT, RISK).slope)
    same(found["net_benefit"], net_benefit(EVENT, RISK, 0.5))
    assert found["brier"].value == pytest.approx(np.mean((EVENT - RISK) ** 2))
    assert found["brier_scaled"].value == pytest.approx(1 - found["brier"].value / EVENT.var())
    times = judging_times(patients, None)
    assert {f"auc_at_{when:g}" for when in times} <= set(found)
    assert "Uno's C up to" in found["c_uno"].method
    assert found["brier_12"].value is None
    assert "auc_at" not in found


def test_a_survival_model_is_judged_at_every_time_and_averaged() -> None:
    patients = people(TIME, EVENT)
    rating = survival_rating()
    found = estimates(patients, rating, QUICK)
    by_year = rating.risk_by(np.array([12.0, 24.0]))
    same(found["brier_24"], brier_at(Horizon(TIME, EVENT, 24.0), by_year[:, 1]).estimate)
    same(found["calibration_slope_12"], survival_calibration(TIME, EVENT, by_year[:, 0], 12.0).slope)
    assert found["brier"].value is None
    last = judging_times(patients, None)[-1]
    marks = np.linspace(last / 50, last, 50)
    same(found["ibs"], integrated_brier(TIME, EVENT, rating.risk_by(marks), marks).estimate)
    at_horizon = estimates(people(TIME, EVENT, horizon=12.0), rating, QUICK, horizon=12.0)
    same(at_horizon["brier"], found["brier_12"])


def test_all_models_of_an_endpoint_have_the_same_names() -> None:
    patients = people(TIME, EVENT, horizon=24.0)
    kinds = [Rating(X), Rating(RISK, RISK), survival_rating()]
    names = [list(estimates(patients, rating, QUICK, horizon=24.0)) for rating in kinds]
    assert names[0] == names[1] == names[2]
    assert len({tuple(estimates(people(TIME, EVENT), rating, QUICK)) for rating in kinds}) == 1


def test_a_horizon_beyond_the_follow_up_withholds_what_needs_it() -> None:
    short = np.minimum(TIME, 11.0)
    found = estimates(people(short, EVENT * (TIME <= 11)), Rating(RISK, RISK), QUICK, horizon=12.0)
    for name in ("auc_at", "brier", "calibration_slope", "net_benefit"):
        assert found[name].value is None
        assert "beyond 12 months" in found[name].method
    assert found["c_index"].value is not None
    assert found["ibs"].value is None


@pytest.mark.parametrize(("events", "words"), [(4, "only 4 events"), (196, "only 4 patients without the event")])
def test_calibration_needs_five_of_each(events: int, words: str) -> None:
    y = np.zeros(200)
    y[:events] = 1
    found = estimates(people(TIME, y), Rating(RISK, RISK), QUICK, timed=False)
    assert found["calibration_slope"].value is None
    assert words in found["ici"].method
    assert found["brier"].value is not None


def test_nobody_has_no_numbers_and_no_error() -> None:
    nobody = people([], [])
    for horizon, timed in ((12.0, True), (None, True), (None, False)):
        found = estimates(nobody, Rating(np.zeros(0), np.zeros(0)), QUICK, horizon=horizon, timed=timed)
        assert {one.value for one in found.values()} == {None}
        assert all(one.method for one in found.values())


def test_probabilities_outside_the_unit_interval_are_an_error() -> None:
    wrong = FittedModel("wrong", "", lambda judged: np.zeros(len(judged)), probability=lambda judged: X)
    with pytest.raises(AnalysisError, match="not between 0 and 1"):
        rate(wrong, people(TIME, EVENT))


def test_judging_times_follow_the_follow_up_and_not_the_outcome() -> None:
    patients = people(TIME, EVENT)
    assert judging_times(patients, 12.0) == (12.0,)
    times = judging_times(patients, None)
    assert times == tuple(year for year in (12.0, 24.0, 36.0, 60.0) if (year < TIME).sum() >= 10)
    assert times == judging_times(people(TIME, 1 - EVENT), None)


@pytest.mark.real_data
def test_li2014_equals_rs_score(real_data: Path, reference: Path) -> None:
    r = json.loads((reference / "r_reference.json").read_text())["time_dependent"]
    raw = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    age, months, event = (raw[name].to_numpy().astype(float) for name in ("Age", "RFS", "Recurrence"))
    fit = cox_model(months, event, age)
    rating = Rating(fit.linear_predictor, None, lambda when: predicted_risk(fit, age[:, None], when))
    found = estimates(people(months, event), rating, QUICK)
    for metric, rows, value in (("auc_at", r["auc"], "AUC"), ("brier", r["brier"], "Brier")):
        mine = [row for row in rows if row["model"] == "age"]
        assert len(mine) == 2
        for row in mine:
            one = found[f"{metric}_{row['times']}"]
            expected = (row[value], row["se"], row["lower"], row["upper"])
            assert (one.value, one.standard_error, one.lower, one.upper) == pytest.approx(expected, rel=1e-6)


def test_a_model_that_does_not_reach_a_time_says_so() -> None:
    def refuse(months: np.ndarray) -> np.ndarray:
        raise AnalysisError("horizon", "lies beyond the last follow-up of the training patients", "")

    found = estimates(people(TIME, EVENT), Rating(X, None, refuse), QUICK)
    assert "lies beyond the last follow-up of the training patients" in found["brier_12"].method
    assert "lies beyond" in found["ibs"].method
    assert found["auc_at_12"].value is not None
