import numpy as np
import pytest
from statsmodels.nonparametric.smoothers_lowess import lowess

from hccfeat.errors import AnalysisError
from hccfeat.stats.smoothing import local_linear


@pytest.mark.parametrize("rounded", [False, True])
def test_values_equal_lowess_without_interpolation(rounded: bool) -> None:
    generator = np.random.default_rng(4)
    x = np.sort(generator.beta(2, 3, 120))
    x = np.round(x, 1) if rounded else x
    y = (generator.random(120) < x).astype(float)
    expected = lowess(y, x, frac=2 / 3, it=0, delta=0.0)[:, 1]
    found, lower, upper = local_linear(x, y, x, 2 / 3)
    assert found == pytest.approx(expected, abs=1e-6)
    assert (lower < found).all()
    assert upper - found == pytest.approx(found - lower)


def test_the_band_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    at = np.array([0.3, 0.5, 0.7])
    inside = np.zeros(3)
    for _ in range(200):
        x = generator.uniform(0.1, 0.9, 200)
        y = (generator.random(200) < x).astype(float)
        _, lower, upper = local_linear(x, y, at, 2 / 3)
        inside += (lower < at) & (at < upper)
    assert (inside / 200 > 0.89).all()
    assert (inside / 200 < 0.99).all()


def test_a_straight_line_stays_and_has_no_width() -> None:
    x = np.linspace(0, 1, 20)
    found, lower, upper = local_linear(x, 2 * x + 1, np.array([0.0, 0.33, 1.0]), 0.5)
    assert found == pytest.approx([1.0, 1.66, 3.0])
    assert upper == pytest.approx(lower)


def test_points_that_are_equally_far_away_count_alike() -> None:
    """Between two places of many predictions there is no nearest one."""
    x = np.repeat([0.1, 0.3, 0.5, 0.7], 10)
    y = np.tile([0.0, 1.0], 20)
    found, lower, upper = local_linear(x, y, np.array([0.2]), 0.5)
    assert found == pytest.approx([0.5])
    assert lower < found < upper


def test_few_different_predictions_are_refused() -> None:
    with pytest.raises(AnalysisError, match="four different"):
        local_linear([0.1, 0.1, 0.2, 0.3], [0, 1, 0, 1], [0.1], 0.5)
