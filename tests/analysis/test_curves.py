import numpy as np
import pytest

from hccfeat.analysis.curves import (
    calibration_curve,
    decision_curve,
    default_decisions,
    describe_survival,
    incidence_curves,
    risk_distribution,
    survival_curve,
)
from hccfeat.stats.calibration import SPAN, pseudo_values
from hccfeat.stats.competing import cumulative_incidence
from hccfeat.stats.decision import THRESHOLDS, net_benefit, survival_net_benefit
from hccfeat.stats.km import follow_up, product_limit, restricted_mean
from hccfeat.stats.smoothing import local_linear
from tests.analysis.people import cohort, people

TIME, EVENT, X = cohort(120)
RISK = 1 / (1 + np.exp(-X))


def test_a_curve_has_median_restricted_mean_and_follow_up() -> None:
    patients = people(TIME, EVENT, horizon=24.0)
    curve = survival_curve("all", patients, np.array([0.0, 12.0]), 24.0)
    plain = product_limit(patients.time, patients.event)
    assert (curve.median, curve.median_lower, curve.median_upper) == plain.quantile(scale="log-log")
    mean = restricted_mean(patients.time, patients.event, 24.0)
    assert (curve.restricted_mean, curve.restricted_lower, curve.restricted_upper) == (
        mean.value, mean.lower, mean.upper,
    )  # fmt: skip
    assert curve.restricted_to == 24.0
    assert curve.follow_up == follow_up(TIME, EVENT).value
    assert curve.follow_up > 24
    assert (curve.times[0], curve.survival[0], curve.step_at_risk[0], curve.step_events[0]) == (0, 1, 120, 0)
    assert len(curve.times) == len(curve.lower) == len(curve.step_at_risk) == len(curve.step_events)
    assert curve.step_events.sum() == curve.events
    assert curve.at_risk.tolist() == [120, int((TIME >= 12).sum())]


def test_a_curve_that_ends_early_has_no_restricted_mean() -> None:
    curve = survival_curve("all", people([1, 2, 3], [1, 0, 0]), np.zeros(1), 12.0)
    assert (curve.restricted_mean, curve.restricted_to, curve.median) == (None, None, None)


def test_everybody_is_described_with_follow_up_that_no_horizon_cuts() -> None:
    found, incidences = describe_survival(people(TIME, EVENT, horizon=12.0), 12.0)
    expected = follow_up(TIME, EVENT)
    assert (found.follow_up, found.follow_up_lower, found.follow_up_upper) == (
        expected.value, expected.lower, expected.upper,
    )  # fmt: skip
    assert found.curve.n == 120
    assert incidences == []
    never, _ = describe_survival(people([5.0, 6, 7], [1, 1, 1]), None)
    assert never.follow_up is None
    assert "not reached" in never.note
    assert describe_survival(people([], []), None) == (None, [])


def test_death_competes_and_one_minus_survival_overstates() -> None:
    generator = np.random.default_rng(5)
    died = ((EVENT == 0) & (generator.random(120) < 0.6)).astype(float)
    event, death, naive = incidence_curves(people(TIME, EVENT, died=died), None)
    cause = np.where(EVENT == 1, 1, np.where(died == 1, 2, 0))
    expected = cumulative_incidence(TIME, cause)
    assert event.incidence[1:] == pytest.approx(expected.incidence)
    assert (event.events, death.events) == (int(EVENT.sum()), int(died.sum()))
    assert naive.incidence[1:] == pytest.approx(1 - product_limit(TIME, EVENT).survival)
    late = naive.times > 12
    assert (naive.incidence[late] > event.incidence[late]).all()
    assert (naive.lower <= naive.incidence).all()
    assert (naive.incidence <= naive.upper).all()
    assert event.incidence[-1] + death.incidence[-1] <= 1


def test_incidence_ends_at_the_horizon() -> None:
    died = ((EVENT == 0) & (TIME < 30)).astype(float)
    event, death, _ = incidence_curves(people(TIME, EVENT, died=died, horizon=12.0), 12.0)
    assert event.times[-1] == 12.0
    assert event.events == int(((EVENT == 1) & (TIME <= 12)).sum())
    assert death.events == int(((died == 1) & (TIME <= 12)).sum())


@pytest.mark.parametrize("known", [0.0, 0.7])
def test_without_known_deaths_there_is_no_incidence(known: float) -> None:
    died = np.zeros(120)
    assert incidence_curves(people(TIME, EVENT, died=died), None) == []
    died[EVENT == 0] = 1.0
    free = np.flatnonzero(EVENT == 0)
    died[free[int(known * len(free)) :]] = np.nan
    assert incidence_curves(people(TIME, EVENT, died=died), None) == []


def test_calibration_curves_of_label_and_horizon() -> None:
    patients = people(TIME, EVENT, horizon=12.0)
    judged = patients.take(patients.labelled)
    label = calibration_curve("m", judged, RISK[patients.labelled], None)
    at = np.linspace(label.predicted[0], label.predicted[-1], 41)
    expected = np.clip(local_linear(RISK[patients.labelled], judged.y, at, SPAN), 0, 1)
    assert label.predicted == pytest.approx(at)
    assert label.observed == pytest.approx(expected[0])
    assert (label.n, label.events) == (len(judged), int(judged.y.sum()))
    timed = calibration_curve("m", patients, RISK, 12.0)
    smooth = np.clip(local_linear(RISK, pseudo_values(TIME, EVENT, 12.0), timed.predicted, SPAN), 0, 1)
    assert timed.observed == pytest.approx(smooth[0])
    assert (timed.lower <= timed.observed).all()
    assert timed.lower.min() >= 0
    assert timed.upper.max() <= 1
    assert (timed.n, timed.months) == (120, 12.0)
    assert calibration_curve("m", patients, np.full(120, 0.3), 12.0) is None


def test_no_calibration_curve_where_its_numbers_are_refused() -> None:
    """Fewer than five of a class, of the label and at a time."""
    event = np.zeros(120)
    event[:4] = 1
    rare = people(np.where(event, 6.0, 20.0), event)
    for when in (None, 12.0):
        assert calibration_curve("m", rare, RISK, when) is None


def test_decision_curves_of_label_and_horizon() -> None:
    patients = people(TIME, EVENT, horizon=12.0)
    keep = patients.labelled
    label = decision_curve("m", patients.take(keep), RISK[keep], None)
    assert label.thresholds == pytest.approx(THRESHOLDS)
    assert label.net_benefit[24] == pytest.approx(net_benefit(patients.y[keep], RISK[keep], 0.25).value)
    timed = decision_curve("m", patients, RISK, 12.0)
    place = np.flatnonzero(timed.thresholds == 0.25)[0]
    assert timed.net_benefit[place] == pytest.approx(survival_net_benefit(TIME, EVENT, RISK, 0.25, 12.0).value)
    everybody, nobody = default_decisions(patients, 12.0)
    assert everybody.net_benefit[0] > 0 > everybody.net_benefit[-1]
    assert not nobody.net_benefit.any()


def test_thresholds_without_a_number_are_left_out() -> None:
    patients = people([1, 2, 3, 20, 21], [0, 1, 0, 0, 0])
    curve = decision_curve("m", patients, np.array([0.9, 0.8, 0.7, 0.2, 0.1]), 10.0)
    assert curve.thresholds.max() == 0.99
    assert not ((curve.thresholds > 0.2) & (curve.thresholds <= 0.7)).any()
    assert np.isfinite(curve.net_benefit).all()


def test_the_distribution_counts_everybody_once() -> None:
    patients = people(TIME, EVENT)
    spread = risk_distribution("m", patients, RISK, unit=True)
    assert (spread.edges[0], spread.edges[-1], len(spread.edges)) == (0, 1, 21)
    assert (spread.with_event.sum(), spread.without_event.sum()) == (EVENT.sum(), (1 - EVENT).sum())
    assert spread.with_event[-5:].sum() == int(((RISK >= 0.75) & (EVENT == 1)).sum())
    flat = risk_distribution("m", patients, np.full(120, 2.0), unit=False)
    assert flat.with_event.sum() + flat.without_event.sum() == 120
