import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from hccfeat.stats.intervals import holm, normal_estimate, wald_p


def test_by_hand() -> None:
    found = normal_estimate(0.9, 0.1, 20, 5, "share", "normal interval", (0.0, 1.0))
    assert (found.lower, found.upper) == pytest.approx((0.9 - 0.1959963985, 1.0))
    assert found.method == "share; normal interval"
    assert wald_p(1.959963985, 1.0) == pytest.approx(0.05)


@pytest.mark.parametrize("error", [0.0, 1e-17, float("nan")])
def test_no_interval_without_a_standard_error(error: float) -> None:
    found = normal_estimate(0.5, error, 20, 5, "share", "normal interval")
    assert (found.value, found.lower, found.upper, found.standard_error) == (0.5, None, None, None)
    assert "variance is zero" in found.method
    assert wald_p(1.0, error) is None


def test_holm_by_hand_and_as_statsmodels_has_it() -> None:
    assert holm([]) == []
    assert holm([0.02]) == [0.02]
    # 0.01 x 4, 0.02 x 3, then never below the one before it, and never above 1.
    assert holm([0.9, 0.02, 0.01, 0.025]) == pytest.approx([0.9, 0.06, 0.04, 0.06])
    p = np.random.default_rng(1).random(50) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
