import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import SPAN, brier_score, calibration, pseudo_values, survival_calibration
from hccfeat.stats.km import product_limit
from hccfeat.stats.smoothing import local_linear


def predictions(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    risk = expit(generator.normal(size=n) - 0.5)
    return (generator.random(n) < risk).astype(int), risk


def test_slope_and_intercept_are_those_of_the_logistic_regression() -> None:
    y, risk = predictions(1)
    found = calibration(y, risk)
    fit = sm.GLM(y, sm.add_constant(logit(risk)), family=sm.families.Binomial()).fit(tol=1e-12)
    whole = sm.GLM(y, np.ones(400), offset=logit(risk), family=sm.families.Binomial()).fit(tol=1e-12)
    for part, fitted, k in ((found.intercept, fit, 0), (found.slope, fit, 1), (found.in_the_large, whole, 0)):
        assert part.value == pytest.approx(fitted.params[k], rel=1e-6)
        assert part.standard_error == pytest.approx(fitted.bse[k], rel=1e-6)
    assert found.ratio.value == pytest.approx(y.mean() / risk.mean())


def test_it_sees_predictions_that_are_too_extreme_or_too_high() -> None:
    y, risk = predictions(2, 4000)
    right, extreme, high = (calibration(y, expit(f)) for f in (logit(risk), 2 * logit(risk), logit(risk) + 1))
    assert right.slope.lower < 1 < right.slope.upper
    assert extreme.slope.value == pytest.approx(right.slope.value / 2)
    assert high.in_the_large.upper < -0.8
    assert high.ratio.upper < 0.9
    assert right.mean_error < 0.03 < extreme.mean_error
    assert extreme.mean_error <= extreme.p90_error <= extreme.max_error
    assert (np.diff(right.curve[:, 0]) > 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_pseudo_values_are_the_jackknife(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, event = np.ceil(6 * generator.exponential(size=25)), generator.random(25) < 0.6
    when = float(np.median(time))
    if (time > when).sum() < 2:
        return
    risk = 1 - product_limit(time, event).at(when)
    for k, found in enumerate(pseudo_values(time, event, when)):
        left = np.arange(25) != k
        without = 1 - product_limit(time[left], event[left]).at(when)
        assert found == pytest.approx(25 * risk - 24 * without, abs=1e-9)


def test_without_censoring_survival_calibration_is_that_of_the_label() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=300)
    time, risk = generator.exponential(size=300) * np.exp(-x), 1 - np.exp(-0.5 * np.exp(x))
    one, two = survival_calibration(time, np.ones(300), risk, 0.5), calibration(time <= 0.5, risk)
    for name in ("intercept", "slope", "in_the_large", "ratio"):
        ours, theirs = getattr(one, name), getattr(two, name)
        assert ours.value == pytest.approx(theirs.value, abs=1e-9)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-6)
    assert (one.mean_error, one.max_error) == pytest.approx((two.mean_error, two.max_error), abs=1e-9)


def test_under_censoring_a_right_model_is_calibrated_and_a_wrong_one_is_not() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=3000)
    time, lost = generator.exponential(size=3000) * np.exp(-x), generator.exponential(size=3000)
    seen, event = np.minimum(time, lost), time <= lost
    right = survival_calibration(seen, event, 1 - np.exp(-0.5 * np.exp(x)), 0.5)
    assert right.slope.lower < 1 < right.slope.upper
    assert right.in_the_large.lower < 0 < right.in_the_large.upper
    assert right.ratio.lower < 1 < right.ratio.upper
    assert right.mean_error < 0.03
    wrong = survival_calibration(seen, event, 1 - np.exp(-np.exp(np.minimum(2 * x, 3))), 0.5)
    assert wrong.slope.upper < 0.8
    assert wrong.ratio.upper < 1
    assert wrong.mean_error > 0.05


def test_what_cannot_be_estimated_has_a_reason() -> None:
    none = calibration([1, 1], [0.4, 0.5])
    assert none.slope.value is None
    assert "every patient" in none.slope.method
    flat = calibration([1, 0, 0, 1, 0], np.full(5, 0.3))
    assert flat.slope.value is None
    assert flat.in_the_large.value == pytest.approx(logit(0.4) - logit(0.3))
    assert flat.mean_error == pytest.approx(0.1)
    assert calibration([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]).slope.value is None
    certain = calibration([0, 1, 1, 0], [0, 0.5, 0.6, 0.4])
    assert (certain.slope.value, certain.in_the_large.value) == (None, None)
    assert certain.mean_error is not None
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        calibration([0, 1], [-0.1, 0.5])
    with pytest.raises(AnalysisError, match="beyond it"):
        pseudo_values([1, 2, 3], [1, 1, 1], 2)
    assert survival_calibration([1, 2, 3, 4], [0, 0, 1, 1], np.full(4, 0.5), 2.5).slope.value is None


def test_brier_score_by_hand() -> None:
    found = brier_score([1, 0, 1], [0.5, 0.5, 1.0])
    assert found.value == pytest.approx(0.5 / 3)
    assert found.standard_error == pytest.approx(np.std([0.25, 0.25, 0], ddof=1) / np.sqrt(3))
    assert brier_score([1, 0], [1, 0]).lower is None
    with pytest.raises(AnalysisError, match=r"0\.\.1"):
        brier_score([1, 0], [1.2, 0])


def test_the_median_error_lies_between_none_and_the_90th_percentile() -> None:
    generator = np.random.default_rng(8)
    risk = generator.beta(2, 2, 150)
    found = calibration(generator.random(150) < risk**2, risk)
    curve = np.interp(risk, found.curve[:, 0], found.curve[:, 1])
    assert found.median_error == pytest.approx(np.median(np.abs(curve - risk)))
    assert found.median_error < found.p90_error < found.max_error


def test_a_prediction_that_most_share_is_smoothed_to_the_mean_of_those_who_share_it() -> None:
    """As R's lowess does; a smoother of zero width would give everybody the outcome of one patient."""
    generator = np.random.default_rng(2)
    risk = np.where(np.arange(60) < 45, 0.3, generator.uniform(0.31, 0.9, 60))
    y = (generator.random(60) < risk).astype(float)
    found = calibration(y, risk)
    value, _, _ = local_linear(risk, y, risk, SPAN)
    assert found.curve[0] == pytest.approx([0.3, y[:45].mean()])
    distance = np.abs(np.clip(value, 0, 1) - risk)
    assert found.mean_error == pytest.approx(distance.mean(), abs=1e-6)
    assert found.max_error == pytest.approx(distance.max(), abs=1e-6)
