import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from hccfeat.errors import AnalysisError
from hccfeat.stats.groups import WELCH, WILCOXON, compare_groups, pearson, regress

NORMAL = stats.norm.ppf((np.arange(20) + 0.5) / 20)
SKEWED = np.exp(2 * NORMAL)
numbers = arrays(np.float64, st.integers(0, 12), elements=st.integers(-20, 20).map(float))


def test_normal_groups_get_welchs_test_of_unequal_variances() -> None:
    found = compare_groups(NORMAL, 1 + 3 * NORMAL[:12])
    expected = stats.ttest_ind(NORMAL, 1 + 3 * NORMAL[:12], equal_var=False)
    assert found.test == WELCH
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.n == (20, 12)
    assert found.means[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("pair", [(NORMAL, SKEWED), (SKEWED, NORMAL), (NORMAL, np.ones(5)), (NORMAL, [1.0, 2.0])])
def test_one_group_that_is_not_normal_asks_for_ranks(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = compare_groups(*pair)
    assert found.test == WILCOXON
    assert found.p is not None


def test_rank_sum_is_rs() -> None:
    # wilcox.test(c(1.1,2.2,3.3,4.4), c(2.5,5.5,6.6,7.7,100)): W = 2, p-value = 0.06349 (exact: 8 of 126)
    found = compare_groups([1.1, 2.2, 3.3, 4.4], [2.5, 5.5, 6.6, 7.7, 100])
    assert (found.test, found.statistic) == (WILCOXON, 2.0)
    assert found.p == pytest.approx(8 / 126)
    # Ties: the normal approximation with continuity correction.
    tied = compare_groups([1, 1, 2, 2], [2, 3, 3, 300])
    assert tied.p == pytest.approx(stats.mannwhitneyu([1, 1, 2, 2], [2, 3, 3, 300], method="asymptotic").pvalue)


@given(numbers, numbers)
@settings(max_examples=60, deadline=None)
def test_any_groups_give_a_p_or_a_reason_and_the_order_does_not_matter(a: np.ndarray, b: np.ndarray) -> None:
    found, turned = compare_groups(a, b), compare_groups(b, a)
    assert (found.p is None) == bool(found.reason)
    assert turned.test == found.test
    if found.p is not None:
        assert 0 <= found.p <= 1
        assert turned.p == pytest.approx(found.p)
    assert (found.means[0] is None) == (len(a) == 0)


def test_pearson_equals_scipy() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=16)
    y = -x + generator.normal(size=16)
    found, expected = pearson(x, y), stats.pearsonr(x, y)
    interval = expected.confidence_interval()
    assert (found.r, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
    assert pearson(0.6 + 1e-4 * x, y).r == pytest.approx(found.r)


def test_the_papers_p_follows_from_its_r_within_rounding() -> None:
    """Fig 7B prints r = -0.66 and P = 0.0058 of 16 patients: r = -0.655 gives it (P1 part 3)."""
    x = np.arange(16.0)
    z = np.resize([1.0, -1.0], 16)
    z -= np.polyval(np.polyfit(x, z, 1), x)
    unit = (x - x.mean()) / x.std()
    p_of = [pearson(x, r * unit + np.sqrt(1 - r * r) * z / z.std()).p for r in (-0.655, -0.665)]
    assert p_of[1] < 0.0058 < p_of[0]


def test_regression_equals_scipy() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=16)
    y = 3 - 2 * x + generator.normal(size=16)
    found, expected = regress(x, y), stats.linregress(x, y)
    assert (found.slope, found.intercept, found.p) == pytest.approx(
        (expected.slope, expected.intercept, expected.pvalue)
    )
    half = stats.t.ppf(0.975, 14) * expected.stderr
    assert (found.lower, found.upper) == pytest.approx((expected.slope - half, expected.slope + half))
    assert found.r2 == pytest.approx(expected.rvalue**2)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([], [], "only 0 patients"),
        ([1, 2], [3, 4], "only 2 patients"),
        ([1, 1, 1, 1], [1, 2, 3, 4], "x is constant"),
        ([1, 2, 3, 4], [2, 4, 6, 8], "one line"),
    ],
)
def test_no_correlation_and_no_line_where_there_is_none(x: list[float], y: list[float], words: str) -> None:
    for found in (pearson(x, y), regress(x, y)):
        assert words in found.reason
        assert (found.lower, found.upper, found.p) == (None, None, None)


def test_three_patients_have_a_p_but_no_interval() -> None:
    found = pearson([1, 2, 3], [1, 3, 2])
    assert found.p == pytest.approx(stats.pearsonr([1, 2, 3], [1, 3, 2]).pvalue)
    assert (found.lower, found.upper) == (None, None)
    assert "interval" in found.reason


def test_missing_values_are_refused() -> None:
    with pytest.raises(AnalysisError, match="group"):
        compare_groups([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(AnalysisError, match="length"):
        pearson([1.0, 2.0, 3.0], [1.0, 2.0])
