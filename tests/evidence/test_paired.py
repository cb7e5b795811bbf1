import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.power import TTestPower

from hccfeat.errors import AnalysisError
from hccfeat.evidence.paired import paired, slopes

RNG = np.random.default_rng(4)


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    a, b = RNG.normal(0.7, 0.05, 12), RNG.normal(0.68, 0.05, 12)
    found, reference = paired(a - b), ttest_rel(a, b)
    limits = reference.confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((limits.low, limits.high))
    assert (found.direction != 0) == (reference.pvalue < 0.05)


@pytest.mark.parametrize("n", [5, 30, 200])
def test_the_detectable_difference_has_about_eighty_percent_power(n: int) -> None:
    found = paired(RNG.normal(0, 0.05, n))
    assert found.sd is not None
    assert found.detectable is not None
    power = TTestPower().power(found.detectable / found.sd, n, 0.05)
    assert power == pytest.approx(0.8, abs=0.02)


def test_one_replicate_has_no_interval() -> None:
    found = paired([0.1])
    assert (found.mean, found.sd, found.lower, found.detectable, found.direction) == (0.1, None, None, None, 0)


def test_a_missing_difference_is_an_error() -> None:
    with pytest.raises(AnalysisError):
        paired([0.1, np.nan])


def test_slopes_are_those_of_a_line_fit() -> None:
    x, values = [0.0, 0.2, 0.4, 0.6], RNG.normal(size=(3, 4))
    np.testing.assert_allclose(slopes(x, values), [np.polyfit(x, row, 1)[0] for row in values])
