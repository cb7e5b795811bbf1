import numpy as np
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.decision import (
    THRESHOLDS,
    benefit_curve,
    net_benefit,
    survival_benefit_curve,
    survival_net_benefit,
)

Y = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
P = [0.9, 0.7, 0.4, 0.2, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05]
TIME = [2, 5, 12, 8, 3, 20, 14, 6, 18, 25, 11, 30]
EVENT = [1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0]
RISK = [0.9, 0.7, 0.45, 0.6, 0.5, 0.2, 0.3, 0.8, 0.25, 0.1, 0.35, 0.15]


@pytest.mark.parametrize(
    ("threshold", "model", "everybody"),
    # dcurves 1.1.7 on the same rows.
    [(0.1, 0.3444444444, 0.3333333333), (0.25, 0.2, 0.2), (0.5, 0.0, -0.2), (0.75, -0.2, -1.4)],
)
def test_net_benefit_equals_dcurves(threshold: float, model: float, everybody: float) -> None:
    assert net_benefit(Y, P, threshold).value == pytest.approx(model, abs=1e-9)
    assert net_benefit(Y, np.ones(10), threshold).value == pytest.approx(everybody, abs=1e-9)


def test_net_benefit_by_hand_with_its_interval() -> None:
    # Treated at 0.25: three of four events and three of six others, each of which costs a third.
    found = net_benefit(Y, P, 0.25)
    gain = np.array([1, 1, 1, 0, -1 / 3, -1 / 3, -1 / 3, 0, 0, 0])
    assert found.value == pytest.approx(gain.mean())
    assert found.upper - found.value == pytest.approx(1.959964 * gain.std(ddof=1) / np.sqrt(10), rel=1e-6)
    assert (found.n, found.events) == (10, 4)


@pytest.mark.parametrize(
    ("threshold", "model", "everybody"),
    [
        (0.1, 0.287037037037, 0.287037037037),
        (0.25, 0.242063492063, 0.144444444444),
        (0.4, 0.326388888889, -0.069444444444),
    ],
)
def test_survival_net_benefit_equals_dcurves(threshold: float, model: float, everybody: float) -> None:
    assert survival_net_benefit(TIME, EVENT, RISK, threshold, 10).value == pytest.approx(model, abs=1e-9)
    assert survival_net_benefit(TIME, EVENT, np.ones(12), threshold, 10).value == pytest.approx(everybody, abs=1e-9)


def test_without_censoring_both_forms_agree() -> None:
    generator = np.random.default_rng(2)
    time, risk = generator.exponential(10, 80), generator.random(80)
    for threshold in (0.2, 0.5):
        plain = net_benefit(time <= 9, risk, threshold)
        timed = survival_net_benefit(time, np.ones(80), risk, threshold, 9)
        assert timed.value == pytest.approx(plain.value)
        assert timed.standard_error == pytest.approx(plain.standard_error, rel=0.02)


def test_nobody_treated_and_nobody_followed() -> None:
    assert survival_net_benefit(TIME, EVENT, RISK, 0.95, 10).value == 0.0
    short = survival_net_benefit([1, 2, 3, 20], [0, 1, 0, 0], [0.9, 0.9, 0.9, 0.1], 0.5, 10)
    assert short.value is None
    assert "nobody treated was followed so far" in short.method
    # All treated had the event before the horizon: that is known, though nobody was followed to it.
    assert survival_net_benefit(TIME, EVENT, RISK, 0.55, 10).value == pytest.approx(4 / 12)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_are_inside_the_unit_interval(threshold: float) -> None:
    with pytest.raises(AnalysisError, match="threshold"):
        net_benefit(Y, P, threshold)


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_the_single_values(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = 60
    risk = generator.integers(1, 99, n) / 100
    time = generator.integers(1, 30, n).astype(float)
    event = generator.random(n) < 0.5
    if seed == 3:
        time[risk > 0.6] = 4.0  # nobody treated at a high threshold is followed to the horizon
    one = [net_benefit(event, risk, threshold).value for threshold in THRESHOLDS]
    assert benefit_curve(event, risk, THRESHOLDS) == pytest.approx(one, abs=1e-12)
    for horizon in (0.5, 10, 24):
        found = survival_benefit_curve(time, event, risk, THRESHOLDS, horizon)
        single = [survival_net_benefit(time, event, risk, threshold, horizon).value for threshold in THRESHOLDS]
        assert np.isnan(found).tolist() == [value is None for value in single]
        known = [value for value in single if value is not None]
        assert found[~np.isnan(found)] == pytest.approx(known, abs=1e-12)
    assert seed < 3 or np.isnan(found).any()
