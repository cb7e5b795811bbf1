import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from hccfeat.errors import AnalysisError
from hccfeat.reproduction.printed import printed
from hccfeat.stats.contingency import CHI_SQUARE, FISHER, compare_counts, smd_of_means, smd_of_shares

TABLE_4 = {
    "age": (">= 50", "< 50"),
    "sex": ("male", "female"),
    "hbsag": ("positive", "negative"),
    "afp": ("positive", "negative"),
    "tumour_size": (">= 5", "< 5"),
    "bclc": ("I", "II"),
    "vascular_invasion": ("positive", "negative"),
}


@pytest.mark.parametrize("variable", TABLE_4)
def test_the_seven_p_values_of_table_4(variable: str) -> None:
    counts = [printed("table4", f"{variable} {level}") for level in TABLE_4[variable]]
    assert np.sum(counts, axis=0).tolist() == printed("table4", "n")
    found = compare_counts(counts)
    assert found.p is not None
    # Printed to three decimals; AFP is 0.4314 and HBsAg 0.2294.
    assert found.p == pytest.approx(printed("table4", "p", variable), abs=0.00051)
    assert found.n == 79


def test_table_4_rests_on_both_tests_and_on_the_rule_of_at_least_five() -> None:
    tests = {
        variable: compare_counts([printed("table4", f"{variable} {level}") for level in levels]).test
        for variable, levels in TABLE_4.items()
    }
    assert {name for name, test in tests.items() if test == FISHER} == {"sex", "hbsag", "bclc"}
    assert tests["afp"] == CHI_SQUARE  # its smallest cell is exactly 5


counts = st.integers(0, 14)


@given(counts, counts, counts, counts)
@settings(max_examples=80, deadline=None)
def test_the_p_of_any_table_does_not_depend_on_the_order(a: int, b: int, c: int, d: int) -> None:
    found = compare_counts([[a, b], [c, d]])
    assert found.test == (CHI_SQUARE if min(a, b, c, d) >= 5 else FISHER)
    assert (found.p is None) == bool(found.reason) == (0 in (a + b, c + d, a + c, b + d))
    for other in ([[b, a], [d, c]], [[c, d], [a, b]], [[a, c], [b, d]]):
        assert compare_counts(other).p == (None if found.p is None else pytest.approx(found.p))
    if found.p is not None and found.test == FISHER:
        chances = hypergeom(a + b + c + d, a + b, a + c).pmf(np.arange(0, min(a + b, a + c) + 1))
        own = hypergeom(a + b + c + d, a + b, a + c).pmf(a)
        assert found.p == pytest.approx(min(chances[chances <= own * (1 + 1e-7)].sum(), 1.0))


@pytest.mark.parametrize("table", [[[1, 2]], [[1, 2], [3, -1]], [[0.5, 1], [1, 1]]])
def test_only_two_by_two_counts_are_tested(table: list) -> None:
    with pytest.raises(AnalysisError, match="2 x 2"):
        compare_counts(table)


def test_standardised_differences_by_their_formulas() -> None:
    found = smd_of_shares((58, 79), (81, 287))  # vascular invasion of P1's treated and untreated
    p, q = 58 / 79, 81 / 287
    assert found.value == pytest.approx((p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2))
    assert found.lower < found.value < found.upper
    first, second = np.arange(10.0), np.arange(4, 20.0)
    means = smd_of_means(first, second)
    spread = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    assert means.value == pytest.approx((first.mean() - second.mean()) / spread)
    assert smd_of_means(second, first).value == pytest.approx(-means.value)


def test_the_interval_of_a_mean_difference_covers() -> None:
    generator = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        found = smd_of_means(generator.normal(0.5, 1, 40), generator.normal(0, 1, 60))
        covered += found.lower <= 0.5 <= found.upper
    assert 0.92 <= covered / 400 <= 0.98


def test_no_standardised_difference_where_there_is_none() -> None:
    assert smd_of_shares((0, 0), (3, 9)).reason == "a group has no patients"
    assert smd_of_shares((4, 4), (9, 9)).reason == "neither group varies"
    assert smd_of_means([1.0], [1.0, 2.0]).reason == "fewer than 2 patients in a group"
    assert smd_of_means([0.1] * 3, [0.1] * 3).value is None
