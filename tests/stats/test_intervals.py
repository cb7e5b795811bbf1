import pytest

from hccfeat.stats.intervals import normal_estimate, wald_p


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
